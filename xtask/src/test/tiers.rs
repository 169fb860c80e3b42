//! The table of tiers, and the ones that need nothing but cargo.

use crate::test::{Checks, Tier, host, imports, memory_model, virtual_machines};
use crate::{build, setup, workspace};

/// All tiers, in the order in which they run.
pub(super) const TIERS: &[Tier] = &[
    Tier {
        name: "fmt",
        purpose: "the code is formatted, imports included",
        obstacle: || None,
        run: fmt,
    },
    Tier {
        name: "lint",
        purpose: "no warnings from clippy, on both targets, or from rustdoc",
        obstacle: || None,
        run: lint,
    },
    Tier {
        name: "unit",
        purpose: "tests without privileges and eBPF programs",
        obstacle: || None,
        run: unit,
    },
    Tier {
        name: "loom",
        purpose: "the sub-buffer protocol in every interleaving of two threads",
        obstacle: || None,
        run: memory_model::loom,
    },
    Tier {
        name: "miri",
        purpose: "no undefined behaviour in the page storage (nightly toolchain with Miri)",
        obstacle: memory_model::miri_obstacle,
        run: memory_model::miri,
    },
    Tier {
        name: "host",
        purpose: "tests that attach programs to this machine's kernel (root, babeltrace2)",
        obstacle: host::obstacle,
        run: host::run,
    },
    Tier {
        name: "vm",
        purpose: "tests on other kernels, in virtual machines (qemu, Debian's kernels)",
        obstacle: virtual_machines::obstacle,
        run: virtual_machines::run,
    },
];

/// The eBPF programs compile for their own target only.
const NOT_FOR_THIS_MACHINE: [&str; 2] = ["--exclude", "tracer-ebpf"];

fn fmt(checks: &mut Checks) {
    let mut cargo = workspace::cargo();
    checks.command("cargo fmt", cargo.args(["fmt", "--all", "--check"]));
    checks.check("imports", imports::check);
}

fn lint(checks: &mut Checks) {
    let deny = ["--", "-D", "warnings"];
    let mut host = workspace::cargo();
    host.args(["clippy", "--quiet", "--workspace", "--all-targets"])
        .arg("--all-features")
        .args(NOT_FOR_THIS_MACHINE)
        .args(deny);
    checks.command("clippy", &mut host);

    let mut reader = workspace::cargo();
    reader
        .args(["clippy", "--quiet", "--package", "tracer-user"])
        .args(["--no-default-features", "--all-targets"])
        .args(deny);
    checks.command("clippy without `record`", &mut reader);

    if let Some(toolchain) = checks.prepare("the eBPF toolchain", setup::ensure) {
        let mut ebpf = build::ebpf_cargo(&toolchain, "clippy");
        ebpf.args(["--quiet", "--release"]).args(deny);
        checks.command("clippy for eBPF", &mut ebpf);
    }

    let mut doc = workspace::cargo();
    doc.args(["doc", "--quiet", "--workspace", "--no-deps"])
        .arg("--document-private-items")
        .args(NOT_FOR_THIS_MACHINE)
        .env("RUSTDOCFLAGS", "-D warnings");
    checks.command("rustdoc", &mut doc);
}

fn unit(checks: &mut Checks) {
    let mut cargo = workspace::cargo();
    cargo
        .args(["test", "--workspace", "--no-fail-fast"])
        .args(NOT_FOR_THIS_MACHINE);
    checks.cargo_test(&mut cargo);
}
