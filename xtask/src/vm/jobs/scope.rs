//! Whose events are recorded: of processes, of a command, with what they start, and of threads
//! of a name, a user, a cgroup. There are always calls of others, too, which must be left out.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use crate::vm::Outcome;
use crate::vm::jobs::kept::Kept;
use crate::vm::jobs::trace::Trace;
use crate::vm::jobs::{Check, Command};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "a command is recorded with all that it starts, and nothing else is",
        verify: |_, outcome| {
            let recording = Recording::of(outcome, "scope-command")?;
            recording.expect(|thread| thread.count == CALLS, THREADS)
        },
    },
    Check {
        name: "a process is followed into all that it starts",
        verify: |_, outcome| {
            let recording = Recording::of(outcome, "scope-follow")?;
            recording.expect(|thread| thread.count == CALLS, THREADS)
        },
    },
    Check {
        name: "without being followed, only the process itself is recorded",
        verify: |_, outcome| {
            let recording = Recording::of(outcome, "scope-process")?;
            let held = recording.kept.number("held")?;
            recording.expect(|thread| thread.pid == held, 2)
        },
    },
    Check {
        name: "threads of a name, a user and a cgroup are recorded alone",
        verify: |_, outcome| {
            let recording = Recording::of(outcome, "scope-origin")?;
            let recorded: u64 = recording.recorded()?.values().sum();
            let wanted = IN_CGROUP + BELOW;
            ensure!(
                recording.trace.is_all(recorded, wanted),
                "{recorded} calls instead of {wanted}"
            );
            Ok(())
        },
    },
];

/// Levels of processes that start two others each, and the threads of all of them.
const LEVELS: u32 = 2;
const THREADS: usize = 14;
/// Calls of each thread.
const CALLS: u64 = 25;
/// The same of threads that the recording is not about.
const OTHER_CALLS: u64 = 10;

/// The message of `tracer`, after the number, about programs that were also skipped at a fork.
const NOT_FOLLOWED: &str = " threads or processes could not be followed";

const CGROUP: &str = "/sys/fs/cgroup/scope";
const USER: u32 = 1234;
const IN_CGROUP: u64 = 1;
const BELOW: u64 = 2;

pub(super) fn commands() -> Vec<Command> {
    // No other events are in the trace.
    let probe = "--no-state-dump -e syscalls:sys_enter_getppid";
    // One process is there before the recording, and starts others in it; another comes with it.
    let held = |name, calls: u64, options: &str, command_calls: u64| {
        let line = format!(
            "work held {LEVELS} {calls} -- tracer record -o trace {options} {probe} -- \
             work sequence -- work put go begin ; work cat done ; \
             work tree {LEVELS} {command_calls}"
        );
        Command::new(name, line)
    };
    vec![
        held("scope-command", OTHER_CALLS, "--only-command", CALLS),
        held("scope-follow", CALLS, "-p PID --follow", OTHER_CALLS),
        held("scope-process", CALLS, "-p PID", OTHER_CALLS),
        // There before it is recorded.
        Command::new("scope-cgroup", format!("work --cgroup {CGROUP} exit 0")),
        // The numbers of calls are powers of two: each sum of them is another.
        Command::new(
            "scope-origin",
            format!(
                "tracer record -o trace --comm w?rk --uid {USER} --cgroup {CGROUP} \
                 {probe} -- work sequence -- \
                 work --cgroup {CGROUP} as {USER} {IN_CGROUP} ; \
                 work --cgroup {CGROUP}/below as {USER} {BELOW} ; \
                 work --cgroup {CGROUP} --comm other as {USER} 4 ; \
                 work --cgroup {CGROUP} getppid 8 ; \
                 work as {USER} 16"
            ),
        ),
    ]
}

/// A line of a thread of the workload.
struct Thread {
    count: u64,
    pid: u64,
    tid: u64,
}

impl Thread {
    /// Reads `called COUNT pid PID tid TID`.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("called ")?.split(' ');
        let mut number = |at| words.nth(at)?.parse().ok();
        Some(Self {
            count: number(0)?,
            pid: number(1)?,
            tid: number(1)?,
        })
    }
}

/// A recording of getppid, and the workload that made these calls and others.
struct Recording {
    kept: Kept,
    trace: Trace,
}

impl Recording {
    fn of(outcome: &Outcome, name: &str) -> Result<Self> {
        let kept = Kept::succeeded(outcome, name)?;
        kept.expect_error("lost 0 events")?;
        let mut trace = Trace::of(outcome, &format!("{name}/trace"), &kept)?;
        if trace.skipped > 0 && kept.number_before(NOT_FOLLOWED) > 0 {
            // The number of their calls is unknown.
            trace.skipped = u64::MAX;
        }
        Ok(Self { kept, trace })
    }

    /// Calls in the trace, by thread.
    fn recorded(&self) -> Result<BTreeMap<u64, u64>> {
        let mut calls = BTreeMap::new();
        for event in self.trace.all() {
            let tid = event.number("tid").context("an event without a thread")?;
            *calls.entry(tid).or_default() += 1;
        }
        Ok(calls)
    }

    /// The calls of `threads` threads that `is_wanted` chooses are recorded, and no others.
    fn expect(&self, is_wanted: impl Fn(&Thread) -> bool, threads: usize) -> Result<()> {
        let threads_of_work = self.kept.stdout.lines().filter_map(Thread::parse);
        let wanted = threads_of_work.filter(|thread| is_wanted(thread));
        let wanted: BTreeMap<u64, u64> = wanted.map(|thread| (thread.tid, thread.count)).collect();
        let recorded = self.recorded()?;
        let all = |calls: &BTreeMap<u64, u64>| calls.values().sum();
        let is_within =
            |(tid, count): (&u64, &u64)| wanted.get(tid).is_some_and(|all| count <= all);
        ensure!(
            wanted.len() == threads
                && recorded.iter().all(is_within)
                && self.trace.is_all(all(&recorded), all(&wanted)),
            "calls by thread are {recorded:?}, expected are {threads} threads, {wanted:?}: {}",
            self.kept.stdout
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_identifies_itself() {
        let thread = Thread::parse("called 25 pid 83 tid 84").unwrap();
        assert_eq!((thread.count, thread.pid, thread.tid), (25, 83, 84));
        assert!(Thread::parse("held 83").is_none());
    }
}
