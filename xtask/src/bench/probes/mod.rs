//! `bench probes`: what probes of each kind cost, in instructions, beside perf and bpftrace.
//!
//! All kinds and all tools run in one virtual machine whose clock counts instructions (see
//! [`instructions`]), which has the kernel's kprobes and trampolines. A figure is what is added
//! to a round of a loop in its own thread, and counts only if the tool's own output has the
//! events of the loop or, if they are rejected, none. Rejected events are compared with eBPF
//! programs that return at once ([`Empty`]): what the kernel takes to call them is in both.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

use self::kinds::{Body, Empty, KINDS, Kind, PERF_PROBES, Rejected};
use crate::apt::{self, Program};
use crate::bench::contender::Loop;
use crate::bench::recorder::{BUFFER_MIB, Only, PERF, Recorder, Wanted};
use crate::bench::rounds::Round;
use crate::bench::{count, instructions, machine, measure};
use crate::build::{self, Profile, Show};
use crate::vm::{self, Job, Outcome};
use crate::wire;

mod kinds;

/// Rounds of each loop.
const ROUNDS: u64 = 20_000;
/// The workload causes some of the same events before its loop: it opens and reads files.
const OTHERS: u64 = 100;

const BPFTRACE: Program = Program {
    name: "bpftrace",
    package: "bpftrace",
};
/// Sets the size of bpftrace's buffer, which has no option.
const ENV: Program = Program {
    name: "env",
    package: "coreutils",
};
/// bpftrace asks it for a compiler's folders, and does not survive that it is missing.
const SHELL: Program = Program {
    name: "sh",
    package: "dash",
};
const PROGRAMS: [Program; 4] = [PERF, BPFTRACE, ENV, SHELL];
/// Pages of a buffer of the size that the others have.
const BUFFER_PAGES: u64 = (BUFFER_MIB << 20) / 4096;

const WORK: &str = "/bin/work";
/// The output of each tool, in the folder of its run.
const OUTPUT: &str = "output";

/// Some eighty runs in a machine that is emulated.
const LIMIT: Duration = Duration::from_mins(45);

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tool {
    Tracer,
    /// Programs that return at once.
    Empty,
    Perf,
    /// Writes a line for each event.
    Bpftrace,
    /// Adds one to a number for each event.
    Counting,
}

impl Tool {
    const ALL: [Self; 5] = [
        Self::Tracer,
        Self::Empty,
        Self::Perf,
        Self::Bpftrace,
        Self::Counting,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Tracer => "tracer",
            Self::Empty => "empty program",
            Self::Perf => "perf",
            Self::Bpftrace => "bpftrace",
            Self::Counting => "bpftrace, counts only",
        }
    }
}

/// A row of the table: a kind of probe, whose events are recorded or rejected.
#[derive(Clone, Copy, Debug)]
struct Row {
    kind: &'static Kind,
    rejected: Option<&'static Rejected>,
}

impl Row {
    fn all() -> impl Iterator<Item = Self> {
        KINDS.iter().flat_map(|kind| {
            let rejected = kind.rejected.iter().map(Some);
            let ways = std::iter::once(None).chain(rejected);
            ways.map(move |rejected| Self { kind, rejected })
        })
    }

    fn name(self) -> &'static str {
        self.rejected.map_or(self.kind.name, |how| how.name)
    }

    /// The command of a tool, if it can do this.
    fn command(self, tool: Tool) -> Option<Vec<String>> {
        let Self { kind, rejected } = self;
        let workload = workload(kind.round);
        let record = |recorder: Recorder, event, only| {
            let wanted = Wanted { event, only };
            recorder.words("tracer", &wanted, Path::new(OUTPUT), &workload)
        };
        let bpftrace = |program: String| {
            let pages = format!("BPFTRACE_PERF_RB_PAGES={BUFFER_PAGES}");
            let workload = workload.join(" ");
            let words = [ENV.name, &pages, BPFTRACE.name, "-o", OUTPUT];
            let words = words.into_iter().chain(["-c", &workload, "-e", &program]);
            words.map(str::to_owned).collect()
        };
        let script = |body| {
            let condition = rejected.map(|how| how.bpftrace);
            bpftrace(kind.bpftrace.text(body, condition))
        };
        match (tool, rejected) {
            (Tool::Tracer, _) => {
                let only = rejected.map(|how| how.tracer);
                Some(record(Recorder::Tracer, kind.tracer, only))
            }
            (Tool::Perf, None) => Some(record(Recorder::Perf, kind.perf?, None)),
            (Tool::Perf, Some(how)) => {
                let only = Only::Filter(how.perf?);
                Some(record(Recorder::Perf, kind.perf?, Some(only)))
            }
            (Tool::Bpftrace, _) => Some(script(Body::Print)),
            (Tool::Counting, None) => Some(script(Body::Count)),
            (Tool::Empty, None) => Some(match kind.empty {
                Empty::Probes(probes) => {
                    let programs = probes.iter().map(|probe| format!("{probe} {{ }}"));
                    bpftrace(programs.collect::<Vec<_>>().join(" "))
                }
                Empty::Tracepoint(name) => {
                    let words = ["work", "empty-program", name, "--"].map(str::to_owned);
                    words.into_iter().chain(workload).collect()
                }
            }),
            // They know of no conditions.
            (Tool::Counting | Tool::Empty, Some(_)) => None,
        }
    }
}

fn workload(round: Round) -> Vec<String> {
    round.command(WORK, 0, ROUNDS)
}

/// Folder of the results of the untraced loop.
fn untraced_folder(round: Round) -> String {
    format!("untraced-{}", round.name())
}

/// Folder of the results of a tool in the row with this number.
fn folder(row: usize, tool: Tool) -> String {
    format!("{row}-{tool:?}")
}

fn job() -> Result<Job> {
    let mut job = Job::new()
        .counting_instructions()
        .memory_mib(3072)
        .timeout(LIMIT);
    for program in PROGRAMS {
        job = job.program(program.name)?;
    }
    for probe in PERF_PROBES {
        job = job.command([PERF.name, "probe"].iter().chain(probe).copied());
    }
    let keep = |job: Job, folder: String, words: Vec<String>| {
        let head = ["work", "keep", &folder, "--"].map(str::to_owned);
        job.command(head.into_iter().chain(words))
    };
    for round in Round::ALL {
        job = keep(job, untraced_folder(round), workload(round));
    }
    for (at, row) in Row::all().enumerate() {
        for tool in Tool::ALL {
            if let Some(words) = row.command(tool) {
                job = keep(job, folder(at, tool), words);
            }
        }
    }
    Ok(job)
}

/// The cost of each tool in a row, or why there is no figure.
type Figures = Vec<(Tool, Result<f64>)>;

/// Measures, prints the table, and returns all figures.
pub(super) fn run() -> Result<Value> {
    apt::ensure_installed(&PROGRAMS)?;
    let reader = build::everything(Profile::Release, Show::Progress)?;
    let outcome = vm::run(instructions::kernel(), &job()?)?;
    ensure!(
        outcome.status == 0,
        "the guest's last command ended with {}: {}",
        outcome.status,
        outcome.stderr
    );
    let untraced = Round::ALL
        .iter()
        .map(|&round| Ok(finished(&outcome, &untraced_folder(round))?.cpu_ns))
        .collect::<Result<Vec<_>>>()?;
    let figures = |(at, row): (usize, Row)| -> Figures {
        let tools = Tool::ALL.into_iter();
        let tools = tools.filter(|&tool| row.command(tool).is_some());
        let figure = |tool| {
            let traced = traced(&outcome, &folder(at, tool), row, tool, &reader)?;
            Ok(traced - untraced[row.kind.round as usize])
        };
        tools.map(|tool| (tool, figure(tool))).collect()
    };
    let added: Vec<_> = Row::all().enumerate().map(figures).collect();
    println!(
        "instructions added to each round of a loop, in its thread, and as a multiple of \
         tracer's, or of the empty program's where tracer rejects; Linux {}, {}, {}",
        outcome.release,
        machine::version(PERF.name),
        machine::version(BPFTRACE.name)
    );
    print!("{}", table(&untraced, &added));
    let rows = Row::all().zip(&added).map(|(row, figures)| {
        let of = |(tool, figure): &(Tool, Result<f64>)| {
            let figure = figure.as_ref().ok();
            (tool.name().to_owned(), json!(figure))
        };
        json!({
            "kind": row.kind.name,
            "rejected": row.rejected.map(|how| how.name.trim()),
            "untraced": untraced[row.kind.round as usize],
            "added": figures.iter().map(of).collect::<Map<_, _>>(),
        })
    });
    Ok(json!({ "release": outcome.release, "rows": rows.collect::<Value>() }))
}

/// The loop of a run that came to its end.
fn finished(outcome: &Outcome, folder: &str) -> Result<Loop> {
    let read = |entry: &str| {
        let path = outcome.out_dir().join(folder).join(entry);
        fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))
    };
    let status = read(wire::STATUS_ENTRY)?;
    ensure!(
        status == "0",
        "it ended with {status}: {}",
        measure::tail(&read(wire::STDERR_ENTRY)?)
    );
    Loop::parse(&read(wire::STDOUT_ENTRY)?)
}

/// Instructions of a round while a tool did its work, which is held to the events that it left;
/// empty programs leave none, and a command that cannot attach them fails.
/// `reader` is the `tracer` that reads its own traces.
fn traced(outcome: &Outcome, folder: &str, row: Row, tool: Tool, reader: &Path) -> Result<f64> {
    let traced = finished(outcome, folder)?;
    let output = outcome.out_dir().join(folder).join(OUTPUT);
    let count = |recorder| Ok(count::count(recorder, reader, "", &output, traced.tid)?.of_loop);
    let events = match tool {
        Tool::Empty => return Ok(traced.cpu_ns),
        Tool::Tracer => count(Recorder::Tracer),
        Tool::Perf => count(Recorder::Perf),
        Tool::Bpftrace | Tool::Counting => fs::read_to_string(&output)
            .with_context(|| format!("cannot read `{}`", output.display()))
            .map(|text| match tool {
                Tool::Counting => counted(&text),
                _ => printed(&text, traced.tid),
            }),
    }?;
    let expected = match row.rejected {
        None => ROUNDS..=ROUNDS + OTHERS,
        Some(_) => 0..=0,
    };
    ensure!(
        expected.contains(&events),
        "its output has {events} events of {ROUNDS} rounds"
    );
    Ok(traced.cpu_ns)
}

/// Lines that a [`Script`](kinds::Script) printed in a thread: time, thread, values.
fn printed(text: &str, tid: u32) -> u64 {
    let tid = tid.to_string();
    let of_thread = |line: &&str| line.split(' ').nth(1) == Some(&tid);
    text.lines().filter(of_thread).count() as u64
}

/// The number without a name that bpftrace prints at its end.
fn counted(text: &str) -> u64 {
    let number = text.lines().find_map(|line| line.strip_prefix("@: "));
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn table(untraced: &[f64], added: &[Figures]) -> String {
    let mut text = format!("{:36} {:10} {:>9}", "probe", "loop", "untraced");
    let mut complaints = String::new();
    // Writing to a string cannot fail.
    for tool in Tool::ALL {
        let _ = write!(text, " {:>21}", tool.name());
    }
    let mut empty = None;
    for (row, figures) in Row::all().zip(added) {
        let round = row.kind.round;
        let base = untraced[round as usize];
        let _ = write!(text, "\n{:36} {:10} {base:>9.0}", row.name(), round.name());
        let of = |tool| figures.iter().find(|(other, _)| *other == tool);
        let good = |tool| of(tool).and_then(|(_, figure)| figure.as_ref().ok());
        if row.rejected.is_none() {
            empty = good(Tool::Empty);
        }
        for tool in Tool::ALL {
            let reference = match (tool, row.rejected) {
                (Tool::Tracer, None) => None,
                (Tool::Tracer, Some(_)) => empty,
                _ => good(Tool::Tracer),
            };
            let cell = match (of(tool), reference) {
                (Some((_, Ok(figure))), None) => format!("{figure:.0}"),
                (Some((_, Ok(figure))), Some(reference)) => {
                    let times = if tool == Tool::Tracer { " x empty" } else { "" };
                    format!("{figure:.0} ({:.2}{times})", figure / reference)
                }
                (Some((_, Err(error))), _) => {
                    let (tool, row) = (tool.name(), row.name().trim());
                    let _ = writeln!(complaints, "no figure of {tool}, {row}: {error:#}");
                    "-".to_owned()
                }
                (None, _) => "-".to_owned(),
            };
            let _ = write!(text, " {cell:>21}");
        }
        if row.rejected.is_none() && !row.kind.perf_lacks.is_empty() {
            let _ = write!(text, "  perf: {}", row.kind.perf_lacks);
        }
    }
    text + "\n" + &complaints
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_tool_has_its_own_command_in_each_row() {
        // Kinds of one place share the empty programs.
        for tool in Tool::ALL.into_iter().filter(|tool| *tool != Tool::Empty) {
            let commands: Vec<_> = Row::all().filter_map(|row| row.command(tool)).collect();
            let different: BTreeSet<_> = commands.iter().collect();
            assert_eq!(different.len(), commands.len(), "{tool:?}");
        }
    }

    #[test]
    fn lines_of_the_thread_are_counted() {
        let text = "Attaching 1 probe...\n51 152 ff29\n52 15 152\n53 152 1\n@start[152]: 7\n";
        assert_eq!(printed(text, 152), 2);
    }

    #[test]
    fn the_number_of_events_is_read() {
        assert_eq!(
            counted("Attaching 1 probe...\n\n@: 20012\n@start[1]: 3\n"),
            20012
        );
        assert_eq!(counted("Attaching 1 probe...\n"), 0);
    }

    #[test]
    fn figures_have_their_multiples_and_gaps_are_explained() {
        let mut added: Vec<Figures> = Row::all().map(|_| Vec::new()).collect();
        added[0] = vec![
            (Tool::Tracer, Ok(200.0)),
            (Tool::Empty, Ok(100.0)),
            (Tool::Perf, Ok(500.0)),
            (Tool::Bpftrace, Err(anyhow::anyhow!("it ended with 1"))),
        ];
        added[1] = vec![(Tool::Tracer, Ok(120.0))];
        let text = table(&[100.0; Round::ALL.len()], &added);
        let row = text.lines().nth(1).unwrap();
        let words: Vec<_> = row.split_whitespace().rev().take(8).collect();
        assert_eq!(
            words,
            ["-", "-", "(2.50)", "500", "(0.50)", "100", "200", "100"],
            "{row}"
        );
        let rejected = text.lines().nth(2).unwrap();
        assert!(rejected.contains(" 120 (1.20 x empty) "), "{rejected}");
        let told = format!(
            "no figure of bpftrace, {}: it ended with 1\n",
            KINDS[0].name
        );
        assert!(text.ends_with(&told), "{text}");
    }
}
