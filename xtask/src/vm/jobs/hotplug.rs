//! A CPU that comes online during a recording.

use anyhow::{Result, ensure};

use crate::vm::jobs::kept::Kept;
use crate::vm::jobs::trace::Trace;
use crate::vm::jobs::{Check, Command};
use crate::vm::{Kernel, Outcome};

pub(super) const CHECKS: &[Check] = &[Check {
    name: "events on a CPU that comes online are counted",
    verify,
}];

/// The switch of the second CPU.
const ONLINE: &str = "/sys/devices/system/cpu/cpu1/online";
/// Calls on the second CPU and on the first one.
const COUNTED: u64 = 1000;
const RECORDED: u64 = 10;

pub(super) fn commands() -> Vec<Command> {
    vec![
        Command::new("cpu-offline", format!("work put 0 {ONLINE}")),
        Command::new(
            "cpu-online",
            format!(
                "tracer record --no-state-dump -o trace -e syscalls:sys_enter_getppid -- \
                 work sequence -- work put 1 {ONLINE} ; work --cpu 1 getppid {COUNTED} ; \
                 work --cpu 0 getppid {RECORDED}"
            ),
        ),
    ]
}

fn verify(_: Kernel, outcome: &Outcome) -> Result<()> {
    Kept::succeeded(outcome, "cpu-offline")?;
    let kept = Kept::succeeded(outcome, "cpu-online")?;
    let trace = Trace::of(outcome, "cpu-online/trace", &kept)?;
    let recorded = trace.events("syscall_entry_getppid").count() as u64;
    ensure!(
        trace.is_all(recorded, RECORDED),
        "{recorded} calls were recorded of {RECORDED}"
    );
    let counted = "CPU 1 came online during the recording: 1,000 events on it were not recorded";
    ensure!(
        kept.stderr.lines().any(|line| line == counted),
        "no line `{counted}` in: {}",
        kept.stderr
    );
    Ok(())
}
