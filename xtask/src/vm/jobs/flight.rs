//! Recording into memory alone: snapshots, and what is left at the end.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::vm::jobs::kept::Kept;
use crate::vm::jobs::trace::Trace;
use crate::vm::jobs::{Check, Command};
use crate::vm::{Kernel, Outcome};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "a snapshot has every call before it, and none after it",
        verify: verify_snapshot,
    },
    Check {
        name: "overwritten calls and those that are left make all",
        verify: verify_last,
    },
    Check {
        name: "the latest calls are left",
        verify: |_, outcome| {
            let trace = Trace::read(outcome, "flight/last")?;
            let reads = reads(&trace);
            ensure!(reads == READS, "{reads} of the last {READS} reads are left");
            Ok(())
        },
    },
    Check {
        name: "a function call that matches a filter takes one snapshot",
        verify: verify_trigger,
    },
];

/// Only the workload makes these calls.
const CALL: &str = "kprobe:__x64_sys_getppid";
const READ: &str = "kprobe:vfs_read";
/// Only the workload reads single bytes.
const READ_OF_A_BYTE: &str = "kprobe:vfs_read if count == 1";

/// Calls before the snapshot; all fit into the memory of a CPU.
const BEFORE: u64 = 1000;
/// Calls after it; they do not.
const AFTER: u64 = 6000;
const READS: u64 = 10;

pub(super) fn commands() -> Vec<Command> {
    let record = "tracer record --mode overwrite --buffer-size 256K --subbuf-size 32K -o last";
    let calls = |count| format!("work --cpu 0 getppid {count}");
    let reads = format!("work --cpu 0 read /init {READS}");
    vec![
        Command::new(
            "flight",
            format!("{record} --session flight -e {CALL},{READ} -- work sequence --"),
        )
        .then(calls(BEFORE))
        .then("; tracer snapshot flight -o snapshot ;")
        .then(calls(AFTER))
        .then(";")
        .then(&reads),
        Command::new(
            "trigger",
            format!("{record} --session trigger -e {CALL} --snapshot-on"),
        )
        .word(READ_OF_A_BYTE)
        .then("-- work sequence --")
        .then(calls(BEFORE))
        .then(";")
        .then(&reads)
        .then("; work await snapshot-trigger-"),
    ]
}

fn calls(trace: &Trace) -> u64 {
    trace.events(CALL).count() as u64
}

fn reads(trace: &Trace) -> u64 {
    let reads = trace.events(READ);
    reads.filter(|event| event.has("count", 1)).count() as u64
}

fn verify_snapshot(_: Kernel, outcome: &Outcome) -> Result<()> {
    let kept = Kept::succeeded(outcome, "flight")?;
    let trace = Trace::read(outcome, "flight/snapshot")?;
    let found = (calls(&trace), reads(&trace), trace.discarded);
    ensure!(
        found == (BEFORE, 0, 0),
        "calls, reads and losses are {found:?}"
    );
    let (all, reported) = (trace.all().count() as u64, kept.printed_before(" events, "));
    ensure!(
        all == reported,
        "{all} events are in it, {reported} according to `tracer`"
    );
    Ok(())
}

fn verify_last(_: Kernel, outcome: &Outcome) -> Result<()> {
    let kept = Kept::succeeded(outcome, "flight")?;
    let trace = Trace::read(outcome, "flight/last")?;
    let overwritten = kept.number_of_class(CALL, "overwritten");
    let left = calls(&trace);
    // On a machine with much else to do, the ring can be full before it is read.
    let lost = kept.number_of_class(CALL, "lost");
    ensure!(
        overwritten + left + lost == BEFORE + AFTER,
        "{overwritten} calls were overwritten, {left} are left, {lost} were lost"
    );
    ensure!(
        overwritten > BEFORE,
        "only {overwritten} calls were overwritten; make more"
    );
    Ok(())
}

fn verify_trigger(_: Kernel, outcome: &Outcome) -> Result<()> {
    Kept::succeeded(outcome, "trigger")?;
    let entries = fs::read_dir(outcome.out_dir().join("trigger"))?;
    let names: Vec<String> = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("snapshot-"))
        .collect();
    ensure!(names.len() == 1, "{names:?} were taken");
    let name = names.first().context("a snapshot")?;
    let trace = Trace::read(outcome, &format!("trigger/{name}"))?;
    let calls = calls(&trace);
    ensure!(calls == BEFORE, "{calls} of {BEFORE} calls are in it");
    ensure!(reads(&trace) > 0, "what it was taken for is not in it");
    Ok(())
}
