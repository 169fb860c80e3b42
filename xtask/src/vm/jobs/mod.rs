//! The tests of tier `vm`: what runs in a guest, and what must come out.
//!
//! Booting takes longer than most commands, so each [`VmTest`] is one boot with several
//! commands, and the checks of its results are apart from each other: `functions` of
//! recorded kernel functions, `typed` of what is fetched there and of what is left out,
//! `returns` of functions that return, by all ways, `scope` of whose events are recorded, `user`
//! of functions of programs, `losses` of the accounting, `hotplug` of CPUs that come online, `flight` of memory alone and its
//! snapshots, `disk` of ways to a disk,
//! `refusals` of errors, `machine` of what `tracer` reports about the kernel, `verifier` of the
//! cost of loading the programs, `everything` of all tracepoints at once.

use std::time::Duration;

use anyhow::Result;

use crate::bench::instructions;
use crate::vm::{Job, Kernel, Outcome, Tests};

mod disk;
mod everything;
mod flight;
mod functions;
mod hotplug;
mod kept;
mod losses;
mod machine;
mod refusals;
mod returns;
mod scope;
mod trace;
mod typed;
mod user;
pub mod verifier;

pub use trace::BABELTRACE;

/// The commands of one boot of a virtual machine, and the checks of their results.
pub struct VmTest {
    /// Its name, when the machine itself fails.
    pub name: &'static str,
    /// Kernels that it runs on.
    pub kernels: fn(&Kernel) -> bool,
    /// The commands of the guest.
    pub job: fn() -> Job,
    /// Checks of the results.
    pub checks: &'static [&'static [Check]],
}

/// One fact about the outcome of a boot.
pub struct Check {
    /// Its name in the summary.
    pub name: &'static str,
    /// Verifies the outcome.
    pub verify: fn(Kernel, &Outcome) -> Result<()>,
}

/// All tests, in the order in which they run.
pub const TESTS: &[VmTest] = &[
    VmTest {
        name: "a guest with the recorder",
        kernels: |kernel| kernel.tests == Tests::All,
        job: recorder,
        checks: &[
            machine::CHECKS,
            functions::CHECKS,
            typed::CHECKS,
            user::CHECKS,
            returns::CHECKS,
            scope::CHECKS,
            losses::CHECKS,
            hotplug::CHECKS,
            flight::CHECKS,
            disk::CHECKS,
            refusals::CHECKS,
            verifier::CHECKS,
        ],
    },
    VmTest {
        name: "a guest with the recorder, in short",
        kernels: |kernel| kernel.tests == Tests::Short,
        job: short,
        checks: &[
            machine::CHECKS,
            functions::CHECKS,
            losses::CHECKS,
            verifier::CHECKS,
        ],
    },
    VmTest {
        name: "a guest without tracefs",
        kernels: |kernel| kernel.name == "6.12",
        job: machine::without_tracefs,
        checks: &[machine::WITHOUT_TRACEFS],
    },
    VmTest {
        name: "a guest that records everything",
        kernels: |kernel| kernel.name == "6.12",
        job: everything::job,
        checks: &[everything::CHECKS],
    },
    VmTest {
        name: "a guest whose clock counts instructions",
        kernels: |kernel| *kernel == instructions::kernel(),
        job: instructions::job,
        checks: &[&[Check {
            name: "an event takes as many instructions as committed",
            verify: |_, outcome| instructions::verify(outcome),
        }]],
    },
];

/// A machine takes four minutes at most when it has the CPUs for itself.
const LIMIT: Duration = Duration::from_mins(20);

fn recorder() -> Job {
    let commands = [
        machine::commands(),
        functions::commands(),
        typed::commands(),
        user::commands(),
        returns::commands(),
        scope::commands(),
        losses::commands(),
        hotplug::commands(),
        flight::commands(),
        disk::commands(),
        refusals::commands(),
        verifier::commands(),
    ];
    job(commands.into_iter().flatten()).disk(true)
}

fn short() -> Job {
    let commands = [
        machine::commands(),
        functions::commands(),
        losses::commands(),
        verifier::commands(),
    ];
    job(commands.into_iter().flatten())
}

/// A job of commands that all run, even if some fail.
fn job(commands: impl IntoIterator<Item = Command>) -> Job {
    let empty = Job::new().timeout(LIMIT);
    commands.into_iter().fold(empty, |job, command| {
        let keep = ["work", "keep", &command.name, "--"].map(ToOwned::to_owned);
        let keep = keep.into_iter();
        job.command(keep.chain(command.words))
    })
}

/// A command of a guest whose results are kept apart, whether it succeeds or not.
struct Command {
    /// Folder of its results.
    name: String,
    words: Vec<String>,
}

impl Command {
    /// The words of `line` have a space between each.
    fn new(name: impl Into<String>, line: impl AsRef<str>) -> Self {
        let name = name.into();
        let words = line.as_ref().split(' ').map(ToOwned::to_owned).collect();
        Self { name, words }
    }

    /// Puts a word at the end that may have spaces in it.
    fn word(mut self, word: &str) -> Self {
        self.words.push(word.to_owned());
        self
    }

    /// Puts more words at the end, as in [`new`](Self::new).
    fn then(mut self, line: impl AsRef<str>) -> Self {
        let words = line.as_ref().split(' ').map(ToOwned::to_owned);
        self.words.extend(words);
        self
    }
}
