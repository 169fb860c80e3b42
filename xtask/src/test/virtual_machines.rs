//! Tier `vm`: the tests of [`vm::jobs`], each on its kernels.

use std::time::Instant;

use super::Checks;
use crate::{
    apt,
    vm::{
        self,
        jobs::{BABELTRACE, TESTS},
    },
};

/// Why the tier cannot run.
pub(super) fn obstacle() -> Option<String> {
    vm::ensure_programs()
        .and_then(|()| apt::ensure_installed(&[BABELTRACE]))
        .err()
        .map(|error| format!("{error:#}"))
}

/// Boots every test on every kernel that it names, and makes its checks.
pub(super) fn run(checks: &mut Checks) {
    for test in TESTS {
        for kernel in test.kernels {
            let on = kernel.name();
            let boot = format!("{} on {on}", test.name);
            let start = Instant::now();
            let job = (test.job)();
            let Some(outcome) = checks.prepare(&boot, || vm::run(*kernel, &job)) else {
                continue;
            };
            println!("   {boot}: {:.1} s", start.elapsed().as_secs_f64());
            for check in test.checks.iter().copied().flatten() {
                checks.check(&format!("{}, on {on}", check.name), || {
                    (check.verify)(*kernel, &outcome)
                });
            }
        }
    }
}
