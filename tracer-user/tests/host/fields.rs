//! Events have the values that are known to be right, field by field. Needs root.

use std::fs;

use serde_json::json;

use crate::common::recording::{Recorder, Recording, printed, work, work_words};
use crate::common::trace::{Event, Trace};

const AT_FDCWD: i64 = -100;
/// `O_RDONLY | O_CLOEXEC`, and `O_LARGEFILE` as programs of 64 bits have it.
const FLAGS: i64 = 0o2_000_000 | 0o100_000;
/// `openat` in the kernel's table.
const OPENAT: i64 = 257;
const ENOENT: i64 = 2;
const ENAMETOOLONG: i64 = 36;
const EFAULT: i64 = 14;
/// Bytes of a string that an event keeps, the terminator not included.
const KEPT: usize = 4095;

/// Records `probes` while the workload runs, on CPU 0; gives the workload's process, too.
fn recorded(probes: &str, args: &[&str]) -> (Trace, u32, Recording) {
    let words = [&["--cpu", "0"], args].concat();
    let recording = Recorder::new(&["-e", probes])
        .command(work_words(&words))
        .run();
    let trace = recording.trace();
    let pid = printed(&recording.stdout, "pid");
    (trace, pid, recording)
}

/// The events of a class in a process whose `field` is `text`.
fn with_text<'a>(
    trace: &'a Trace,
    name: &str,
    pid: u32,
    field: &str,
    text: &str,
) -> Vec<&'a Event> {
    trace
        .of(name)
        .filter(|event| event.pid == pid && event.text(field) == text)
        .collect()
}

/// The return values of a call, in a process, after `after`.
fn returned(trace: &Trace, name: &str, after: &Event) -> i64 {
    trace
        .of(name)
        .find(|event| event.tid == after.tid && event.timestamp_ns >= after.timestamp_ns)
        .expect("the call returned")
        .number("ret")
}

#[test]
fn openat_has_its_arguments_and_its_result() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a name with spaces");
    fs::write(&path, "x").unwrap();
    let path = path.to_str().unwrap();
    let (trace, pid, _) = recorded("syscall:openat", &["open", path, "3"]);
    let calls = with_text(&trace, "syscall_entry_openat", pid, "filename", path);
    assert_eq!(calls.len(), 3);
    for call in calls {
        let fields = json!({
            "dfd": AT_FDCWD, "filename": path, "flags": FLAGS, "mode": 0,
            "string_cut": 0, "string_fault": 0,
        });
        assert_eq!(json!(call.fields), fields);
        assert_eq!((call.tid, call.cpu), (pid, 0));
        assert!(returned(&trace, "syscall_exit_openat", call) > 2);
    }
}

#[test]
fn a_failed_call_returns_its_error() {
    let (trace, pid, _) = recorded("syscall:openat", &["open", "/no/such/file", "1"]);
    let calls = with_text(
        &trace,
        "syscall_entry_openat",
        pid,
        "filename",
        "/no/such/file",
    );
    assert_eq!(returned(&trace, "syscall_exit_openat", calls[0]), -ENOENT);
}

#[test]
fn a_string_that_is_too_long_is_cut_and_marked() {
    let path = "x".repeat(5000);
    let (trace, pid, _) = recorded("syscall:openat", &["open", &path, "1"]);
    let calls = with_text(
        &trace,
        "syscall_entry_openat",
        pid,
        "filename",
        &path[..KEPT],
    );
    assert_eq!(calls.len(), 1);
    // Bit 1: the second argument.
    assert_eq!(calls[0].number("string_cut"), 1 << 1);
    assert_eq!(calls[0].number("string_fault"), 0);
    assert_eq!(calls[0].number("flags"), FLAGS, "after the string");
    let result = returned(&trace, "syscall_exit_openat", calls[0]);
    assert_eq!(result, -ENAMETOOLONG);
}

#[test]
fn the_longest_string_that_fits_is_whole() {
    let path = "x".repeat(KEPT);
    let (trace, pid, _) = recorded("syscall:openat", &["open", &path, "1"]);
    let calls = with_text(&trace, "syscall_entry_openat", pid, "filename", &path);
    assert_eq!(calls[0].number("string_cut"), 0);
}

#[test]
fn a_string_that_cannot_be_read_is_a_fault_and_marked() {
    let (trace, pid, _) = recorded("syscall:openat", &["open-nowhere", "2"]);
    // The loader's own calls can fault, too, if the page of the name is not there yet when the
    // call begins; the kernel then reads it, and they succeed.
    let (failed, read): (Vec<&Event>, Vec<&Event>) =
        with_text(&trace, "syscall_entry_openat", pid, "filename", "(fault)")
            .into_iter()
            .partition(|call| returned(&trace, "syscall_exit_openat", call) == -EFAULT);
    assert_eq!(failed.len(), 2);
    for call in failed.iter().chain(&read) {
        assert_eq!(call.number("string_fault"), 1 << 1);
        assert_eq!(call.number("string_cut"), 0);
    }
}

#[test]
fn a_string_without_an_address_is_null_and_marked() {
    let (trace, pid, _) = recorded("syscall:openat", &["open-nowhere", "2", "0"]);
    let calls = with_text(&trace, "syscall_entry_openat", pid, "filename", "(null)");
    assert_eq!(calls.len(), 2);
    for call in calls {
        assert_eq!(call.number("string_fault"), 1 << 1);
        assert_eq!(call.number("flags"), 0, "after the string");
        assert_eq!(returned(&trace, "syscall_exit_openat", call), -EFAULT);
    }
}

#[test]
fn no_filter_matches_a_string_that_cannot_be_read() {
    for (address, filter) in [("8", "filename == '(fault)'"), ("0", "filename ~ '*'")] {
        let args = ["-e", "syscall:openat", "-f", filter, "--only-command"];
        let recording = Recorder::new(&args)
            .command(work_words(&["open-nowhere", "2", address]))
            .run();
        let trace = recording.trace();
        let faults = |event: &&Event| {
            event.name == "syscall_entry_openat" && event.number("string_fault") != 0
        };
        assert_eq!(trace.events.iter().filter(faults).count(), 0, "{filter}");
    }
}

#[test]
fn both_strings_of_a_call_are_there() {
    let (from, to) = ("/no/such/file", "/no/such/other/file");
    let (trace, pid, _) = recorded("syscall:renameat", &["rename", from, to, "2"]);
    let calls: Vec<&Event> = trace
        .of("syscall_entry_renameat")
        .filter(|event| event.pid == pid)
        .collect();
    assert_eq!(calls.len(), 2);
    for call in calls {
        let fields = json!({
            "olddfd": AT_FDCWD, "oldname": from, "newdfd": AT_FDCWD, "newname": to,
            "string_cut": 0, "string_fault": 0,
        });
        assert_eq!(json!(call.fields), fields);
    }
}

/// Two strings of the greatest size are the largest event of a system call.
#[test]
fn two_long_strings_are_each_cut() {
    let (from, to) = ("a".repeat(4200), "b".repeat(4300));
    let (trace, pid, _) = recorded("syscall:renameat", &["rename", &from, &to, "1"]);
    let calls = with_text(
        &trace,
        "syscall_entry_renameat",
        pid,
        "newname",
        &to[..KEPT],
    );
    assert_eq!(calls[0].text("oldname"), &from[..KEPT]);
    assert_eq!(calls[0].number("string_cut"), 1 << 1 | 1 << 3);
}

#[test]
fn values_of_a_call_without_strings_are_typed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "x").unwrap();
    let (trace, pid, _) = recorded("syscall:pread64", &["read", path.to_str().unwrap(), "5"]);
    let calls: Vec<&Event> = trace
        .of("syscall_entry_pread64")
        .filter(|event| event.pid == pid && event.number("count") == 1)
        .collect();
    assert_eq!(calls.len(), 5);
    for call in calls {
        assert_eq!(call.number("pos"), 0);
        assert!(call.number("fd") > 2);
        assert_eq!(returned(&trace, "syscall_exit_pread64", call), 1);
    }
}

#[test]
fn switches_between_two_threads_name_both() {
    const ROUNDS: usize = 1000;
    let (trace, pid, recording) = recorded("sched:sched_switch", &["switch", &ROUNDS.to_string()]);
    assert_switches(&trace, pid, &recording, ROUNDS);
}

/// With a stack, the event has a variable size; its fields are the same.
#[test]
fn switches_with_a_stack_have_the_same_fields() {
    const ROUNDS: usize = 100;
    let recording = Recorder::new(&["-e", "sched:sched_switch", "-T=kernel", "--context", "uid"])
        .command(work_words(&["--cpu", "0", "switch", &ROUNDS.to_string()]))
        .run();
    let pid = printed(&recording.stdout, "pid");
    assert_switches(&recording.trace(), pid, &recording, ROUNDS);
}

fn assert_switches(trace: &Trace, pid: u32, recording: &Recording, rounds: usize) {
    let threads = [pid, printed(&recording.stdout, "other")].map(i64::from);
    let pair = |event: &Event| [event.number("prev_tid"), event.number("next_tid")];
    // Whoever runs the test may have been nice.
    let nice = rustix::process::getpriority_process(None).unwrap();
    // They begin at -100.
    let priority = 20 + i64::from(nice);
    let switches = || trace.of("sched_switch");
    let entered = switches().filter(|event| threads.contains(&event.number("next_tid")));
    assert!(entered.count() >= 2 * rounds);
    // A third thread may come between the two.
    for switch in switches().filter(|event| pair(event).iter().all(|tid| threads.contains(tid))) {
        assert_eq!(i64::from(switch.tid), switch.number("prev_tid"));
        assert_eq!((switch.pid, switch.cpu), (pid, 0));
        assert_eq!(switch.text("prev_comm"), "work");
        assert_eq!(switch.text("next_comm"), "work");
        assert_eq!(switch.number("next_prio"), priority);
    }
}

#[test]
fn a_string_of_variable_length_is_whole() {
    let (trace, pid, _) = recorded("sched:sched_process_exec", &["getppid", "1"]);
    let events: Vec<&Event> = trace.of("sched_process_exec").collect();
    let event = events.iter().find(|event| event.pid == pid).unwrap();
    assert_eq!(event.text("filename"), work());
    assert_eq!(event.number("tid"), i64::from(pid));
    assert_eq!(event.number("old_tid"), i64::from(pid), "after the string");
}

#[test]
fn numbers_of_a_raw_system_call_are_an_array() {
    let (trace, pid, _) = recorded("raw_syscalls:sys_enter", &["open", "/no/such", "1"]);
    let call = trace
        .of("raw_syscalls:sys_enter")
        .filter(|event| event.pid == pid && event.number("id") == OPENAT)
        .last()
        .unwrap();
    let args = call.fields["args"].as_array().unwrap();
    assert_eq!(args.len(), 6);
    // The register has the 32 bits of the C type; the caller may sign-extend it or not.
    assert_eq!(args[0].as_u64().unwrap() as i32, AT_FDCWD as i32);
    assert_eq!(args[2], FLAGS);
}
