//! One recorder with one event, run once beside the loop and once without it.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::bench::count::{self, Counts};
use crate::bench::measure;
use crate::bench::recorder::{Probe, Recorder, Wanted, bytes_of};
use crate::bench::rounds::Round;

/// The loop, as what it prints about itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Loop {
    pub(super) tid: u32,
    /// Time by the clock per call, in nanoseconds.
    pub(super) wall_ns: f64,
    /// CPU time of its thread per call, in nanoseconds.
    pub(super) cpu_ns: f64,
    /// The same of the part of the loop that is the median of all parts.
    pub(super) median_cpu_ns: f64,
    /// CPU time of its process until it printed this, in nanoseconds.
    pub(super) process_cpu_ns: u64,
}

impl Loop {
    /// Reads the line of `name value` pairs that the workload prints.
    pub(super) fn parse(output: &str) -> Result<Self> {
        let line = output
            .lines()
            .find(|line| line.contains(" median_cpu_ns "))
            .context("the workload printed no result")?;
        let words: Vec<_> = line.split_whitespace().collect();
        let value = |name: &str| {
            let at = words.iter().position(|word| *word == name);
            at.and_then(|at| words.get(at + 1))
                .with_context(|| format!("the workload printed no `{name}`: {line}"))
        };
        let bad = || format!("the workload printed something else than numbers: {line}");
        Ok(Self {
            tid: value("tid")?.parse().with_context(bad)?,
            wall_ns: value("ns")?.parse().with_context(bad)?,
            cpu_ns: value("cpu_ns")?.parse().with_context(bad)?,
            median_cpu_ns: value("median_cpu_ns")?.parse().with_context(bad)?,
            process_cpu_ns: value("process_cpu_ns")?.parse().with_context(bad)?,
        })
    }
}

/// The common part of all runs of a benchmark.
#[derive(Debug)]
pub(super) struct Stage<'a> {
    pub(super) tracer: &'a Path,
    pub(super) work: &'a Path,
    pub(super) folder: &'a Path,
    pub(super) cpu: u32,
    pub(super) count: u64,
}

impl Stage<'_> {
    /// The command line of the loop.
    pub(super) fn workload(&self, count: u64) -> Vec<String> {
        self.round(Round::Getppid, count)
    }

    /// The same of another loop.
    pub(super) fn round(&self, round: Round, count: u64) -> Vec<String> {
        round.command(&self.work.to_string_lossy(), self.cpu, count)
    }

    /// Runs the loop without a tracer.
    pub(super) fn untraced(&self) -> Result<Loop> {
        self.run(&self.workload(self.count))
    }

    /// Runs a loop without a tracer.
    pub(super) fn run(&self, words: &[String]) -> Result<Loop> {
        let mut command = std::process::Command::new(&words[0]);
        command.args(&words[1..]);
        let finished = measure::run(&mut command, self.folder, |_| {})?.checked(&command)?;
        Loop::parse(&finished.stdout)
    }
}

/// A recorder with the event that it records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Contender {
    pub(super) recorder: Recorder,
    pub(super) probe: Probe,
}

/// The figures of one run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figures {
    traced: Loop,
    /// The untraced loop just before and just after.
    untraced: [Loop; 2],
    /// CPU time of the recorder for the events alone, in nanoseconds per event.
    pub(super) recorder_ns: f64,
    /// Growth of the trace per event, in bytes.
    pub(super) event_bytes: f64,
    pub(super) lost: u64,
    /// Events of the loop that the trace has more than once.
    pub(super) surplus: u64,
    pub(super) peak_bytes: u64,
}

impl Figures {
    /// A time of the untraced loop, in nanoseconds per call.
    pub(super) fn untraced(&self, time: fn(&Loop) -> f64) -> f64 {
        let [before, after] = &self.untraced;
        f64::midpoint(time(before), time(after))
    }

    /// The cost that recording adds to that time.
    pub(super) fn added(&self, time: fn(&Loop) -> f64) -> f64 {
        time(&self.traced) - self.untraced(time)
    }
}

/// One recording.
pub(super) struct Recording {
    pub(super) traced: Loop,
    /// CPU time of everything but the workload.
    recorder_cpu_ns: u64,
    bytes: u64,
    pub(super) counts: Counts,
    peak_bytes: u64,
}

impl Recording {
    /// Records `wanted` while `workload` runs, and counts the events of its loop, which `mark`
    /// is in.
    pub(super) fn of(
        recorder: Recorder,
        stage: &Stage<'_>,
        wanted: &Wanted<'_>,
        mark: &str,
        workload: &[String],
    ) -> Result<Self> {
        let output = recorder.output(stage.folder);
        let mut command = recorder.record(stage.tracer, wanted, &output, workload);
        let finished = measure::run(&mut command, stage.folder, |_| {})?.checked(&command)?;
        let traced = Loop::parse(&finished.stdout)?;
        let mut counts = count::count(recorder, stage.tracer, mark, &output, traced.tid)?;
        if recorder == Recorder::Tracer {
            counts.lost = count::lost_in_summary(&finished.stderr).with_context(|| {
                format!(
                    "the summary of `{}` has no lost events: {}",
                    recorder.name(),
                    measure::tail(&finished.stderr)
                )
            })?;
        }
        Ok(Self {
            traced,
            recorder_cpu_ns: finished.cpu_ns.saturating_sub(traced.process_cpu_ns),
            bytes: bytes_of(&output)?,
            counts,
            peak_bytes: finished.peak_bytes,
        })
    }
}

impl Contender {
    /// Records a loop without a call and then the loop itself: what the first costs is
    /// starting and stopping, and what the second costs beyond it is the events.
    pub(super) fn run(self, stage: &Stage<'_>) -> Result<Figures> {
        let idle = self.record(stage, 0)?;
        // On both sides, because a machine's speed changes from second to second.
        let before = stage.untraced()?;
        let full = self.record(stage, stage.count)?;
        let after = stage.untraced()?;
        let Counts {
            events,
            of_loop,
            lost,
        } = full.counts;
        ensure!(
            of_loop + lost >= stage.count,
            "its figures are refused: the loop made {} calls, the trace has {of_loop}, \
             and {lost} lost events are reported",
            stage.count
        );
        let surplus = of_loop.saturating_sub(stage.count);
        // perf writes some records twice when it is overloaded; others do not.
        ensure!(
            surplus == 0 || self.recorder == Recorder::Perf,
            "its figures are refused: the trace has {surplus} events more than the {} calls of \
             the loop",
            stage.count
        );
        // A recorder that sees other processes, and itself, works for those events, too.
        let more_events = events.saturating_sub(idle.counts.events).max(1) as f64;
        let recorder_ns = full.recorder_cpu_ns as f64 - idle.recorder_cpu_ns as f64;
        Ok(Figures {
            traced: full.traced,
            untraced: [before, after],
            recorder_ns: recorder_ns / stage.count as f64,
            event_bytes: (full.bytes as f64 - idle.bytes as f64) / more_events,
            lost: lost.max(stage.count.saturating_sub(of_loop)),
            surplus,
            peak_bytes: full.peak_bytes,
        })
    }

    fn record(self, stage: &Stage<'_>, count: u64) -> Result<Recording> {
        let Self { recorder, probe } = self;
        let (mark, workload) = (recorder.mark(probe), stage.workload(count));
        Recording::of(recorder, stage, &probe.wanted(), &mark, &workload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workload_s_line_is_read() {
        let line = "getppid 5 pid 7 tid 8 ns 393.7 cpu_ns 380.1 median_cpu_ns 379.5 \
                    process_cpu_ns 1200\n";
        let read = Loop::parse(line).unwrap();
        assert_eq!((read.tid, read.process_cpu_ns), (8, 1200));
        assert!((read.cpu_ns - 380.1).abs() < 1e-9);
    }
}
