//! Rates and sampling: what is recorded and what is left out add up, exactly. Needs root.

use std::collections::BTreeMap;

use crate::common::recording::{Held, Recorder, Recording};
use crate::common::trace::Trace;

const ENTRY: &str = "syscall_entry_getppid";
const EXIT: &str = "syscall_exit_getppid";
const CALLS: u64 = 10_000;

/// Records a workload of this process and those that it starts.
fn recorded(work: &[&str], args: &[&str]) -> (Recording, Trace) {
    let held = Held::new(work);
    let pid = held.pid().to_string();
    let scope = ["--buffer-size", "64M", "--follow", "-p", &pid];
    let recording = Recorder::new(&[&scope[..], args].concat())
        .command(["sh", "-c", &held.script()])
        .run();
    let trace = recording.trace();
    assert_eq!(trace.lost, 0, "events that are left out are not lost");
    assert!(
        recording.stderr.contains("lost 0 events"),
        "{}",
        recording.stderr
    );
    (recording, trace)
}

/// The events of a class that this option left out, according to the summary.
fn left_out(recording: &Recording, class: &str, option: &str) -> u64 {
    let line = recording.stderr.lines().find_map(|line| {
        let (events, rest) = line.trim_start().split_once("  ")?;
        let by = rest.strip_prefix(class)?.strip_prefix(" (")?;
        (by == format!("{events} by {option})")).then_some(events)
    });
    line.map_or(0, |events| events.replace(',', "").parse().unwrap())
}

fn count(trace: &Trace, class: &str) -> u64 {
    trace.of(class).count() as u64
}

fn getppid() -> [String; 4] {
    ["--cpu", "0", "getppid", &CALLS.to_string()].map(str::to_owned)
}

fn words(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

#[test]
fn every_nth_event_is_recorded() {
    let (recording, trace) = recorded(
        &words(&getppid()),
        &["--every", "10", "-e", "syscall:getppid"],
    );
    for class in [ENTRY, EXIT] {
        let numbers = (count(&trace, class), left_out(&recording, class, "--every"));
        assert_eq!(numbers, (CALLS / 10, CALLS * 9 / 10), "{class}");
    }
}

#[test]
fn sampling_is_counted_on_each_cpu() {
    // 31 processes of two threads, on any CPU.
    let (recording, trace) = recorded(
        &["tree", "4", "1000"],
        &["-e", "syscalls:sys_enter_getppid", "--every", "7"],
    );
    let recorded = count(&trace, ENTRY);
    let calls = 62 * 1000;
    assert_eq!(recorded + left_out(&recording, ENTRY, "--every"), calls);
    let mut on_cpus = BTreeMap::<u32, u64>::new();
    for event in trace.of(ENTRY) {
        *on_cpus.entry(event.cpu).or_default() += 1;
    }
    // On each CPU the first of seven.
    let cpus = on_cpus.len() as u64;
    assert!(
        (calls / 7..=calls / 7 + cpus).contains(&recorded),
        "{on_cpus:?}"
    );
}

#[test]
fn a_limit_holds_for_all_cpus_together() {
    let (recording, trace) = recorded(
        &["tree", "4", "1000"],
        &["--limit", "100/day", "-e", "syscall:getppid"],
    );
    for class in [ENTRY, EXIT] {
        let numbers = (count(&trace, class), left_out(&recording, class, "--limit"));
        assert_eq!(numbers, (100, 62 * 1000 - 100), "{class}");
    }
}

#[test]
fn a_limit_can_be_one_event() {
    let (recording, trace) = recorded(
        &words(&getppid()),
        &["-e", "syscalls:sys_enter_getppid", "--limit", "1/day"],
    );
    assert_eq!(count(&trace, ENTRY), 1);
    assert_eq!(left_out(&recording, ENTRY, "--limit"), CALLS - 1);
}

#[test]
fn a_limit_is_for_each_of_its_times() {
    const NS: u64 = 10_000_000;
    // Some hundred milliseconds of calls.
    let calls = 1_000_000;
    let (recording, trace) = recorded(
        &["--cpu", "0", "getppid", &calls.to_string()],
        &["--limit", "5/10ms", "-e", "syscalls:sys_enter_getppid"],
    );
    let recorded = count(&trace, ENTRY);
    assert_eq!(recorded + left_out(&recording, ENTRY, "--limit"), calls);
    let mut windows = BTreeMap::<u64, u64>::new();
    for event in trace.of(ENTRY) {
        *windows.entry(event.timestamp_ns / NS).or_default() += 1;
    }
    let (first, last) = (windows.first_key_value(), windows.last_key_value());
    let times = last.unwrap().0 - first.unwrap().0 + 1;
    assert!(times > 3, "all happened within {times} times");
    assert!(recorded > 5, "no event after the first time");
    // An event is counted a moment before it is given its time: it may show in the next.
    assert!(recorded <= 5 * times, "{windows:?}");
}

#[test]
fn the_limit_comes_after_the_sampling() {
    let (recording, trace) = recorded(
        &words(&getppid()),
        &[
            "-e",
            "syscalls:sys_enter_getppid",
            "--every",
            "10",
            "--limit",
            "300/day",
        ],
    );
    assert_eq!(count(&trace, ENTRY), 300);
    let said = "9,700  syscall_entry_getppid (9,000 by --every, 700 by --limit)";
    assert!(recording.stderr.contains(said), "{}", recording.stderr);
    let said = "left out 9,000 by --every, 700 by --limit";
    assert!(recording.stderr.contains(said), "{}", recording.stderr);
}

#[test]
fn each_probe_has_its_own_rate() {
    let (recording, trace) = recorded(
        &words(&getppid()),
        &[
            "--every",
            "2",
            "-e",
            "syscalls:sys_enter_getppid",
            "-e",
            "syscalls:sys_exit_getppid",
            "--every",
            "1",
        ],
    );
    assert_eq!(
        [ENTRY, EXIT].map(|class| count(&trace, class)),
        [CALLS / 2, CALLS]
    );
    assert_eq!(left_out(&recording, ENTRY, "--every"), CALLS / 2);
}

#[test]
fn raw_calls_and_tracepoints_have_rates_too() {
    let (recording, trace) = recorded(
        &words(&getppid()),
        &[
            "-e",
            "raw_syscalls:sys_enter",
            "--every",
            "10",
            "-e",
            "raw_syscalls:sys_exit",
            "--limit",
            "50/day",
            "-e",
            "sched:sched_process_exec",
            "--limit",
            "1/day",
        ],
    );
    // Before and after its loop the workload makes some calls, too.
    let enter = "raw_syscalls:sys_enter";
    let every = left_out(&recording, enter, "--every");
    let recorded = count(&trace, enter);
    assert!(
        recorded >= CALLS / 10 && recorded + every >= CALLS,
        "{recorded} and {every}"
    );
    // On one CPU the first of ten, and on each that it was on before.
    assert!(recorded.abs_diff((recorded + every) / 10) <= 64);
    assert_eq!(count(&trace, "raw_syscalls:sys_exit"), 50);
    assert!(left_out(&recording, "raw_syscalls:sys_exit", "--limit") >= CALLS - 50);
    assert_eq!(count(&trace, "sched_process_exec"), 1);
}

#[test]
fn the_summary_is_silent_if_nothing_is_left_out() {
    let (recording, trace) = recorded(
        &words(&getppid()),
        &["-e", "syscalls:sys_enter_getppid", "--limit", "20000/day"],
    );
    assert_eq!(count(&trace, ENTRY), CALLS);
    assert!(
        !recording.stderr.contains("left out"),
        "{}",
        recording.stderr
    );
}
