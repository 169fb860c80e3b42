//! `bench startup`: the time from starting the recorder to the first event in its trace.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use crate::bench::recorder::privileged;
use crate::bench::stats::Sample;
use crate::bench::{Args, machine};
use crate::build::{self, Profile, Show};
use crate::{privilege, process, workspace};

/// Rounds at most: ending a recording of all tracepoints takes long.
const MOST_RUNS: u32 = 5;

/// Probes, and the most milliseconds until their first event.
const TARGETS: [(&str, f64); 2] = [("syscall:*", 300.0), ("*:*", 3000.0)];

/// Measures and prints the times.
pub(super) fn run(args: &Args) -> Result<Value> {
    let tracer = build::everything(Profile::Release, Show::Progress)?;
    let work = build::work(Show::Progress)?;
    ensure!(
        privilege::is_root() || privilege::has_silent_sudo(),
        "recording needs root, or sudo without a password (`sudo -v` beforehand)"
    );
    let folder = tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(workspace::target_dir())
        .context("cannot create a folder for the traces")?;
    let output = folder.path().join("trace");
    let runs = args.runs.min(MOST_RUNS);
    println!("{}", machine::describe());
    println!(
        "from starting the recorder to its first event, ms, median (smallest..largest) of {runs}"
    );
    let mut rows = Vec::new();
    for (probe, most) in TARGETS {
        let mut times = Sample::default();
        let mut attached = String::new();
        for round in 0..runs {
            eprintln!("xtask: `{probe}`, round {} of {runs}", round + 1);
            let mut command = privileged(&tracer);
            command.args(["record", "--force", "-e", probe, "-o"]);
            command
                .arg(&output)
                .arg("--")
                .arg(&work)
                .args(["getppid", "1"]);
            let start = monotonic();
            // Without the limit of other runs: the kernel takes minutes to let go of all
            // tracepoints.
            let ended = command
                .output()
                .with_context(|| format!("cannot start `{}`", process::display(&command)))?;
            let summary = String::from_utf8_lossy(&ended.stderr);
            ensure!(
                ended.status.success(),
                "`{probe}` could not be recorded: {summary}"
            );
            let mut report = privileged(&tracer);
            report.arg("report").arg(&output);
            let first = first_event(&mut report)?;
            times.push(first.saturating_sub(start).as_secs_f64() * 1000.0);
            let line = summary.lines().find(|line| line.starts_with("attached "));
            line.unwrap_or_default().clone_into(&mut attached);
        }
        let verdict = if times.median() <= most {
            "reached"
        } else {
            "NOT REACHED"
        };
        println!("{probe:12} {times:>30.0}   at most {most:.0}  {verdict}  ({attached})");
        rows.push(json!({ "probe": probe, "first_event_ms": times.json(), "at_most": most }));
    }
    Ok(rows.into())
}

fn monotonic() -> Duration {
    let time = clock_gettime(ClockId::Monotonic);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The time of the first event that a report has, since the machine was booted.
fn first_event(report: &mut Command) -> Result<Duration> {
    let text = process::output(report)?;
    let line = text
        .lines()
        .find(|line| !line.contains(": lttng_statedump_"))
        .context("the trace has no event")?;
    time_of(line).with_context(|| format!("no time in: {line}"))
}

/// The time of a line such as `cat-804 [000] 9998.640928: …`.
fn time_of(line: &str) -> Option<Duration> {
    let (_, rest) = line.split_once("] ")?;
    let (seconds, micros) = rest.trim_start().split_once(':')?.0.split_once('.')?;
    let micros: u64 = micros.parse().ok()?;
    Some(Duration::from_secs(seconds.parse().ok()?) + Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_an_event_is_read() {
        let line = "             cat-804     [000]  9998.640928: sched_switch: a=[1] b:2.5";
        assert_eq!(time_of(line), Some(Duration::from_micros(9_998_640_928)));
        assert_eq!(time_of("no event"), None);
    }
}
