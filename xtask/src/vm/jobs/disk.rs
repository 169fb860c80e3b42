//! Recording to a disk, past the page cache.

use std::fs;

use anyhow::{Result, ensure};

use crate::vm::Outcome;
use crate::vm::jobs::kept::Kept;
use crate::vm::jobs::trace::Trace;
use crate::vm::jobs::{Check, Command};
use crate::wire::DISK_DIR;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "a trace that goes past the page cache is complete",
        verify: |_, outcome| {
            expect_all(outcome, "direct")?;
            let kept = Kept::succeeded(outcome, "direct")?;
            // The line ends here: no packet was written in another way.
            kept.expect_error("written by O_DIRECT splice\n")
        },
    },
    Check {
        name: "what goes past the page cache is not in it, and what goes through it is",
        verify: |_, outcome| {
            let kept = Kept::succeeded(outcome, "cached")?;
            kept.expect_line(&format!("uncached {DISK_DIR}/direct/channel0_0"))?;
            kept.expect_line(&format!("cached {DISK_DIR}/splice/channel0_0"))
        },
    },
    Check {
        name: "a trace that goes through the page cache is complete",
        verify: |_, outcome| {
            expect_all(outcome, "splice")?;
            let kept = Kept::succeeded(outcome, "splice")?;
            kept.expect_error("written by buffered splice\n")
        },
    },
    Check {
        name: "chunks are read as one trace that is complete",
        verify: |_, outcome| {
            expect_all(outcome, "chunks")?;
            let kept = Kept::succeeded(outcome, "chunks")?;
            kept.expect_error("written by O_DIRECT splice")?;
            let reported = kept.number_before(" chunks\n");
            let found = chunks(outcome)?;
            ensure!(
                found == reported && found > 2,
                "{found} chunks, {reported} according to the summary"
            );
            Ok(())
        },
    },
];

/// Only the workload makes these calls.
const CALL: &str = "kprobe:__x64_sys_getppid";
/// Enough for some chunks of the smallest size that there is on two CPUs.
const CALLS: u64 = 8000;

pub(super) fn commands() -> Vec<Command> {
    let record = |name, options| {
        let line = format!(
            "tracer record -o {DISK_DIR}/{name} --subbuf-size 32K {options} -e {CALL} -- \
             work --cpu 0 getppid {CALLS}"
        );
        Command::new(name, line)
    };
    vec![
        record("direct", "--sink direct"),
        record("splice", "--sink splice"),
        record("chunks", "--rotate-size 256K"),
        Command::new(
            "cached",
            format!("work cached {DISK_DIR}/direct/channel0_0 {DISK_DIR}/splice/channel0_0"),
        ),
    ]
}

/// The trace on the disk has all calls.
fn expect_all(outcome: &Outcome, name: &str) -> Result<()> {
    Kept::succeeded(outcome, name)?.expect_error("lost 0 events")?;
    let trace = Trace::read(outcome, &format!("disk/{name}"))?;
    let calls = trace.events(CALL).count() as u64;
    ensure!(calls == CALLS, "{calls} events for {CALLS} calls");
    ensure!(
        trace.discarded == 0,
        "{} events are reported as lost",
        trace.discarded
    );
    Ok(())
}

/// Complete chunks.
fn chunks(outcome: &Outcome) -> Result<u64> {
    let entries = fs::read_dir(outcome.out_dir().join("disk/chunks"))?;
    let chunks = entries.flatten().map(|entry| entry.path());
    Ok(chunks.filter(|path| path.join("metadata").exists()).count() as u64)
}
