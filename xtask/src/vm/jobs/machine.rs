//! What `tracer` reports about a kernel, and a kernel without a mounted tracefs.

use anyhow::{Context, Result, ensure};

use crate::vm::jobs::kept::Kept;
use crate::vm::jobs::trace::Trace;
use crate::vm::jobs::{Check, Command};
use crate::vm::{Feature, Job, Kernel, Outcome};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "the guest offers what kprobes need",
        verify: |_, outcome| {
            let facts = Kept::succeeded(outcome, "facts")?;
            facts.expect_line(&format!("release {}", outcome.release))?;
            for fact in ["tracefs yes", "btf yes", "kprobes yes"] {
                facts.expect_line(fact)?;
            }
            Ok(())
        },
    },
    Check {
        name: "doctor finds what this kernel has",
        verify: verify_doctor,
    },
    Check {
        name: "list knows the kernel's functions",
        verify: |_, outcome| {
            let list = Kept::succeeded(outcome, "list")?;
            for function in ["vfs_read", "vfs_write", "vfs_statx"] {
                list.expect_line(&format!("kprobe:{function}"))?;
            }
            let other = list
                .stdout
                .lines()
                .find(|line| !line.starts_with("kprobe:vfs_"));
            ensure!(other.is_none(), "the pattern does not match {other:?}");
            ensure!(list.stderr.is_empty(), "list complains: {}", list.stderr);
            Ok(())
        },
    },
];

/// Checks of [`without_tracefs`].
pub(super) const WITHOUT_TRACEFS: &[Check] = &[
    Check {
        name: "a guest can be without tracefs",
        verify: |_, outcome| Kept::succeeded(outcome, "facts")?.expect_line("tracefs no"),
    },
    Check {
        name: "without tracefs, recording mounts its own",
        verify: |_, outcome| {
            let kept = Kept::succeeded(outcome, "record")?;
            let pid = kept.number("pid")?;
            let trace = Trace::read(outcome, "trace")?;
            let mut started = trace.events("sched_process_exec");
            ensure!(
                started.any(|event| event.has("pid", pid)),
                "no event of process {pid}"
            );
            let reads = trace.events("kprobe:vfs_read");
            let reads = reads.filter(|event| event.has("pid", pid) && event.has("count", 1));
            ensure!(
                reads.count() == 10,
                "not all reads of process {pid} were recorded"
            );
            Ok(())
        },
    },
    Check {
        name: "without debugfs, a function that is part of kprobes is refused by the kernel",
        verify: |_, outcome| {
            let kept = Kept::read(outcome, "refused")?;
            ensure!(kept.status == 1, "it ended with {}", kept.status);
            kept.expect_error("the kernel does not allow probes in this function")
        },
    },
    Check {
        name: "without tracefs, doctor reports what recording does about it",
        verify: |_, outcome| {
            let doctor = Kept::succeeded(outcome, "doctor")?;
            expect_row(
                &doctor,
                "tracefs",
                "not mounted: each recording mounts it privately",
            )
        },
    },
    Check {
        name: "the private tracefs is gone after recording",
        verify: |_, outcome| Kept::succeeded(outcome, "facts-after")?.expect_line("tracefs no"),
    },
];

pub(super) fn commands() -> Vec<Command> {
    vec![
        Command::new("facts", "work facts"),
        Command::new("doctor", "tracer doctor"),
        Command::new("list", "tracer list kprobe:vfs_*"),
    ]
}

pub(super) fn without_tracefs() -> Job {
    super::job(vec![
        Command::new("facts", "work facts"),
        Command::new("doctor", "tracer doctor"),
        Command::new(
            "record",
            "tracer record -o /out/trace -e sched:sched_process_exec,kprobe:vfs_read -- \
             work read /init 10",
        ),
        Command::new(
            "refused",
            "tracer record -o trace -e kretprobe:get_kprobe{ret,addr} -- work exit 0",
        ),
        Command::new("facts-after", "work facts"),
    ])
    .tracefs(false)
}

fn verify_doctor(kernel: Kernel, outcome: &Outcome) -> Result<()> {
    let doctor = Kept::succeeded(outcome, "doctor")?;
    expect_row(
        &doctor,
        "kernel version",
        &format!("{} (tested)", outcome.release),
    )?;
    expect_row(&doctor, "tracefs", "at /sys/kernel/tracing")?;
    expect_row(&doctor, "kprobes", "kprobe and kretprobe")?;
    for (row, feature, present, absent) in [
        (
            "kprobe-multi",
            Feature::KprobeMulti,
            "supported: entries of functions share a program and cost less",
            "functions attach one by one and cost more",
        ),
        (
            "kprobe-session",
            Feature::KprobeSession,
            "supported: returns of functions share a program and cost less",
            "returns of functions attach one by one and cost more",
        ),
        (
            "missed events",
            Feature::CountedMisses,
            "counted by the kernel",
            "missed and not counted",
        ),
    ] {
        let text = if kernel.has(feature) { present } else { absent };
        expect_row(&doctor, row, text)?;
    }
    expect_row(&doctor, "fentry/fexit", "supported")?;
    expect_row(&doctor, "uprobes", "supported: uprobe and uretprobe")?;
    expect_row(
        &doctor,
        "ring buffer dynptr",
        "supported: variable-length events",
    )?;
    expect_row(&doctor, "CPUs", "2 online, 2 possible")?;
    Ok(())
}

/// The row of a check has `text`.
fn expect_row(doctor: &Kept, check: &str, text: &str) -> Result<()> {
    let mut lines = doctor.stdout.lines();
    let row = lines
        .find(|line| line.contains(check))
        .with_context(|| format!("doctor has no row `{check}`:\n{}", doctor.stdout))?;
    ensure!(
        row.contains(text),
        "expected `{text}` in the row of doctor: `{row}`"
    );
    Ok(())
}
