//! System calls as one event each: `call:NAME`. Needs root.

use std::collections::BTreeMap;
use std::fs;

use crate::common::recording::{Recorder, Recording, printed, work_words};
use crate::common::trace::{Event, Trace};

const ENOENT: i64 = -2;
const EFAULT: i64 = -14;

/// Records `args` while the workload does `work`, its own process only.
fn recorded(args: &[&str], work: &[&str]) -> (Recording, Trace) {
    let recording = Recorder::new(&[args, &["--only-command"]].concat())
        .command(work_words(&[&["--cpu", "1"], work].concat()))
        .run();
    let trace = recording.trace();
    (recording, trace)
}

fn events(args: &[&str], work: &[&str]) -> Vec<Event> {
    recorded(args, work).1.events
}

/// The number of events for which the filter holds, of calls of openat(2) that fail.
fn failing_opens(filter: &str) -> usize {
    let work = ["open", "/nowhere/missing", "10"];
    events(&["-e", "call:openat", "-f", filter], &work).len()
}

#[test]
fn each_call_is_one_event_with_result_and_duration() {
    let (recording, trace) = recorded(&["-e", "call:getppid"], &["getppid", "100"]);
    let pid = printed(&recording.stdout, "pid");
    assert_eq!(trace.count("call:getppid", pid), 100);
    assert_eq!(trace.events.len(), 100);
    let mut last = 0;
    for event in &trace.events {
        assert!(event.number("ret") > 0);
        assert_eq!(event.number("unfinished"), 0);
        // It began after the one before it had returned.
        let duration = event.number("duration");
        let began = event.timestamp_ns - u64::try_from(duration).unwrap();
        assert!(began > last, "{event:?}");
        last = event.timestamp_ns;
    }
}

#[test]
fn a_filter_sees_arguments_result_and_duration() {
    assert_eq!(failing_opens("ret == -2 && filename ~ \"/nowhere/m*\""), 10);
    assert_eq!(failing_opens("filename == \"/nowhere/missing\""), 10);
    assert_eq!(failing_opens("filename ~ \"*/miss?ng\" && dfd == -100"), 10);
    assert_eq!(failing_opens("filename ~ \"/nowhere/*\" && ret >= 0"), 0);
    assert_eq!(
        failing_opens("filename ~ \"/nowhere/*\" && duration < 1s"),
        10
    );
    assert_eq!(
        failing_opens("filename ~ \"/nowhere/*\" && duration >= 1000s"),
        0
    );
}

#[test]
fn slow_calls_are_found_by_their_duration() {
    let sleeps = |filter| {
        let probe = ["-e", "call:clock_nanosleep", "-f", filter];
        events(&probe, &["sleep", "30"])
    };
    let slow = sleeps("duration > 20ms");
    assert_eq!(slow.len(), 1);
    assert!(slow[0].number("duration") >= 30_000_000);
    assert_eq!(sleeps("duration > 1000s").len(), 0);
}

#[test]
fn strings_that_are_not_in_memory_at_the_entry_are_read_at_the_return() {
    let folder = tempfile::tempdir().unwrap();
    let names = folder.path().join("names");
    fs::write(&names, "/nowhere/missing\0").unwrap();
    let mapped = ["open-mapped", names.to_str().unwrap(), "10"];
    let missing = |event: &&Event| event.text("filename") == "/nowhere/missing";
    // The entry alone does not have it.
    let entries = events(&["-e", "syscalls:sys_enter_openat"], &mapped);
    assert_eq!(entries.iter().filter(missing).count(), 0);
    let calls = events(&["-e", "call:openat"], &mapped);
    let found: Vec<_> = calls.iter().filter(missing).collect();
    assert_eq!(found.len(), 10);
    for event in found {
        assert_eq!(event.number("string_fault"), 0);
        assert_eq!(event.number("ret"), ENOENT);
    }
    // Filters see it, too.
    let filter = [
        "-e",
        "call:openat",
        "-f",
        "filename == \"/nowhere/missing\"",
    ];
    assert_eq!(events(&filter, &mapped).len(), 10);
}

#[test]
fn strings_that_cannot_be_read_are_marked() {
    let calls = events(
        &["-e", "call:openat", "-f", "ret == -14"],
        &["open-nowhere", "10"],
    );
    assert_eq!(calls.len(), 10);
    for event in &calls {
        assert_eq!(event.text("filename"), "");
        assert_eq!(event.number("string_fault"), 0b10);
        assert_eq!(event.number("ret"), EFAULT);
    }
}

#[test]
fn each_of_two_strings_is_recorded_whatever_its_length() {
    let (from, to) = (format!("/nowhere/{}", "a".repeat(300)), "b".repeat(5000));
    let renames = |filter: &str| {
        let work = ["rename", &from, &to, "10"];
        events(&["-e", "call:rename*", "-f", filter], &work)
    };
    let all = renames("ret < 0");
    assert_eq!(all.len(), 10);
    for event in &all {
        assert_eq!(event.text("oldname"), from);
        assert_eq!(event.text("newname"), "b".repeat(4095));
        assert_eq!(event.number("string_cut"), 0b1000);
        assert_eq!(event.number("string_fault"), 0);
    }
    assert_eq!(
        renames("newname ~ \"bbbb*\" && oldname ~ \"*aaa\"").len(),
        10
    );
    assert_eq!(renames("newname ~ \"*c*\"").len(), 0);
}

/// The number of events by the name of their call, for classes with this prefix.
fn by_call<'t>(trace: &'t Trace, prefix: &str) -> BTreeMap<&'t str, usize> {
    let mut counts = BTreeMap::new();
    for event in &trace.events {
        if let Some(call) = event.name.strip_prefix(prefix) {
            *counts.entry(call).or_default() += 1;
        }
    }
    counts
}

#[test]
fn every_call_that_is_entered_is_one_event() {
    // Processes and threads that start each other, and end.
    let (_, trace) = recorded(&["-e", "syscall:*,call:*"], &["tree", "2", "10"]);
    let (mut entries, calls) = (by_call(&trace, "syscall_entry_"), by_call(&trace, "call:"));
    // The command is recorded from its exec on, whose entry comes before.
    *entries.entry("execve").or_default() += 1;
    assert_eq!(entries, calls);
    assert!(calls["exit_group"] > 1 && calls["exit"] > 1, "{calls:?}");
    let forks = trace.of("call:clone").chain(trace.of("call:clone3"));
    assert!(forks.into_iter().all(|event| event.number("ret") > 0));
}

#[test]
fn an_exec_has_the_name_that_its_memory_had() {
    let calls = events(&["-e", "call:execve"], &["getppid", "1"]);
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].text("filename"), work_words(&[])[0]);
    assert_eq!(calls[0].number("ret"), 0);
}

#[test]
fn a_call_that_does_not_return_is_marked_as_unfinished() {
    let calls = events(&["-e", "call:exit_group"], &["exit", "0"]);
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].number("error_code"), 0);
    assert_eq!(calls[0].number("ret"), 0);
    assert_eq!(calls[0].number("unfinished"), 1);
    assert_eq!(calls[0].number("duration"), -1);
}

#[test]
fn calls_that_have_not_returned_are_counted() {
    let work = work_words(&[])[0].clone();
    let script = format!("{work} sleep 8000 >/dev/null 2>&1 & {work} sleep 500");
    let recording = Recorder::new(&["-e", "call:clock_nanosleep", "--only-command"])
        .command(["sh", "-c", &script])
        .run();
    assert_eq!(recording.trace().events.len(), 1);
    let expected = "1 system calls had not returned when the recording ended";
    assert!(recording.stderr.contains(expected), "{}", recording.stderr);
}

#[test]
fn contexts_stacks_and_sampling_apply() {
    let args = ["-e", "call:getppid,call:openat", "--context", "uid", "-T"];
    let work = ["open", "/nowhere/missing", "10"];
    let missing = |event: &&Event| {
        let name = event.fields.get("filename");
        name.is_some_and(|name| name == "/nowhere/missing")
    };
    let calls = events(&args, &work);
    assert_eq!(calls.iter().filter(missing).count(), 10);
    let sampled = events(
        &["-e", "call:getppid", "--every", "10"],
        &["getppid", "100"],
    );
    assert_eq!(sampled.len(), 10);
}
