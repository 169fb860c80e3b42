//! Events that do not fit are counted: recorded and lost make what happened.

use anyhow::{Result, ensure};

use crate::vm::jobs::kept::Kept;
use crate::vm::jobs::trace::Trace;
use crate::vm::jobs::{Check, Command};
use crate::vm::{Kernel, Outcome};

pub(super) const CHECKS: &[Check] = &[Check {
    name: "with a tiny buffer, recorded and lost events make all",
    verify,
}];

const CALLS: u64 = 20_000;
/// Each call is one event of each, and only the workload makes these calls.
const CLASSES: [&str; 3] = [
    "syscall_entry_getppid",
    "kprobe:__x64_sys_getppid",
    "syscall_exit_getppid",
];

pub(super) fn commands() -> Vec<Command> {
    vec![Command::new(
        "loss",
        format!(
            "tracer record -o /out/loss-trace --buffer-size 4K -e \
             syscall:getppid,kprobe:__x64_sys_getppid -- work --cpu 0 getppid {CALLS}"
        ),
    )]
}

fn verify(_: Kernel, outcome: &Outcome) -> Result<()> {
    let kept = Kept::succeeded(outcome, "loss")?;
    let trace = Trace::of(outcome, "loss-trace", &kept)?;
    let mut all_lost = 0;
    for class in CLASSES {
        let recorded = trace.events(class).count() as u64;
        let lost = kept.number_of_class(class, "lost");
        ensure!(
            trace.is_all(recorded + lost, CALLS),
            "`{class}`: {recorded} recorded and {lost} lost of {CALLS}"
        );
        all_lost += lost;
    }
    ensure!(
        all_lost > 1000,
        "only {all_lost} events were lost; take a smaller buffer"
    );
    ensure!(
        trace.discarded == all_lost,
        "{} events were lost according to the packets, {all_lost} to the summary",
        trace.discarded
    );
    Ok(())
}
