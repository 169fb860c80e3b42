//! Traces begin with the threads and open files that are there, which are no events that
//! fired. Needs root.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process;

use crate::common::recording::{Recorder, Recording, work_words};
use crate::common::trace::{Event, babeltrace, report};

const NAMES: &str = "lttng_statedump*";

/// Records ten known calls.
fn recorded(args: &[&str]) -> Recording {
    let recording = Recorder::new(&[&["-e", "syscall:getppid"], args].concat())
        .command(work_words(&["getppid", "10"]))
        .run();
    assert!(recording.status.success(), "{}", recording.stderr);
    recording
}

/// The state dump of a trace.
fn dump(trace: &Path) -> Vec<Event> {
    let text = report(trace, &["--json", "-e", NAMES]);
    let events = text.lines().map(serde_json::from_str);
    events.collect::<Result<_, _>>().expect("events")
}

fn of<'a>(events: &'a [Event], name: &str) -> Vec<&'a Event> {
    let name = format!("lttng_statedump_{name}");
    let events = events.iter().filter(|event| event.name == name);
    events.collect()
}

fn is_own(event: &Event) -> bool {
    event.number("pid") == i64::from(process::id())
}

#[test]
fn threads_and_files_from_before_are_in_the_state_dump() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("open");
    let file = File::create(&path).unwrap();
    let recording = recorded(&[]);
    let dump = dump(recording.trace_dir());

    let threads = of(&dump, "process_state");
    let own = threads
        .iter()
        .find(|event| event.number("tid") == i64::from(process::id()));
    let own = own.expect("the test itself");
    let comm = fs::read_to_string(format!("/proc/{}/comm", process::id())).unwrap();
    assert_eq!(own.text("name"), comm.trim_end());
    assert_eq!((own.number("type"), own.number("mode")), (0, 5));
    let kernel_thread = threads.iter().find(|event| event.number("tid") == 2);
    assert_eq!(kernel_thread.expect("kthreadd").number("type"), 1);

    let files = of(&dump, "file_descriptor");
    let own = files.iter().filter(|event| is_own(event));
    let own: Vec<_> = own
        .filter(|event| event.text("filename") == path.to_str().unwrap())
        .collect();
    assert_eq!(own.len(), 1);
    assert_eq!(own[0].number("fd"), i64::from(file.as_raw_fd()));
    // O_WRONLY | O_CREAT does not stay, O_CLOEXEC does.
    assert_eq!(own[0].number("flags") & 0o2_000_003, 0o2_000_001);
    assert_eq!(own[0].number("fmode"), 2);

    let line = format!(
        "state dump: {} threads, {} open files",
        threads.len(),
        files.len()
    );
    assert!(
        recording.stderr.contains(&line),
        "no `{line}`: {}",
        recording.stderr
    );
}

#[test]
fn the_state_dump_comes_first_and_is_not_counted() {
    let recording = recorded(&[]);
    let trace = recording.trace();
    let dump = dump(recording.trace_dir());
    assert_eq!(of(&dump, "start").len() + of(&dump, "end").len(), 2);
    let last = dump.iter().map(|event| event.timestamp_ns).max();
    let first = trace.events.iter().map(|event| event.timestamp_ns).min();
    assert!(last <= first);
    let line = format!("recorded {} events in", trace.events.len());
    assert!(
        recording.stderr.starts_with(&line),
        "no `{line}`: {}",
        recording.stderr
    );
    assert!(
        trace
            .classes()
            .iter()
            .all(|name| !name.starts_with("lttng"))
    );
}

#[test]
fn many_files_take_several_packets() {
    const FILES: usize = 900;
    let files: Vec<File> = (0..FILES)
        .map(|_| File::open("/dev/null").unwrap())
        .collect();
    let recording = recorded(&["--subbuf-size", "32K", "--subbuf-count", "2"]);
    drop(files);
    assert_eq!(babeltrace(recording.trace_dir()).1, 0);
    let dump = dump(recording.trace_dir());
    let files = of(&dump, "file_descriptor");
    let own = files
        .iter()
        .filter(|event| is_own(event))
        .filter(|event| event.text("filename") == "/dev/null");
    assert!(own.count() >= FILES);
}

#[test]
fn the_state_dump_of_one_process_has_no_others() {
    let pid = process::id().to_string();
    let recording = recorded(&["-p", &pid]);
    let dump = dump(recording.trace_dir());
    for name in ["process_state", "file_descriptor"] {
        let events = of(&dump, name);
        assert!(
            !events.is_empty() && events.iter().all(|event| is_own(event)),
            "{name}"
        );
    }
}

#[test]
fn there_is_none_if_the_recording_has_no_use_for_it() {
    for args in [&["--no-state-dump"][..], &["--names", "tracefs"]] {
        let recording = recorded(args);
        assert!(!recording.stderr.contains("state dump"), "{args:?}");
        let metadata = fs::read_to_string(recording.trace_dir().join("metadata")).unwrap();
        assert!(!metadata.contains("statedump"), "{args:?}");
    }
}

#[test]
fn names_are_those_of_lttng_or_of_the_kernel() {
    for (args, name, field, tracer) in [
        (&[][..], "sched_process_exec", "tid", "\"lttng-modules\""),
        (
            &["--names", "tracefs"],
            "sched:sched_process_exec",
            "pid",
            "\"tracer\"",
        ),
    ] {
        let recording = Recorder::new(&[&["-e", "sched:sched_process_exec"], args].concat())
            .command(work_words(&["getppid", "1"]))
            .run();
        let trace = recording.trace();
        let event = trace.of(name).next().expect("a program that was started");
        assert_eq!(event.number(field), i64::from(event.tid));
        let metadata = fs::read_to_string(recording.trace_dir().join("metadata")).unwrap();
        assert!(
            metadata.contains(&format!("tracer_name = {tracer};")),
            "{metadata}"
        );
        // Either name selects it.
        for pattern in ["sched:sched_process_exec", "sched_process_exec"] {
            let text = report(recording.trace_dir(), &["-e", pattern]);
            assert_eq!(text.lines().count(), trace.events.len(), "{pattern}");
        }
    }
}

#[test]
fn a_new_thread_has_the_process_that_made_it() {
    let recording = Recorder::new(&["-e", "sched:sched_process_fork"])
        .command(work_words(&["crowd", "5", "1"]))
        .run();
    let trace = recording.trace();
    let pid = crate::common::recording::printed(&recording.stdout, "pid");
    let of_work = || {
        trace
            .of("sched_process_fork")
            .filter(|event| event.pid == pid)
    };
    assert_eq!(of_work().count(), 5);
    for fork in of_work() {
        assert_eq!(
            (fork.number("parent_pid"), fork.number("child_pid")),
            (i64::from(pid), i64::from(pid))
        );
        assert_ne!(fork.number("child_tid"), i64::from(pid));
    }
    let command = trace
        .of("sched_process_fork")
        .find(|event| event.number("child_tid") == i64::from(pid));
    let command = command.expect("the recorder makes its command");
    assert_eq!(command.number("child_pid"), i64::from(pid));
}
