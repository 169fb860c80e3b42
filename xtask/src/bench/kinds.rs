//! The second part of `bench event`: what probes of each kind add to what they are attached
//! to, and what an event costs that a filter rejects, beside an eBPF program that returns at
//! once.

use std::fmt::Write as _;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::bench::contender::{Loop, Recording, Stage};
use crate::bench::event::ATTEMPTS;
use crate::bench::measure;
use crate::bench::recorder::{Only, Recorder, Wanted, privileged};
use crate::bench::rounds::Round;
use crate::bench::stats::Sample;

/// A rejected event may cost so many times what the empty program costs.
const MOST_OF_EMPTY: f64 = 1.5;

/// The columns of the table.
const RECORDERS: [Recorder; 3] = [Recorder::Tracer, Recorder::Perf, Recorder::TraceCmd];

/// Rounds of a loop in a run: fewer of those that are slower than getppid(2).
fn rounds(stage: &Stage<'_>, round: Round) -> u64 {
    let share = match round {
        Round::Getppid | Round::Signal => 1,
        Round::Open | Round::Read | Round::Function => 4,
    };
    (stage.count / share).max(1)
}

/// The attached probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attached {
    /// The empty program, to this tracepoint, `SUBSYSTEM:NAME`, or raw one, `NAME`.
    Empty(&'static str),
    /// A recorder with this probe. `WORK` stands for the workload's program.
    Probe(&'static str),
    /// The same with a filter that no event of the loop passes.
    Rejected(&'static str, &'static str),
}

/// A row of the table: a loop, and what is attached to it.
#[derive(Clone, Copy, Debug)]
struct Kind {
    name: &'static str,
    round: Round,
    attached: Attached,
    /// The row of the empty program that it is compared with.
    empty: Option<usize>,
    /// What perf and trace-cmd do differently with the same words; `None`: they cannot do it.
    peers: Option<&'static str>,
}

/// A row of what only this recorder has.
const fn own(name: &'static str, round: Round, attached: Attached) -> Kind {
    Kind {
        name,
        round,
        attached,
        empty: None,
        peers: None,
    }
}

/// A row of what perf and trace-cmd do, too.
const fn shared(name: &'static str, round: Round, attached: Attached) -> Kind {
    Kind {
        peers: Some(""),
        ..own(name, round, attached)
    }
}

impl Kind {
    /// Compared with this row of the empty program.
    const fn over(self, empty: usize) -> Self {
        Self {
            empty: Some(empty),
            ..self
        }
    }
}

const RAW: &str = "raw_syscalls:sys_enter";
const GETPPID: &str = "syscalls:sys_enter_getppid";
const OPENAT: &str = "syscalls:sys_enter_openat";
const SIGNAL: &str = "signal:signal_generate";

const KINDS: [Kind; 15] = {
    use Attached::{Empty, Probe, Rejected};
    use Round::{Function, Getppid, Open, Signal};
    [
        own("empty program on sys_enter", Getppid, Empty("sys_enter")),
        shared("raw system call", Getppid, Probe(RAW)),
        shared(
            "  rejected by its number",
            Getppid,
            Rejected(RAW, "id == 511"),
        )
        .over(0),
        shared("system call", Getppid, Probe(GETPPID)),
        own(
            "  rejected by thread",
            Getppid,
            Rejected(GETPPID, "tid == 1"),
        )
        .over(0),
        own("raw tracepoint", Getppid, Probe("rawtp:sys_enter{id}")),
        own(
            "  rejected by an argument",
            Getppid,
            Rejected("rawtp:sys_enter{id}", "id == 511"),
        )
        .over(0),
        own("empty program on sys_enter", Open, Empty("sys_enter")),
        Kind {
            peers: Some(" (address only)"),
            ..own("system call with a string", Open, Probe(OPENAT))
        },
        shared("  rejected by a number", Open, Rejected(OPENAT, "dfd == 7")).over(7),
        own(
            "  rejected by the string",
            Open,
            Rejected(OPENAT, "filename == '/x'"),
        )
        .over(7),
        own(
            "empty program on signal:signal_generate",
            Signal,
            Empty("signal:signal_generate"),
        ),
        shared("tracepoint", Signal, Probe(SIGNAL)),
        shared(
            "  rejected by a number",
            Signal,
            Rejected(SIGNAL, "sig == 64"),
        )
        .over(11),
        own("uprobe", Function, Probe("uprobe:WORK:work_probed{arg0}")),
    ]
};

/// The cost of each of [`RECORDERS`] in a row; empty if it has no part in it.
type Added = [Sample; RECORDERS.len()];

/// Measures all kinds in turns, prints the table, and returns the figures.
pub(super) fn run(stage: &Stage<'_>, runs: u32) -> Result<Value> {
    let is_there = RECORDERS.map(|recorder| recorder.ensure().is_ok());
    let cells: Vec<_> = (0..KINDS.len())
        .flat_map(|row| (0..RECORDERS.len()).map(move |column| (row, column)))
        .filter(|&(row, column)| is_there[column] && KINDS[row].has(RECORDERS[column]))
        .collect();
    let mut untraced = Round::ALL.map(|_| Sample::default());
    let mut added = vec![Added::default(); KINDS.len()];
    for round in 0..runs as usize {
        eprintln!("xtask: kinds of probes, round {} of {runs}", round + 1);
        for turn in 0..cells.len() {
            let (row, column) = cells[(round + turn) % cells.len()];
            let kind = &KINDS[row];
            let before = kind.untraced(stage)?;
            let Some(traced) = kind.traced_again(stage, RECORDERS[column])? else {
                continue;
            };
            let base = f64::midpoint(before, kind.untraced(stage)?);
            untraced[kind.round as usize].push(base);
            added[row][column].push(traced - base);
        }
    }
    print!("{}", table(&untraced, &added));
    let rows = KINDS.iter().zip(&added).map(|(kind, own)| {
        let [tracer, perf, trace_cmd] = own;
        json!({
            "name": kind.name.trim(),
            "loop": kind.round.name(),
            "added_ns": tracer.json(),
            "perf_added_ns": perf.json(),
            "trace_cmd_added_ns": trace_cmd.json(),
            "of_empty": kind.of_empty(&added, tracer).map(|ratios| ratios.json()),
        })
    });
    Ok(rows.collect())
}

impl Kind {
    /// Whether the row has a figure of this recorder. The empty program's is in the place of
    /// the first.
    fn has(&self, recorder: Recorder) -> bool {
        recorder == Recorder::Tracer || self.peers.is_some()
    }

    fn workload(&self, stage: &Stage<'_>) -> Vec<String> {
        stage.round(self.round, rounds(stage, self.round))
    }

    fn untraced(&self, stage: &Stage<'_>) -> Result<f64> {
        Ok(stage.run(&self.workload(stage))?.median_cpu_ns)
    }

    /// What others do on the machine can make a peer fail, which is then tried again; none: it
    /// failed each time.
    fn traced_again(&self, stage: &Stage<'_>, recorder: Recorder) -> Result<Option<f64>> {
        for _ in 0..ATTEMPTS {
            match self.traced(stage, recorder) {
                Err(error) if recorder != Recorder::Tracer => {
                    eprintln!("xtask: {} failed: {error:#}", recorder.name());
                }
                traced => return traced.map(Some),
            }
        }
        Ok(None)
    }

    fn traced(&self, stage: &Stage<'_>, recorder: Recorder) -> Result<f64> {
        let workload = self.workload(stage);
        let (probe, only) = match self.attached {
            Attached::Empty(tracepoint) => {
                let mut command = privileged(stage.work);
                command.args(["empty-program", tracepoint, "--"]);
                command.args(&workload);
                let finished = measure::run(&mut command, stage.folder, |_| {})?;
                return Ok(Loop::parse(&finished.checked(&command)?.stdout)?.median_cpu_ns);
            }
            Attached::Probe(probe) => (probe, None),
            Attached::Rejected(probe, filter) => (probe, Some(Only::Filter(filter))),
        };
        let wanted = Wanted {
            event: &probe.replace("WORK", &stage.work.to_string_lossy()),
            only,
        };
        let recording = Recording::of(recorder, stage, &wanted, "", &workload)?;
        let calls = rounds(stage, self.round);
        // A figure per event is worth nothing if the events are not there, or if they are where
        // they should have been rejected.
        let counts = recording.counts;
        let is_right = match only {
            None => counts.of_loop + counts.lost >= calls,
            Some(_) => counts.of_loop == 0,
        };
        ensure!(
            is_right,
            "the figures of `{}` by {} are refused: there are {} events of {calls} rounds",
            self.name.trim(),
            recorder.name(),
            counts.of_loop
        );
        Ok(recording.traced.median_cpu_ns)
    }

    /// The cost of a rejected event as a multiple of the empty program's, in each round.
    fn of_empty(&self, added: &[Added], own: &Sample) -> Option<Sample> {
        let [empty, ..] = &added[self.empty?];
        Some(own.ratios(empty).collect())
    }
}

fn table(untraced: &[Sample], added: &[Added]) -> String {
    let mut text = format!(
        "\nkinds of probes: added to each round of a loop, in its thread's CPU time, ns\n{:32} \
         {:10} {:>12} {:>24} {:>24} {:>24} {:>24}\n",
        "attached", "loop", "untraced", "added", "of the empty program", "by perf", "by trace-cmd"
    );
    for (kind, own) in KINDS.iter().zip(added) {
        let [tracer, perf, trace_cmd] = own;
        let of_empty = kind.of_empty(added, tracer).map(|ratios| {
            let word = if ratios.median() <= 0.0 {
                // The noise was greater than what the empty program adds.
                "not to be told"
            } else if ratios.median() <= MOST_OF_EMPTY {
                "reached"
            } else {
                "NOT REACHED"
            };
            format!("{ratios:.2} {word}")
        });
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{:32} {:10} {:>12.0} {:>24} {:>24} {:>24} {:>24}{}",
            kind.name,
            kind.round.name(),
            untraced[kind.round as usize].median(),
            format!("{tracer:.0}"),
            of_empty.unwrap_or_default(),
            format!("{perf:.0}"),
            format!("{trace_cmd:.0}"),
            kind.peers.unwrap_or_default()
        );
    }
    let _ = writeln!(
        text,
        "target: what a filter rejects costs at most {MOST_OF_EMPTY} times the empty program"
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejected_events_are_compared_with_the_empty_program_of_their_loop() {
        for kind in KINDS {
            let is_rejected = matches!(kind.attached, Attached::Rejected(..));
            assert_eq!(kind.empty.is_some(), is_rejected, "{}", kind.name);
            if let Some(empty) = kind.empty {
                assert!(matches!(KINDS[empty].attached, Attached::Empty(_)));
                assert_eq!(KINDS[empty].round, kind.round);
            }
        }
    }
}
