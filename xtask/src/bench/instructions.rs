//! `bench instructions`: what an event costs, in instructions.
//!
//! A virtual machine that advances its clock by one nanosecond per instruction turns the CPU
//! time of the looping thread into a number of instructions, which repeats from run to run
//! and from machine to machine. It does not show caches; it finds what grew.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::bench::baseline::{Baseline, Change, TOLERANCE};
use crate::bench::contender::Loop;
use crate::vm::{self, Job, Kernel, Outcome};

/// The kernel to measure on.
#[must_use]
pub fn kernel() -> Kernel {
    Kernel::named("6.12")
}

/// Enough for the few instructions around the loop not to show.
const CALLS: &str = "20000";
/// ftrace without a reader: the reference without a BPF program.
const FTRACE: &str = "/sys/kernel/tracing/events/raw_syscalls/sys_enter/enable";

/// The command that writes the current numbers to the file.
const UPDATE: &str = "`cargo xtask bench instructions --update`";

/// The measurements: name, and the event that `tracer` records for it.
const TRACED: [(&str, &str); 2] = [
    ("tracer raw_syscalls:sys_enter", "raw_syscalls:sys_enter"),
    (
        "tracer syscalls:sys_enter_getppid",
        "syscalls:sys_enter_getppid",
    ),
];
const REFERENCE: &str = "ftrace raw_syscalls:sys_enter";

/// The commands of the machine: the loop untraced, with each event, and with ftrace.
#[must_use]
pub fn job() -> Job {
    let work = ["work", "--cpu", "0", "getppid", CALLS];
    let mut job = Job::new().counting_instructions().command(work);
    for (_, event) in TRACED {
        let record = [
            "tracer",
            "record",
            "--force",
            "-o",
            "/tmp/trace",
            "-e",
            event,
            "--",
        ];
        job = job.command(record.into_iter().chain(work));
    }
    job.command(["work", "put", "1", FTRACE])
        .command(work)
        .command(["work", "put", "0", FTRACE])
}

/// Compares the results of [`job`] with the committed numbers. A gain is reported and does not
/// fail; committed, it lets the next growth be found.
///
/// # Errors
/// If a number is greater than the committed one, or there is none.
pub fn verify(outcome: &Outcome) -> Result<()> {
    let counts = counts(outcome)?;
    let baseline = Baseline::read(&Baseline::path())?;
    let mut complaints = Vec::new();
    for (name, _) in TRACED {
        let count = counts[name];
        match baseline.change(name, count) {
            Change::Same => {}
            Change::Grown(share) => complaints.push(format!(
                "{name} adds {count:.1} instructions, {:.1} % more than is committed",
                share * 100.0
            )),
            Change::Shrunk(share) => println!(
                "   {name} adds only {count:.1} instructions, {:.1} % less than is committed: \
                 keep the gain by {UPDATE}",
                share * -100.0
            ),
            Change::New => complaints.push(format!("{name} has no committed number")),
        }
    }
    if !complaints.is_empty() {
        bail!(
            "{}; if that has to be, accept it by {UPDATE}",
            complaints.join("; ")
        );
    }
    Ok(())
}

/// Counts, compares with the committed numbers, and with `update` puts the new ones in their
/// place.
pub(super) fn run(update: bool) -> Result<Value> {
    let outcome = vm::run(kernel(), &job())?;
    let counts = counts(&outcome)?;
    let path = Baseline::path();
    // Without the file there is nothing to compare with, and the numbers are worth showing.
    let baseline = Baseline::read(&path).unwrap_or_default();
    println!(
        "instructions added to a system call, Linux {}",
        outcome.release
    );
    for (name, count) in &counts {
        let verdict = match baseline.change(name, *count) {
            Change::Same => format!("as committed (within {:.0} %)", TOLERANCE * 100.0),
            Change::Grown(share) | Change::Shrunk(share) => {
                format!("{:+.1} % against the committed", share * 100.0)
            }
            Change::New => "not committed".to_owned(),
        };
        println!("{name:40} {count:>8.1}  {verdict}");
    }
    // Only now, so that what is shown is what has changed.
    if update {
        Baseline(counts.clone()).write(&path)?;
    }
    Ok(json!({ "release": outcome.release, "instructions": counts }))
}

/// Instructions that each measurement adds to the untraced call.
fn counts(outcome: &Outcome) -> Result<BTreeMap<String, f64>> {
    ensure!(
        outcome.status == 0,
        "the guest's last command ended with {}: {}",
        outcome.status,
        outcome.stderr
    );
    let loops = outcome
        .stdout
        .lines()
        .filter(|line| line.starts_with("getppid "))
        .map(Loop::parse)
        .collect::<Result<Vec<_>>>()?;
    let (untraced, traced) = loops.split_first().context("the guest ran no loop")?;
    let names = TRACED.iter().map(|(name, _)| *name).chain([REFERENCE]);
    ensure!(
        traced.len() == TRACED.len() + 1,
        "the guest ran {} loops of {}:\n{}",
        loops.len(),
        TRACED.len() + 2,
        outcome.stdout
    );
    Ok(names
        .zip(traced)
        .map(|(name, traced)| (name.to_owned(), traced.cpu_ns - untraced.cpu_ns))
        .collect())
}
