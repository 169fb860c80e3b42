//! Tier `host`: tests that attach real programs to this machine's kernel.
//!
//! They are in `tracer-user/tests/host`, built with the feature `host-tests`. They run one at a
//! time, because each sees what the others do, and find the workload in the variable
//! `TRACER_WORK`. If tracefs is not mounted, it is mounted for them alone.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::apt::{self, Program};
use crate::build::{self, Show};
use crate::test::Checks;
use crate::{bench, privilege, process, setup};

const PROGRAMS: [Program; 6] = [
    Program {
        name: "babeltrace2",
        package: "babeltrace2",
    },
    Program {
        name: "lttng-syscallstats",
        package: "python3-lttnganalyses",
    },
    Program {
        name: "mkfs.ext4",
        package: "e2fsprogs",
    },
    Program {
        name: "setcap",
        package: "libcap2-bin",
    },
    Program {
        name: "mkfs.xfs",
        package: "xfsprogs",
    },
    Program {
        name: "perf",
        package: "linux-perf",
    },
];
const WORK_VARIABLE: &str = "TRACER_WORK";

/// Both places of tracefs, the present one first.
const TRACEFS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
/// Runs its arguments with tracefs mounted; the mount goes with the process.
const WITH_TRACEFS: &str = "mount -t tracefs tracefs /sys/kernel/tracing && exec \"$@\"";

/// Why the tier cannot run.
pub(super) fn obstacle() -> Option<String> {
    if !privilege::is_root() && !privilege::has_silent_sudo() {
        return Some("needs root, or sudo without a password (run `sudo -v` first)".to_owned());
    }
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        return Some("this kernel has no BTF, which loading the programs requires".to_owned());
    }
    apt::ensure_installed(&PROGRAMS)
        .err()
        .map(|error| format!("{error:#}"))
}

/// Builds everything and runs the tests with privileges, then tries a benchmark that no test
/// covers.
pub(super) fn run(checks: &mut Checks) {
    if let Some(mut cargo) = checks.prepare("what the tests need", command) {
        checks.cargo_test(&mut cargo);
        checks.check("cargo xtask bench sinks --quick", bench::sinks::try_out);
    }
}

fn command() -> Result<Command> {
    let toolchain = setup::ensure()?;
    let object = build::ebpf(&toolchain, Show::Progress)?;
    let work = build::work(Show::Progress)?;
    let mut cargo = build::tracer_cargo(&object, "test");
    cargo
        .args(["--release", "--no-fail-fast", "--package", "tracer-user"])
        .args(["--test", "host"])
        .env(WORK_VARIABLE, work);
    if let Some(runner) = runner().context("cannot run the tests with privileges")? {
        cargo.arg("--config").arg(runner);
    }
    cargo.args(["--", "--test-threads=1"]);
    Ok(cargo)
}

/// The runner of the tests, as an entry of cargo's configuration: only the tests get
/// privileges, not the build.
fn runner() -> Result<Option<String>> {
    let mut words = Vec::new();
    if !privilege::is_root() {
        words.extend(["sudo", "--preserve-env", "--"]);
    }
    if !has_tracefs() {
        process::find_program("unshare").context("no `unshare` (package util-linux)")?;
        words.extend(["unshare", "--mount", "sh", "-c", WITH_TRACEFS, "sh"]);
    }
    Ok((!words.is_empty()).then(|| {
        // Rust's notation of a list of strings is also that of cargo's configuration.
        format!("target.'cfg(all())'.runner = {words:?}")
    }))
}

fn has_tracefs() -> bool {
    TRACEFS.iter().any(|path| {
        // Users may not read the folder, but can read the mount table.
        std::fs::read_to_string("/proc/self/mounts")
            .is_ok_and(|mounts| mounts.contains(&format!(" {path} tracefs ")))
    })
}
