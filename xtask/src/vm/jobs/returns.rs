//! Returns of functions: with kprobe-session, one program for entry and return, shared by the
//! functions of a pattern; without it, or if values are kept from the entry, two programs and a
//! map of calls. Both record the same.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

use crate::vm::jobs::kept::Kept;
use crate::vm::jobs::trace::{Event, Trace, expect, recorded};
use crate::vm::jobs::typed::stacks_with;
use crate::vm::jobs::{Check, Command};
use crate::vm::{Feature, Kernel, Outcome};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "each call of the functions of a pattern returns with its result and duration",
        verify: verify_results,
    },
    Check {
        name: "returns are followed by one program if the kernel can do that",
        verify: verify_programs,
    },
    Check {
        name: "calls within calls of a function of a pattern have their own durations",
        verify: verify_nested,
    },
    Check {
        name: "a call that began before its process was recorded has no duration",
        verify: |_, outcome| {
            WAYS.iter().try_for_each(|way| {
                let (trace, _, pid) = recorded(outcome, &way.folder("exec"))?;
                expect(&trace, "kretprobe:__x64_sys_execve", pid, 1, |event| {
                    event.has("ret", 0) && event.text("duration") == Some("-1")
                })
            })
        },
    },
    Check {
        name: "functions of a pattern return strings",
        verify: verify_strings,
    },
    Check {
        name: "a function returns more than one value of its result",
        verify: |_, outcome| {
            let (trace, _, pid) = recorded(outcome, "returns-values")?;
            for class in ["kretprobe:vfs_read", "kretprobe:__x64_sys_pread64"] {
                expect(&trace, class, pid, READS, |event| {
                    event.has("ret", 1) && event.has("low", 1) && has_duration(event)
                })?;
            }
            Ok(())
        },
    },
    Check {
        name: "filters, contexts and stacks of returns are those of the function, by all ways",
        verify: |_, outcome| {
            let mut ways = WAYS.iter();
            ways.try_for_each(|way| verify_filtered(outcome, &way.folder("filtered")))
        },
    },
    Check {
        name: "of many returns, as many are recorded as was asked for, by all ways",
        verify: |_, outcome| {
            let mut ways = WAYS.iter();
            ways.try_for_each(|way| verify_throttled(outcome, &way.folder("throttled")))
        },
    },
];

/// A way to follow a function to its return.
struct Way {
    name: &'static str,
    /// The functions after `kretprobe:` that are followed so.
    read: &'static str,
    exec: &'static str,
}

impl Way {
    /// Folder of a recording's results.
    fn folder(&self, recording: &str) -> String {
        format!("returns-{}-{recording}", self.name)
    }
}

/// The first two are sessions if the kernel has them; only a map of calls keeps values from an
/// entry.
const WAYS: [Way; 3] = [
    Way {
        name: "pattern",
        read: "vfs_re*",
        exec: "__x64_sys_execv*",
    },
    Way {
        name: "named",
        read: "vfs_read",
        exec: "__x64_sys_execve",
    },
    Way {
        name: "kept",
        read: "vfs_read{ret,count}",
        exec: "__x64_sys_execve{ret,name=regs->di}",
    },
];

const OPENS: u64 = 200;
const READS: u64 = 300;
const STACKS: u64 = 50;
const CALLS: u64 = 1000;
const LIMIT: u64 = 50;
const WRITES: u64 = 100;
const LEVELS: usize = 3;

/// Functions with results of 4 bytes, of 8, and without any.
const PROBES: &str = "kretprobe:vfs_op*,kretprobe:vfs_re*,kretprobe:fd_inst*,\
                      kprobe:vfs_open,kprobe:fd_install";

pub(super) fn commands() -> Vec<Command> {
    let record = |name: &str, options: &str| {
        let line = format!("tracer record -o trace {options}");
        Command::new(name, line)
    };
    let mut commands = vec![
        record("returns", &format!("-e {PROBES} -- work sequence --"))
            .then(format!("work --cpu 0 open /init {OPENS} ;"))
            .then(format!("work --cpu 0 read /init {READS}")),
        // One of them is listed by the kernel under another name.
        record(
            "returns-programs",
            "-e kretprobe:vfs_re*,kretprobe:__x64_sys_getpp*,kretprobe:vfs_write,\
             kretprobe:vfs_open{ret,path} -- work programs",
        ),
        record(
            "returns-nested",
            &format!(
                "-e kretprobe:ep_poll_c*,kretprobe:eventfd_w* -- \
                 work --cpu 0 nest {LEVELS} {WRITES}"
            ),
        ),
        record(
            "returns-strings",
            "-e kretprobe:d_pa*,kretprobe:dentry_pat* -- work cat /proc/self/maps",
        ),
        record(
            "returns-values",
            &format!(
                "-e kretprobe:vfs_read{{ret,low=ret:u8}} -e \
                 kretprobe:__x64_sys_pread64{{ret,low=ret:u8}} -T=kernel -- \
                 work --cpu 0 read /init {READS}"
            ),
        ),
    ];
    for way in &WAYS {
        let Way { read, exec, .. } = way;
        let filtered = way.folder("filtered");
        commands.push(record(
            &way.folder("exec"),
            &format!("--only-command -e kretprobe:{exec} -- work --cpu 0 getppid 1"),
        ));
        commands.push(
            record(&filtered, "--context comm -T=kernel -e")
                .word(&format!("kretprobe:{read} if ret == 1"))
                .then(format!("-- work --cpu 0 read /init {STACKS}")),
        );
        commands.push(Command::new(
            way.folder("filtered-report"),
            format!("tracer report ../{filtered}/trace"),
        ));
        commands.push(record(
            &way.folder("throttled"),
            &format!(
                "--only-command -e kprobe:vfs_read -e kretprobe:{read} --limit {LIMIT}/h -- \
                 work --cpu 0 read /init {CALLS}"
            ),
        ));
    }
    commands
}

/// The events of all functions that returned.
fn returns(trace: &Trace) -> impl Iterator<Item = Event<'_>> {
    let all = trace.all();
    all.filter(|event| event.class.starts_with("kretprobe:"))
}

fn has_duration(event: &Event<'_>) -> bool {
    event.number("duration").is_some()
}

/// Not all process ids of the workloads are known; their calls are identified by what they
/// return.
fn verify_results(_: Kernel, outcome: &Outcome) -> Result<()> {
    let kept = Kept::succeeded(outcome, "returns")?;
    kept.expect_error("lost 0 events")?;
    let trace = Trace::read(outcome, "returns/trace")?;
    let opener = kept.number("pid")?;
    // The second one returns nothing.
    for (function, ret) in [("vfs_open", Some("0")), ("fd_install", None)] {
        let entered = format!("kprobe:{function}");
        let entered = trace.events(&entered);
        let entered = entered.filter(|event| event.has("pid", opener)).count() as u64;
        ensure!(
            entered >= OPENS,
            "{entered} calls of `{function}` for {OPENS} opens"
        );
        expect(
            &trace,
            &format!("kretprobe:{function}"),
            opener,
            entered,
            |event| event.text("ret") == ret && has_duration(event),
        )?;
    }
    let read = |event: &Event<'_>| event.has("ret", 1) && has_duration(event);
    let reads = trace.events("kretprobe:vfs_read");
    let reads = reads.filter(|event| !event.has("pid", opener) && read(event));
    let found = reads.count() as u64;
    ensure!(
        found >= READS,
        "{found} reads of one byte instead of {READS}"
    );
    Ok(())
}

fn verify_programs(kernel: Kernel, outcome: &Outcome) -> Result<()> {
    let kept = Kept::succeeded(outcome, "returns-programs")?;
    let programs = |begin: &str| {
        let lines = kept.stdout.lines();
        lines.filter(|line| line.starts_with(begin)).count()
    };
    let (shared, of_pattern) = (programs("returns "), programs("kretprobe_vfs_r"));
    let (named, keeping) = (programs("kretprobe_vfs_w"), programs("kretprobe_vfs_o"));
    let entries = programs("entry_kretprobe");
    let is_right = if kernel.has(Feature::KprobeSession) {
        shared == 1 && of_pattern == 0 && entries == 1
    } else {
        shared == 0 && of_pattern > 1 && entries == of_pattern + 3
    };
    ensure!(
        is_right && named == 1 && keeping == 1,
        "{shared} programs for all returns of the pattern, {of_pattern} for one each, {named} for \
         the function that was named, {keeping} for the one that keeps something, {entries} for \
         entries"
    );
    Ok(())
}

/// Each write makes as many calls, each within the one before; others that are woken meanwhile
/// add calls of their own.
fn verify_nested(_: Kernel, outcome: &Outcome) -> Result<()> {
    let (trace, _, pid) = recorded(outcome, "returns-nested")?;
    let mut writes = 0;
    let mut within = BTreeSet::new();
    for event in returns(&trace).filter(|event| event.has("pid", pid)) {
        let duration = event.number("duration");
        ensure!(duration.is_some(), "a call without a duration: {event:?}");
        if event.class == "kretprobe:ep_poll_callback" {
            within.insert(duration);
        } else if event.has("ret", 8) {
            writes += 1;
            within.retain(|call| *call <= duration);
            ensure!(
                within.len() >= LEVELS,
                "the calls within {event:?} take {within:?}"
            );
            within.clear();
        }
    }
    ensure!(writes == WRITES, "{writes} writes, not {WRITES}");
    Ok(())
}

/// The list of a process's memory has a line for each part of its program.
fn verify_strings(_: Kernel, outcome: &Outcome) -> Result<()> {
    const PROGRAM: &str = "/bin/work";
    let kept = Kept::succeeded(outcome, "returns-strings")?;
    let parts = kept.stdout.lines().filter(|line| line.ends_with(PROGRAM));
    let parts = parts.count();
    let trace = Trace::read(outcome, "returns-strings/trace")?;
    let paths = trace.events("kretprobe:d_path");
    let paths = paths.filter(|event| event.text("ret") == Some(PROGRAM) && has_duration(event));
    let paths = paths.count();
    ensure!(
        parts > 0 && paths >= parts,
        "{paths} paths of {parts} parts of the program"
    );
    Ok(())
}

fn verify_filtered(outcome: &Outcome, folder: &str) -> Result<()> {
    let class = "kretprobe:vfs_read";
    let (trace, _, pid) = recorded(outcome, folder)?;
    expect(&trace, class, pid, STACKS, |event| {
        event.text("procname") == Some("work") && has_duration(event)
    })?;
    let other = returns(&trace).find(|event| !event.has("ret", 1));
    ensure!(other.is_none(), "the filter let {other:?} pass");
    let report = Kept::succeeded(outcome, &format!("{folder}-report"))?;
    let found = stacks_with(&report.stdout, class, "__x64_sys_pread64");
    ensure!(
        found == STACKS,
        "{found} stacks have their system call, not {STACKS}: {:.2000}",
        report.stdout
    );
    Ok(())
}

fn verify_throttled(outcome: &Outcome, folder: &str) -> Result<()> {
    let class = "kretprobe:vfs_read";
    let (trace, kept, pid) = recorded(outcome, folder)?;
    let entered = trace.events("kprobe:vfs_read").count() as u64;
    ensure!(entered >= CALLS, "{entered} calls instead of {CALLS}");
    expect(&trace, class, pid, LIMIT, |_| true)?;
    let left_out = kept.number_of_class(class, "by --limit");
    ensure!(
        left_out + LIMIT == entered,
        "{left_out} of {entered} are left out"
    );
    Ok(())
}
