//! Functions that cannot be probed: each has its message and leaves no folder.

use anyhow::{Result, ensure};

use crate::vm::Outcome;
use crate::vm::jobs::kept::Kept;
use crate::vm::jobs::{Check, Command};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "a function that is part of kprobes is refused",
        verify: |_, outcome| refused(outcome, "refused-own", "it is on the kprobe blacklist"),
    },
    Check {
        name: "a function that is kept from tracing is refused",
        verify: |_, outcome| {
            refused(
                outcome,
                "refused-notrace",
                "the kernel does not allow probing it",
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
        name: "a place after the end of a function is refused",
        verify: |_, outcome| refused(outcome, "refused-after", "the function is only"),
    },
    Check {
        name: "a member that does not exist is refused with its structure and what is like it",
        verify: |_, outcome| {
            refused(
                outcome,
                "refused-member",
                "cannot fetch from `kprobe:vfs_read`: `struct file` has no member `f_flagz`; \
                 did you mean `f_flags`",
            )
        },
    },
    Check {
        name: "an argument that does not exist is refused with those that do",
        verify: |_, outcome| {
            refused(
                outcome,
                "refused-argument",
                "no value is named `fille` here; did you mean `file`",
            )?;
            Kept::read(outcome, "refused-argument")?
                .expect_error("available: `file`, `buf`, `count`, `pos`")
        },
    },
    Check {
        name: "a function that exists in variants only is refused with these",
        verify: |_, outcome| {
            refused(
                outcome,
                "refused-variants",
                "probe `kprobe:__tty_hangup.part.0`",
            )
        },
    },
    Check {
        // These kernels have nothing left of it, not even its type.
        name: "a function that is inlined everywhere does not exist",
        verify: |_, outcome| refused(outcome, "refused-inlined", "no such function"),
    },
    Check {
        name: "a function of a module that is not loaded is refused with the module",
        verify: |_, outcome| {
            refused(
                outcome,
                "refused-module",
                "it is in module `nf_tables`, which is not loaded; load it with `modprobe \
                nf_tables`",
            )
        },
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
const PROBES: [(&str, &str); 10] = [
    ("refused-own", "kprobe:get_kprobe"),
    ("refused-notrace", "kretprobe:trace_clock_local"),
    ("refused-unknown", "kprobe:vfs_reed"),
    ("refused-middle", "kprobe:vfs_read+1"),
    ("refused-after", "kprobe:vfs_read+1000000"),
    ("refused-several", "kprobe:c_start"),
    ("refused-variants", "kprobe:__tty_hangup"),
    ("refused-inlined", "kprobe:d_is_dir"),
    ("refused-member", "kprobe:vfs_read{file->f_flagz}"),
    ("refused-argument", "kprobe:vfs_read{fille->f_flags}"),
];

pub(super) fn commands() -> Vec<Command> {
    let record = |probe| format!("tracer record -o trace -e {probe} -- work exit 0");
    let mut commands: Vec<Command> = PROBES
        .map(|(name, probe)| Command::new(name, record(probe)))
        .into();
    commands.push(
        Command::new("refused-module", "work sequence --")
            .then("work module nf_tables nft_do_chain ;")
            .then(record("kprobe:nft_do_chain")),
    );
    commands
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
        "`{name}` left a folder"
    );
    Ok(())
}
