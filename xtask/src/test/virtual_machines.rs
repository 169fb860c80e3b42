//! Tier `vm`: the tests of [`vm::jobs`], each on its kernels.

use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Instant;

use anyhow::Result;

use crate::apt;
use crate::test::Checks;
use crate::vm::jobs::{BABELTRACE, TESTS, VmTest};
use crate::vm::{self, Kernel, Outcome};

/// Machines that run at the same time: each waits half of the time.
const SIDE_BY_SIDE: usize = 2;

/// How many of a guest's commands are shown with their times, slowest first.
const SHOWN: usize = 3;

/// A test on one of its kernels.
struct Boot {
    test: &'static VmTest,
    kernel: Kernel,
}

impl Boot {
    fn all(kernels: &'static [Kernel]) -> impl Iterator<Item = Self> + Send {
        TESTS.iter().flat_map(move |test| {
            let kernels = kernels.iter().copied().filter(test.kernels);
            kernels.map(move |kernel| Self { test, kernel })
        })
    }

    fn name(&self) -> String {
        format!("{} on {}", self.test.name, self.kernel.name)
    }

    fn run(&self) -> Ran {
        let start = Instant::now();
        let outcome = vm::run(self.kernel, &(self.test.job)());
        Ran {
            outcome,
            seconds: start.elapsed().as_secs_f64(),
        }
    }
}

/// The result of a boot.
struct Ran {
    outcome: Result<Outcome>,
    seconds: f64,
}

/// Why the tier cannot run.
pub(super) fn obstacle() -> Option<String> {
    vm::ensure_programs()
        .and_then(|()| apt::ensure_installed(&[BABELTRACE]))
        .err()
        .map(|error| format!("{error:#}"))
}

/// Boots every test on every kernel that it names, and makes its checks.
pub(super) fn run(checks: &mut Checks) {
    let boots = Mutex::new(Boot::all(checks.kernels));
    let next = || boots.lock().unwrap_or_else(PoisonError::into_inner).next();
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            let sender = sender.clone();
            scope.spawn(move || {
                while let Some(boot) = next() {
                    let ran = boot.run();
                    // The receiver lives until all senders are gone.
                    let _ = sender.send((boot, ran));
                }
            });
        }
        drop(sender);
        for (boot, ran) in receiver {
            judge(checks, &boot, ran);
        }
    });
}

fn judge(checks: &mut Checks, boot: &Boot, ran: Ran) {
    let Some(outcome) = checks.prepare(&boot.name(), || ran.outcome) else {
        return;
    };
    println!("   {}: {:.1} s", boot.name(), ran.seconds);
    for (command, seconds) in outcome.seconds().iter().take(SHOWN) {
        println!("      of this `{command}`: {seconds:.1} s");
    }
    for check in boot.test.checks.iter().copied().flatten() {
        checks.check(&format!("{}, on {}", check.name, boot.kernel.name), || {
            (check.verify)(boot.kernel, &outcome)
        });
    }
}
