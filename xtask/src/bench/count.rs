//! Counting what a recorder recorded, by its own reader: a figure per event is worth
//! nothing if the events are not there.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use crate::bench::recorder::Recorder;
use crate::process;

/// The content of a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// All events.
    pub(super) events: u64,
    /// Those of the loop.
    pub(super) of_loop: u64,
    /// Lost events according to the trace.
    pub(super) lost: u64,
}

/// Reads the trace `output` of a loop in the thread `tid`, whose events `mark` is in, and in
/// no others of that thread.
pub(super) fn count(
    recorder: Recorder,
    tracer: &Path,
    mark: &str,
    output: &Path,
    tid: u32,
) -> Result<Counts> {
    let mut command = recorder.report(tracer, output);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start `{}`", process::display(&command)))?;
    let stdout = child.stdout.take().context("the output is not a pipe")?;
    let counts = count_lines(
        BufReader::with_capacity(1 << 18, stdout),
        &recorder.thread(tid),
        mark,
    );
    let status = child
        .wait()
        .with_context(|| format!("cannot wait for `{}`", process::display(&command)))?;
    ensure!(
        status.success(),
        "`{}` ended with {status}",
        process::display(&command)
    );
    let mut counts =
        counts.with_context(|| format!("cannot read from `{}`", process::display(&command)))?;
    if recorder == Recorder::TraceCmd {
        let statistics = process::output(&mut Recorder::statistics(output))?;
        counts.lost += lost_in_buffers(&statistics);
    }
    Ok(counts)
}

fn count_lines(mut lines: impl BufRead, thread: &str, mark: &str) -> std::io::Result<Counts> {
    let mut counts = Counts::default();
    let mut line = String::new();
    while {
        line.clear();
        lines.read_line(&mut line)? > 0
    } {
        if let Some((_, lost)) = line.split_once("PERF_RECORD_LOST") {
            let number = lost
                .split_whitespace()
                .find_map(|word| word.parse::<u64>().ok());
            counts.lost += number.unwrap_or(1);
        } else if !line.trim().is_empty() && !line.starts_with("cpus=") {
            counts.events += 1;
            // The thread had another name before it became the workload.
            let of_loop = line.trim_start().starts_with("work")
                && line.contains(thread)
                && line.contains(mark);
            counts.of_loop += u64::from(of_loop);
        }
    }
    Ok(counts)
}

/// Events that were overwritten or refused in the kernel's buffers, of all CPUs.
fn lost_in_buffers(statistics: &str) -> u64 {
    statistics
        .lines()
        .filter_map(|line| line.split_once(": "))
        .filter(|(name, _)| ["overrun", "commit overrun", "dropped events"].contains(&name.trim()))
        .filter_map(|(_, number)| number.trim().parse::<u64>().ok())
        .sum()
}

/// Lost events of all CPUs according to the summary of `tracer record`.
pub(super) fn lost_in_summary(summary: &str) -> Option<u64> {
    let mut lost = None;
    for line in summary.lines() {
        let Some(rest) = line.strip_prefix("lost ") else {
            continue;
        };
        let number: String = rest
            .chars()
            .take_while(|letter| letter.is_ascii_digit() || *letter == ',')
            .filter(char::is_ascii_digit)
            .collect();
        *lost.get_or_insert(0) += number.parse::<u64>().ok()?;
    }
    lost
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_the_loop_are_distinguished_from_others() {
        let text = "cpus=2\n\
            \x20           work-7     [000]  1.000001: sys_enter: NR 110 (0, 0)\n\
            \x20           work-7     [000]  1.000002: sys_enter: NR 1 (0, 0)\n\
            \x20           work-77    [000]  1.000003: sys_enter: NR 110 (0, 0)\n";
        let counts = count_lines(text.as_bytes(), "-7 ", "NR 110 (").unwrap();
        assert_eq!((counts.events, counts.of_loop, counts.lost), (3, 1, 0));
    }

    #[test]
    fn the_losses_that_perf_reports_are_counted() {
        let text = "            work     7 PERF_RECORD_LOST lost 52\n";
        assert_eq!(count_lines(text.as_bytes(), " 7 ", "x").unwrap().lost, 52);
    }

    #[test]
    fn the_loss_of_all_buffers_is_added_up() {
        let text = "CPU: 0\nentries: 9\noverrun: 1\ncommit overrun: 2\nbytes: 8\n\
                    dropped events: 3\nread events: 5\n\nCPU: 1\noverrun: 10\n";
        assert_eq!(lost_in_buffers(text), 16);
    }

    #[test]
    fn the_losses_that_tracer_reports_are_counted() {
        assert_eq!(lost_in_summary("lost 0 events\n"), Some(0));
        let text = "lost 1,204 of 5,000 events on CPU 0: x\nlost 6 of 9 events on CPU 1: x\n";
        assert_eq!(lost_in_summary(text), Some(1210));
        assert_eq!(lost_in_summary("recorded 5 events\n"), None);
    }
}
