//! The second part of `bench event`: what probes of each kind add to what they are attached
//! to, and what an event costs that a filter rejects, beside an eBPF program that returns at
//! once.

use std::{fmt::Write as _, process::Command};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{
    contender::{Loop, Stage},
    count, measure,
    recorder::{BUFFER_MIB, Recorder, privileged},
    stats::Sample,
};

/// A rejected event may cost so many times what the empty program costs.
const MOST_OF_EMPTY: f64 = 1.5;

/// Rounds of these loops are slower than getppid(2): fewer are as exact.
const SHARE: u64 = 4;

/// A loop of the workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    Getppid,
    /// openat(2) of a file that is not there.
    Open,
    /// A thread gives itself a name.
    Rename,
    /// A function of the workload is called.
    Function,
}

impl Round {
    const ALL: [Self; 4] = [Self::Getppid, Self::Open, Self::Rename, Self::Function];

    fn words(self, stage: &Stage<'_>) -> Vec<String> {
        let count = (stage.count / SHARE).max(1).to_string();
        let words: &[&str] = match self {
            Self::Getppid => &["getppid", &count],
            Self::Open => &["open", "/no/such/file", &count],
            Self::Rename => &["name", &count],
            Self::Function => &["function", &count],
        };
        let head = [
            stage.work.to_string_lossy().into_owned(),
            "--cpu".to_owned(),
            stage.cpu.to_string(),
        ];
        let words = words.iter().map(|&word| word.to_owned());
        head.into_iter().chain(words).collect()
    }
}

/// What is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attached {
    /// The empty program, to this raw tracepoint.
    Empty(&'static str),
    /// The recorder with this probe. `WORK` stands for the workload's program.
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
}

const fn kind(name: &'static str, round: Round, attached: Attached) -> Kind {
    Kind {
        name,
        round,
        attached,
        empty: None,
    }
}

const fn rejected(name: &'static str, round: Round, attached: Attached, empty: usize) -> Kind {
    Kind {
        empty: Some(empty),
        ..kind(name, round, attached)
    }
}

const RAW: &str = "raw_syscalls:sys_enter";
const GETPPID: &str = "syscalls:sys_enter_getppid";
const OPENAT: &str = "syscalls:sys_enter_openat";
const RENAME: &str = "task:task_rename";

const KINDS: [Kind; 15] = {
    use Attached::{Empty, Probe, Rejected};
    use Round::{Function, Getppid, Open, Rename};
    [
        kind("empty program on sys_enter", Getppid, Empty("sys_enter")),
        kind("raw system call", Getppid, Probe(RAW)),
        rejected(
            "  rejected by its number",
            Getppid,
            Rejected(RAW, "id == 511"),
            0,
        ),
        kind("system call", Getppid, Probe(GETPPID)),
        rejected(
            "  rejected by thread",
            Getppid,
            Rejected(GETPPID, "tid == 1"),
            0,
        ),
        kind("raw tracepoint", Getppid, Probe("rawtp:sys_enter{id}")),
        rejected(
            "  rejected by an argument",
            Getppid,
            Rejected("rawtp:sys_enter{id}", "id == 511"),
            0,
        ),
        kind("empty program on sys_enter", Open, Empty("sys_enter")),
        kind("system call with a string", Open, Probe(OPENAT)),
        rejected(
            "  rejected by a number",
            Open,
            Rejected(OPENAT, "dfd == 7"),
            7,
        ),
        rejected(
            "  rejected by the string",
            Open,
            Rejected(OPENAT, "filename == '/x'"),
            7,
        ),
        kind("empty program on task_rename", Rename, Empty("task_rename")),
        kind("tracepoint", Rename, Probe(RENAME)),
        rejected(
            "  rejected by a number",
            Rename,
            Rejected(RENAME, "oom_score_adj == 77"),
            11,
        ),
        kind("uprobe", Function, Probe("uprobe:WORK:work_probed{arg0}")),
    ]
};

/// Measures all kinds in turns, prints the table, and returns the figures.
pub(super) fn run(stage: &Stage<'_>, runs: u32) -> Result<Value> {
    let mut untraced = Round::ALL.map(|_| Sample::default());
    let mut added = vec![Sample::default(); KINDS.len()];
    for round in 0..runs as usize {
        eprintln!("xtask: kinds of probes, round {} of {runs}", round + 1);
        for turn in 0..KINDS.len() {
            let at = (round + turn) % KINDS.len();
            let kind = &KINDS[at];
            let before = kind.untraced(stage)?;
            let traced = kind.traced(stage)?;
            let base = f64::midpoint(before, kind.untraced(stage)?);
            untraced[kind.round as usize].push(base);
            added[at].push(traced - base);
        }
    }
    print!("{}", table(&untraced, &added));
    let rows = KINDS.iter().zip(&added).map(|(kind, own)| {
        json!({
            "name": kind.name.trim(),
            "loop": format!("{:?}", kind.round),
            "added_ns": own.json(),
            "of_empty": kind.of_empty(&added, own).map(|ratios| ratios.json()),
        })
    });
    Ok(rows.collect())
}

impl Kind {
    fn untraced(&self, stage: &Stage<'_>) -> Result<f64> {
        let words = self.round.words(stage);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        let finished = measure::run(&mut command, stage.folder, |_| {})?.checked(&command)?;
        Ok(Loop::parse(&finished.stdout)?.median_cpu_ns)
    }

    fn traced(&self, stage: &Stage<'_>) -> Result<f64> {
        let workload = self.round.words(stage);
        let mut command = self.command(stage);
        command.arg("--").args(&workload);
        let finished = measure::run(&mut command, stage.folder, |_| {})?.checked(&command)?;
        self.check(stage, &finished.stderr)
            .with_context(|| format!("the figures of `{}` are refused", self.name.trim()))?;
        Ok(Loop::parse(&finished.stdout)?.median_cpu_ns)
    }

    fn command(&self, stage: &Stage<'_>) -> Command {
        let (probe, filter) = match self.attached {
            Attached::Empty(tracepoint) => {
                let mut command = privileged(stage.work);
                command.args(["empty-program", tracepoint]);
                return command;
            }
            Attached::Probe(probe) => (probe, None),
            Attached::Rejected(probe, filter) => (probe, Some(filter)),
        };
        let mut command = privileged(stage.tracer);
        command.args(["record", "--force", "--no-state-dump", "--buffer-size"]);
        command.arg(format!("{BUFFER_MIB}M"));
        let probe = probe.replace("WORK", &stage.work.to_string_lossy());
        command.args(["-e", &probe]);
        command.args(filter.iter().flat_map(|filter| ["-f", filter]));
        command.arg("-o").arg(Recorder::Tracer.output(stage.folder));
        command
    }

    /// A figure per event is worth nothing if the events are not there, or if they are where
    /// they should have been rejected.
    fn check(&self, stage: &Stage<'_>, summary: &str) -> Result<()> {
        let calls = (stage.count / SHARE).max(1);
        let recorded = || {
            let text = summary
                .lines()
                .find_map(|line| line.strip_prefix("recorded "));
            let number = text.and_then(|text| text.split(' ').next());
            let number = number.and_then(|number| number.replace(',', "").parse::<u64>().ok());
            number.context("the summary says nothing of recorded events")
        };
        match self.attached {
            Attached::Empty(_) => Ok(()),
            Attached::Probe(_) => {
                let lost = count::lost_in_summary(summary).unwrap_or_default();
                let seen = recorded()? + lost;
                ensure!(seen >= calls, "there are {seen} events of {calls} calls");
                Ok(())
            }
            Attached::Rejected(..) => {
                let recorded = recorded()?;
                ensure!(recorded < calls, "{recorded} events passed the filter");
                Ok(())
            }
        }
    }

    /// What a rejected event costs as a multiple of the empty program, in each round.
    fn of_empty(&self, added: &[Sample], own: &Sample) -> Option<Sample> {
        self.empty.map(|empty| own.ratios(&added[empty]).collect())
    }
}

fn table(untraced: &[Sample; 4], added: &[Sample]) -> String {
    let mut text = format!(
        "\nkinds of probes: added to each round of a loop, in its thread's CPU time, ns\n{:32} \
         {:10} {:>12} {:>24} {:>24}\n",
        "attached", "loop", "untraced", "added", "of the empty program"
    );
    for (kind, own) in KINDS.iter().zip(added) {
        let of_empty = kind.of_empty(added, own).map(|ratios| {
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
            "{:32} {:10} {:>12.0} {:>24} {:>24}",
            kind.name,
            format!("{:?}", kind.round).to_lowercase(),
            untraced[kind.round as usize].median(),
            format!("{own:.0}"),
            of_empty.unwrap_or_default()
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
