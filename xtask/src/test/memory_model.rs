//! Tiers `loom` and `miri`: the sub-buffer protocol under every order of steps that the
//! memory model allows, and the code that holds pages under an interpreter which knows who
//! may access what.

use crate::setup::miri;
use crate::test::Checks;
use crate::workspace;

/// The tests of both tiers that are about threads.
const PACKAGES: [&str; 4] = ["--package", "tracer-common", "--package", "tracer-user"];

/// Orders that preempt a thread more often are left out. Races show with two
/// (Musuvathi and Qadeer, PLDI 2007); one more costs seconds here.
const LOOM_PREEMPTIONS: &str = "3";

/// Explores the protocol with loom, in a separate build.
pub(super) fn loom(checks: &mut Checks) {
    let mut cargo = workspace::cargo();
    cargo
        .args(["test", "--profile", "loom", "--no-fail-fast"])
        .args(PACKAGES)
        .args(["--test", "subbuf_loom", "--target-dir"])
        .arg(workspace::target_dir().join("loom"))
        .env("CARGO_ENCODED_RUSTFLAGS", "--cfg\x1ftracer_loom")
        .env("LOOM_MAX_PREEMPTIONS", LOOM_PREEMPTIONS);
    checks.cargo_test(&mut cargo);
}

/// Why Miri cannot run here, after an attempt to install it.
pub(super) fn miri_obstacle() -> Option<String> {
    miri::ensure().err().map(|error| format!("{error:#}"))
}

/// Runs the tests of protocol, pages and both together with Miri.
pub(super) fn miri(checks: &mut Checks) {
    let tests = || {
        let mut cargo = miri::cargo();
        cargo
            .args(["test", "--no-fail-fast"])
            .args(PACKAGES)
            // Property tests ask for randomness and the time of day.
            .env("MIRIFLAGS", "-Zmiri-disable-isolation");
        cargo
    };
    checks.cargo_test(tests().args(["--lib", "--", "subbuf::", "pool::"]));
    checks.cargo_test(tests().args(["--test", "subbuf_model", "--test", "subbuf_threads"]));
}
