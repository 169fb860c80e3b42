//! The tests of tier `vm`: what runs in a guest, and what must come out.
//!
//! Booting takes longer than most commands, so each [`VmTest`] is one boot with several
//! commands, and the checks of its results are apart from each other: `functions` of
//! recorded kernel functions, `losses` of the accounting, `refusals` of errors,
//! `machine` of what `tracer` says about the kernel, `verifier` of what the programs
//! cost when they are loaded, `everything` of all tracepoints at once.

use std::time::Duration;

use anyhow::Result;

use super::{Job, Kernel, Outcome};
use crate::bench::instructions;

mod everything;
mod functions;
mod kept;
mod losses;
mod machine;
mod refusals;
mod trace;
pub mod verifier;

pub use trace::BABELTRACE;

/// What runs in one boot of a virtual machine, on each of its kernels.
pub struct VmTest {
    /// Its name, when the machine itself fails.
    pub name: &'static str,
    /// Kernels that it runs on.
    pub kernels: &'static [Kernel],
    /// What the guest is to do.
    pub job: fn() -> Job,
    /// What must have come out.
    pub checks: &'static [&'static [Check]],
}

/// One fact about the outcome of a boot.
pub struct Check {
    /// Its name in the summary.
    pub name: &'static str,
    /// Judges the outcome; an error says what is wrong with it.
    pub verify: fn(Kernel, &Outcome) -> Result<()>,
}

/// All tests, in the order in which they run.
pub const TESTS: &[VmTest] = &[
    VmTest {
        name: "a guest with the recorder",
        kernels: &Kernel::ALL,
        job: recorder,
        checks: &[
            machine::CHECKS,
            functions::CHECKS,
            losses::CHECKS,
            refusals::CHECKS,
            verifier::CHECKS,
        ],
    },
    VmTest {
        name: "a guest without tracefs",
        kernels: &[Kernel::V6_12],
        job: machine::without_tracefs,
        checks: &[machine::WITHOUT_TRACEFS],
    },
    VmTest {
        name: "a guest that records everything",
        kernels: &[Kernel::V6_12],
        job: everything::job,
        checks: &[everything::CHECKS],
    },
    VmTest {
        name: "a guest whose clock counts instructions",
        kernels: &[instructions::KERNEL],
        job: instructions::job,
        checks: &[&[Check {
            name: "an event takes as many instructions as committed",
            verify: |_, outcome| instructions::verify(outcome),
        }]],
    },
];

/// A machine takes a minute at most when it has the CPUs for itself.
const LIMIT: Duration = Duration::from_mins(5);

fn recorder() -> Job {
    let commands = [
        machine::commands(),
        functions::commands(),
        losses::commands(),
        refusals::commands(),
        vec![verifier::command()],
    ];
    job(commands.into_iter().flatten())
}

/// A job of commands that all run, whatever becomes of each.
fn job(commands: impl IntoIterator<Item = Command>) -> Job {
    let empty = Job::new().timeout(LIMIT);
    commands.into_iter().fold(empty, |job, command| {
        let keep = ["work", "keep", command.name, "--"];
        job.command(keep.into_iter().chain(command.line.split(' ')))
    })
}

/// A command of a guest whose results are kept apart, whether it succeeds or not.
struct Command {
    /// Folder of its results.
    name: &'static str,
    /// Its words, with a space between each.
    line: String,
}

impl Command {
    fn new(name: &'static str, line: impl Into<String>) -> Self {
        Self {
            name,
            line: line.into(),
        }
    }
}
