//! Loops that measure the time of a round.

use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::time::{ClockId, clock_gettime};

/// Rounds between two looks at the clock; enough for what recorders do now and then to be in
/// each part.
const PART: u64 = 10_000;

/// What a loop took. Others who run on the machine do not add to the CPU times, and what they
/// do to the caches adds little to the median.
pub(super) struct Times {
    wall: Duration,
    /// CPU time of the thread per round, in nanoseconds.
    mean_ns: f64,
    /// The same in the part of the loop that is the median of all.
    median_ns: f64,
}

/// Does `count` rounds.
pub(super) fn measured(count: u64, mut round: impl FnMut() -> Result<()>) -> Result<Times> {
    let start = Instant::now();
    let first = cpu_time(ClockId::ThreadCPUTime);
    let mut parts = Vec::new();
    let mut last = first;
    let mut left = count;
    while left > 0 {
        let rounds = left.min(PART);
        for _ in 0..rounds {
            round()?;
        }
        left -= rounds;
        let now = cpu_time(ClockId::ThreadCPUTime);
        parts.push(now.saturating_sub(last).as_nanos() as f64 / rounds as f64);
        last = now;
    }
    let wall = start.elapsed();
    parts.sort_by(f64::total_cmp);
    Ok(Times {
        wall,
        mean_ns: last.saturating_sub(first).as_nanos() as f64 / count.max(1) as f64,
        median_ns: parts.get(parts.len() / 2).copied().unwrap_or_default(),
    })
}

impl Times {
    /// Prints the line of a loop.
    pub(super) fn report(&self, name: &str, count: u64) {
        self.print(name, count);
        println!();
    }

    /// Prints the pairs of a loop without ending the line, with the CPU time of the process until now.
    pub(super) fn print(&self, name: &str, count: u64) {
        let Self {
            mean_ns, median_ns, ..
        } = self;
        let process_ns = cpu_time(ClockId::ProcessCPUTime).as_nanos();
        print!("{}", super::line(name, count, self.wall));
        print!(" cpu_ns {mean_ns:.3} median_cpu_ns {median_ns:.3} process_cpu_ns {process_ns}");
    }
}

fn cpu_time(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
