//! Recorders in PID and time namespaces, such as those of containers. Needs root.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

use crate::common::recording::{Recorder, work, work_words};

const ENTRY: &str = "syscall_entry_getppid";
const GETPPID: [&str; 2] = ["-e", "syscalls:sys_enter_getppid"];
const ONLY_COMMAND: [&str; 3] = [GETPPID[0], GETPPID[1], "--only-command"];

/// A PID namespace with its own `/proc`.
const CONTAINER: [&str; 3] = ["--pid", "--fork", "--mount-proc"];

/// Starts a process `$held` that calls getppid when `begin` is written, and then runs the recorder
/// with `options` in its place of the script.
fn with_held(calls: u32, options: &str) -> String {
    let work = work();
    format!(
        "mkfifo begin done
         sh -c '>ready; read go <begin; exec {work} getppid {calls} >done' & held=$!
         until [ -e ready ]; do sleep 0.01; done
         exec \"$@\" {options} -- sh -c 'echo >begin; cat done'"
    )
}

#[test]
fn a_command_in_a_container_is_recorded_with_its_descendants() {
    let recording = Recorder::new(&ONLY_COMMAND)
        .in_namespaces(&CONTAINER, "exec \"$@\"")
        .command(work_words(&["tree", "2", "25"]))
        .run();
    let trace = recording.trace();
    // Seven processes of two threads.
    assert_eq!((trace.of(ENTRY).count(), trace.lost), (14 * 25, 0));
    let note = "recording in PID namespace `pid:[";
    assert!(recording.stderr.contains(note), "{}", recording.stderr);
}

#[test]
fn a_container_needs_no_proc_of_its_own() {
    let recording = Recorder::new(&ONLY_COMMAND)
        .in_namespaces(&["--pid", "--fork"], "exec \"$@\"")
        .command(work_words(&["getppid", "100"]))
        .run();
    assert_eq!(recording.trace().of(ENTRY).count(), 100);
}

#[test]
fn a_process_of_a_container_is_named_by_its_id_there() {
    for options in ["-p $held", "-p $held --follow", "-f \"pid == $held\""] {
        let recording = Recorder::new(&GETPPID)
            .in_namespaces(&CONTAINER, &with_held(100, options))
            .run();
        let trace = recording.trace();
        assert_eq!(trace.of(ENTRY).count(), 100, "{options}");
        let pids: BTreeSet<u32> = trace.events.iter().map(|event| event.pid).collect();
        assert_eq!(pids.len(), 1, "{options}");
    }
}

#[test]
fn fields_of_tracepoints_are_compared_with_ids_of_the_container() {
    let probe = "sched:sched_process_exit";
    let recording = Recorder::new(&["-e", probe])
        .in_namespaces(&CONTAINER, &with_held(1, "-f \"pid == $held\""))
        .run();
    let trace = recording.trace();
    let names: Vec<&str> = trace
        .events
        .iter()
        .map(|event| event.comm.as_str())
        .collect();
    assert_eq!(names, ["work"]);
}

#[test]
fn ids_that_a_container_does_not_have_are_refused() {
    let refused = |options: &[&str], part: &str| {
        let recording = Recorder::new(&[&GETPPID[..], options].concat())
            .in_namespaces(&CONTAINER, "exec \"$@\"")
            .command(["true"])
            .run();
        recording.assert_refused(&[part]);
    };
    refused(&["-p", "3000000"], "no process or thread 3000000");
    let missing = "no process or thread 3000000 in PID namespace `pid:[";
    refused(&["-f", "pid == 3000000"], missing);
    refused(&["-f", "!(tid != 3000000)"], missing);
    refused(
        &["-e", "sched:sched_switch if next_pid == 3000000"],
        missing,
    );
    refused(&["-f", "pid > 3"], "compare with `==` or `!=`");
}

#[test]
fn the_recorder_of_a_container_is_not_in_its_own_trace() {
    let running = Recorder::new(&["-e", "syscall:*"])
        .in_namespaces(&CONTAINER, "exec \"$@\"")
        .command(work_words(&["sleep", "500"]))
        .start();
    let child = fs::read_to_string(format!("/proc/{0}/task/{0}/children", running.pid()));
    let recording = running.wait();
    let trace = recording.trace();
    assert!(trace.of("syscall_exit_clock_nanosleep").count() > 0);
    // Linux may be built without the file.
    if let Some(child) = child.ok().and_then(|ids| ids.trim().parse::<u32>().ok()) {
        assert!(trace.events.iter().all(|event| event.pid != child));
    }
    // Its first thread has this id there, and the kernel's first process another name.
    let names = fs::read_to_string(recording.trace_dir().join(".tasks")).unwrap();
    let first = names
        .lines()
        .filter(|line| line.split(' ').nth(1) == Some("1"));
    assert_eq!(first.count(), 0, "{names}");
    assert!(
        names.lines().any(|line| line.ends_with(" tracer")),
        "{names}"
    );
}

#[test]
fn the_clock_of_a_time_namespace_is_not_that_of_the_trace() {
    let now = || Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap();
    for offset in ["100000", "-100"] {
        let before = (now(), SystemTime::now());
        let recording = Recorder::new(&ONLY_COMMAND)
            .in_namespaces(&["--time", "--monotonic", offset, "--fork"], "exec \"$@\"")
            .command(work_words(&["getppid", "100"]))
            .run();
        let after = (now(), SystemTime::now());
        let trace = recording.trace();
        assert_eq!(trace.of(ENTRY).count(), 100);
        let times: BTreeSet<u64> = trace.events.iter().map(|e| e.timestamp_ns).collect();
        assert_eq!(times.len(), 100, "offset {offset}");
        let first = Duration::from_nanos(*times.first().unwrap());
        let last = Duration::from_nanos(*times.last().unwrap());
        assert!(before.0 < first && last < after.0, "offset {offset}");
        assert!(!recording.stderr.contains("timestamps were earlier"));
        // Readers show times of day by this offset.
        let metadata = fs::read_to_string(recording.trace_dir().join("metadata")).unwrap();
        let start = metadata.split("offset = ").nth(1).unwrap();
        let start: u64 = start.split(';').next().unwrap().trim().parse().unwrap();
        let day = SystemTime::UNIX_EPOCH + Duration::from_nanos(start) + first;
        assert!(before.1 < day && day < after.1, "offset {offset}");
    }
}
