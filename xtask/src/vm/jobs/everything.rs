//! All tracepoints of a kernel at once: every layout of a record, and the resulting load.
//!
//! Attaching and detaching a tracepoint takes the kernel tens of milliseconds each, so this
//! machine runs for a minute.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::vm::jobs::kept::Kept;
use crate::vm::jobs::trace::Trace;
use crate::vm::jobs::{Check, Command};
use crate::vm::{Job, Kernel, Outcome};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "every tracepoint attaches or has its warning",
        verify: verify_attached,
    },
    Check {
        name: "no tracepoint's program is much work for the verifier",
        verify: |_, outcome| {
            let kept = Kept::succeeded(outcome, "everything")?;
            let walked = programs(&kept).max_by_key(|(_, walked)| *walked);
            let (name, walked) = walked.context("no program was loaded")?;
            ensure!(
                walked < MAX_WALKED,
                "the verifier walked {walked} instructions of `{name}`"
            );
            Ok(())
        },
    },
    Check {
        name: "everything that was recorded is read, without a complaint",
        verify: |_, outcome| {
            let kept = Kept::succeeded(outcome, "everything")?;
            let recorded = kept.number_before(" events in ");
            let read = Trace::read(outcome, "trace")?.all().count() as u64;
            ensure!(recorded > 1000, "only {recorded} events: {}", kept.stderr);
            ensure!(read == recorded, "{read} events read of {recorded}");
            Ok(())
        },
    },
    Check {
        name: "known calls are found among everything",
        verify: verify_calls,
    },
];

/// For any program on record, many times what it takes now.
const MAX_WALKED: u64 = 20_000;

/// The command asks the kernel about each program of the recorder in two system calls.
pub(super) fn job() -> Job {
    super::job(vec![Command::new(
        "everything",
        "tracer record --names tracefs -o /out/trace -e *:* -- work programs",
    )])
}

/// The lines of `work programs`: a program's name, and what the verifier walked.
fn programs(kept: &Kept) -> impl Iterator<Item = (&str, u64)> {
    let lines = kept.stdout.lines();
    lines.filter_map(|line| {
        let (name, walked) = line.split_once(' ')?;
        Some((name, walked.parse().ok()?))
    })
}

fn verify_attached(_: Kernel, outcome: &Outcome) -> Result<()> {
    // Two tracepoints are attached a second time, for the names of threads.
    const FOR_NAMES: usize = 2;
    let kept = Kept::succeeded(outcome, "everything")?;
    let metadata = fs::read_to_string(outcome.out_dir().join("trace/metadata"))?;
    let classes = metadata
        .lines()
        .filter_map(|line| line.trim().strip_prefix("name = \""))
        // System calls share their programs, and have no colon in their names.
        .filter(|name| name.contains(':') && !name.starts_with("raw_syscalls:"))
        .count();
    let programs = programs(&kept)
        .filter(|(name, _)| !name.starts_with("on_"))
        .count();
    let warnings = kept
        .stderr
        .matches("tracer: warning: cannot attach")
        .count();
    ensure!(
        programs + warnings == classes + FOR_NAMES,
        "{classes} tracepoints have {programs} programs and {warnings} warnings: {}",
        kept.stderr
    );
    Ok(())
}

fn verify_calls(_: Kernel, outcome: &Outcome) -> Result<()> {
    let kept = Kept::succeeded(outcome, "everything")?;
    let trace = Trace::read(outcome, "trace")?;
    ensure!(trace.discarded == 0, "{} events were lost", trace.discarded);
    let pid = trace
        .events("sched:sched_process_exec")
        .find(|event| event.text("filename") == Some("/bin/work"))
        .and_then(|event| event.number("pid"))
        .context("no event shows that `/bin/work` was started")?;
    let expected = 2 * programs(&kept).count();
    for class in ["syscall_entry_bpf", "syscall_exit_bpf"] {
        let events = trace.events(class);
        let found = events.filter(|event| event.has("pid", pid)).count();
        ensure!(
            found == expected,
            "{found} events `{class}` for {expected} calls"
        );
    }
    Ok(())
}
