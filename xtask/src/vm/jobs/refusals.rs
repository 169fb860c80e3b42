//! Functions that cannot be probed: each has its message and leaves no trace behind.

use anyhow::{Result, ensure};

use super::{Check, Command, kept::Kept};
use crate::vm::Outcome;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "a function that is part of kprobes is refused",
        verify: |_, outcome| {
            refused(
                outcome,
                "refused-own",
                "the kernel does not allow probes in this function",
            )
        },
    },
    Check {
        name: "a function that is kept from tracing is refused",
        verify: |_, outcome| {
            refused(
                outcome,
                "refused-notrace",
                "the kernel does not let this function be probed",
            )
        },
    },
    Check {
        name: "a function that does not exist is refused with a suggestion",
        verify: |_, outcome| {
            refused(
                outcome,
                "refused-unknown",
                "cannot attach to `kprobe:vfs_reed`: no such function; did you mean `vfs_read`",
            )
        },
    },
    Check {
        name: "a place inside an instruction is refused",
        verify: |_, outcome| {
            refused(
                outcome,
                "refused-middle",
                "the offset is not the start of an instruction",
            )
        },
    },
    Check {
        name: "a place behind a function is refused",
        verify: |_, outcome| refused(outcome, "refused-behind", "the function has only"),
    },
    Check {
        name: "a name of several functions is refused with their places",
        verify: |_, outcome| {
            refused(outcome, "refused-several", "functions have this name")?;
            Kept::read(outcome, "refused-several")?.expect_error("`kprobe:_text+0x")
        },
    },
];

/// Names of results, and the probes that must not attach.
const PROBES: [(&str, &str); 6] = [
    ("refused-own", "kprobe:get_kprobe"),
    ("refused-notrace", "kretprobe:trace_clock_local"),
    ("refused-unknown", "kprobe:vfs_reed"),
    ("refused-middle", "kprobe:vfs_read+1"),
    ("refused-behind", "kprobe:vfs_read+1000000"),
    ("refused-several", "kprobe:c_start"),
];

pub(super) fn commands() -> Vec<Command> {
    PROBES
        .map(|(name, probe)| {
            let line = format!("tracer record -o /out/{name}/trace -e {probe} -- work exit 0");
            Command::new(name, line)
        })
        .into()
}

fn refused(outcome: &Outcome, name: &str, message: &str) -> Result<()> {
    let kept = Kept::read(outcome, name)?;
    ensure!(
        kept.status == 1,
        "`{name}` ended with {}: {}",
        kept.status,
        kept.stderr
    );
    kept.expect_error(message)?;
    ensure!(
        !outcome.out_dir().join(name).join("trace").exists(),
        "`{name}` left a folder behind"
    );
    Ok(())
}
