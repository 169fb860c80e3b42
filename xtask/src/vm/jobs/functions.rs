//! Recording kernel functions, tracepoints and system calls, with counts that are known.

use anyhow::{Result, ensure};

use crate::vm::jobs::kept::Kept;
use crate::vm::jobs::trace::{Event, Trace, expect, recorded};
use crate::vm::jobs::{Check, Command};
use crate::vm::{Feature, Kernel, Outcome};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "each read enters the function with its arguments",
        verify: |_, outcome| {
            let reads = Reads::of(outcome)?;
            reads.expect("kprobe:vfs_read", |event| event.has("count", 1))
        },
    },
    Check {
        name: "each read returns from the function with its result",
        verify: |_, outcome| {
            let reads = Reads::of(outcome)?;
            reads.expect("kretprobe:vfs_read", |event| event.has("ret", 1))
        },
    },
    Check {
        name: "an instruction inside a function is probed",
        verify: |_, outcome| Reads::of(outcome)?.expect(INSIDE, |event| event.has("arg2", 1)),
    },
    Check {
        name: "each read is a system call with its arguments and result",
        verify: |_, outcome| {
            let reads = Reads::of(outcome)?;
            reads.expect("syscall_entry_pread64", |event| {
                event.has("count", 1) && event.has("pos", 0)
            })?;
            reads.expect("syscall_exit_pread64", |event| event.has("ret", 1))
        },
    },
    Check {
        name: "each read is one call, of the system and of the function",
        verify: |_, outcome| {
            let reads = Reads::of(outcome)?;
            for class in ["call:pread64", "call:vfs_read"] {
                reads.expect(class, |event| {
                    let duration = event.number("duration");
                    event.has("count", 1)
                        && event.has("ret", 1)
                        && duration.is_some_and(|ns| ns > 0)
                })?;
            }
            Ok(())
        },
    },
    Check {
        name: "a tracepoint has the name of the program that was started",
        verify: verify_exec,
    },
    Check {
        name: "a pattern adds the functions that match it",
        verify: |_, outcome| {
            let metadata = outcome.out_dir().join("reads-trace/metadata");
            let metadata = std::fs::read_to_string(metadata)?;
            for function in ["vfs_read", "vfs_readv", "vfs_rename"] {
                let name = format!("\"kprobe:{function}\"");
                ensure!(metadata.contains(&name), "no class {name}");
            }
            ensure!(
                !metadata.contains("\"kprobe:vfs_write\""),
                "`vfs_write` came with `vfs_r*`"
            );
            Ok(())
        },
    },
    Check {
        name: "a pattern finds functions by names under which the kernel does not list them",
        verify: |_, outcome| {
            let (trace, _, pid) = recorded(outcome, "names")?;
            for class in ["kprobe", "kretprobe"] {
                let class = format!("{class}:{OTHER_NAME}");
                expect(&trace, &class, pid, CALLS, |_| true)?;
            }
            let mut others = trace
                .all()
                .filter(|event| !event.class.ends_with(OTHER_NAME));
            ensure!(
                others.all(|event| !event.class.contains("getppid")),
                "a call is recorded under several names"
            );
            Ok(())
        },
    },
    Check {
        name: "calls that the kernel cannot follow are counted, if the kernel counts them",
        verify: |kernel, outcome| {
            // Later kernels keep the calls of a thread with the thread, for sessions alone.
            let follows_all = kernel.has(Feature::CallsPerThread);
            verify_crowd(kernel, outcome, "crowd", follows_all)?;
            verify_crowd(kernel, outcome, "crowd-kept", false)
        },
    },
];

const READS: u64 = 1000;
/// A name of a function that these kernels list as `__do_sys_getppid`.
const OTHER_NAME: &str = "__x64_sys_getppid";
const CALLS: u64 = 300;
/// More than kretprobes, and sessions of some kernels, follow at the same time on two CPUs.
const SLEEPERS: u64 = 64;
/// How long each of them sleeps.
const SLEEP_MS: u64 = 500;

/// The first instruction after the two at the start of each function: `endbr64` (4 bytes) and
/// the call of ftrace (5 bytes). Only this one is probed with a plain breakpoint.
const INSIDE: &str = "kprobe:vfs_read+0x9";

pub(super) fn commands() -> Vec<Command> {
    let crowd = |name, returned: &str| {
        let line = format!(
            "tracer record -o trace -e kprobe:hrtimer_nanosleep,{returned} -- \
             work crowd {SLEEPERS} {SLEEP_MS}"
        );
        Command::new(name, line)
    };
    vec![
        Command::new(
            "reads",
            format!(
                "tracer record -o /out/reads-trace -e \
                 kprobe:vfs_r*,kretprobe:vfs_read,{INSIDE},syscall:pread64 -e \
                 call:pread64,call:vfs_read -e \
                 sched:sched_process_exec,sched:sched_switch -- work --cpu 0 read /init {READS}"
            ),
        ),
        crowd("crowd", "kretprobe:hrtimer_nanosleep"),
        // Values kept from the entry need a kretprobe on all kernels.
        crowd("crowd-kept", "kretprobe:hrtimer_nanosleep{ret,rqtp}"),
        // The last pattern would find the same by its other name, and finds what was named.
        Command::new(
            "names",
            format!(
                "tracer record -o trace -e \
                 kprobe:__x64_sys_getpp*,kretprobe:__x64_sys_getp*,kprobe:__*_sys_getp* -- \
                 work --cpu 0 getppid {CALLS}"
            ),
        ),
    ]
}

/// The recording of [`READS`] reads of one byte.
struct Reads {
    trace: Trace,
    pid: u64,
}

impl Reads {
    fn of(outcome: &Outcome) -> Result<Self> {
        let kept = Kept::succeeded(outcome, "reads")?;
        kept.expect_error("lost 0 events")?;
        Ok(Self {
            pid: kept.number("pid")?,
            trace: Trace::of(outcome, "reads-trace", &kept)?,
        })
    }

    /// The reading process has one such event for each read.
    fn expect(&self, class: &str, is_ours: impl Fn(&Event<'_>) -> bool) -> Result<()> {
        let events = self.trace.events(class);
        let found = events
            .filter(|event| event.has("pid", self.pid) && is_ours(event))
            .count() as u64;
        ensure!(
            self.trace.is_all(found, READS),
            "{found} events `{class}` for {READS} reads"
        );
        Ok(())
    }
}

fn verify_exec(_: Kernel, outcome: &Outcome) -> Result<()> {
    let reads = Reads::of(outcome)?;
    let mut started = reads.trace.events("sched_process_exec");
    ensure!(
        started.any(|event| event.has("pid", reads.pid) && event.text("filename") == Some("/bin/work")),
        "no event shows that process {} is `/bin/work`",
        reads.pid
    );
    Ok(())
}

/// All threads are inside the function at once, and the kernel has a limited number of
/// places for their returns, unless it `follows_all`.
fn verify_crowd(kernel: Kernel, outcome: &Outcome, name: &str, follows_all: bool) -> Result<()> {
    let kept = Kept::succeeded(outcome, name)?;
    let trace = Trace::read(outcome, &format!("{name}/trace"))?;
    let entered = trace.events("kprobe:hrtimer_nanosleep").count() as u64;
    ensure!(
        entered == SLEEPERS,
        "{entered} of {SLEEPERS} calls were seen to begin"
    );
    let returned = trace.events("kretprobe:hrtimer_nanosleep").count() as u64;
    ensure!(
        (returned == SLEEPERS) == follows_all,
        "the kernel followed {returned} of {SLEEPERS} calls"
    );
    // Each call keeps its own entry, although others have entered since.
    let mut calls = trace.events("kretprobe:hrtimer_nanosleep");
    let short = calls.find(|event| {
        event
            .number("duration")
            .is_none_or(|ns| ns < SLEEP_MS * 1_000_000)
    });
    ensure!(short.is_none(), "a thread slept less: {short:?}");
    let skipped = kept.number_before(" events missed");
    // Kernels before 6.7 do not export that number.
    let expected = if kernel.has(Feature::CountedMisses) {
        SLEEPERS - returned
    } else {
        0
    };
    ensure!(
        skipped == expected,
        "{skipped} reported as skipped, {returned} of {SLEEPERS} recorded"
    );
    Ok(())
}
