//! Snapshots of real recorders in overwrite mode. Needs root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rustix::process::Signal;

use crate::common::recording::{Recorder, Running, TRACER, printed, wait_for, work};
use crate::common::trace::{Trace, babeltrace};
use crate::common::{stderr, stdout};

const ENTRY: &str = "syscall_entry_getppid";
const CALLS: u32 = 1000;

/// A recorder in overwrite mode whose shell runs `script`.
fn flight(args: &[&str], script: &str) -> Running {
    let args = [&["--mode", "overwrite", "--session", "flight"][..], args].concat();
    Recorder::new(&args).command(["sh", "-ec", script]).start()
}

/// A recorder whose workload has made its calls, and its process.
fn with_calls(args: &[&str]) -> (Running, u32) {
    let work = work();
    let script = format!(
        "mkfifo end; {work} getppid {CALLS} >printed.part; mv printed.part printed; read word <end"
    );
    let mut running = flight(&[&["-e", "syscall:getppid"][..], args].concat(), &script);
    running.wait_for_file("printed");
    let pid = printed(
        &fs::read_to_string(running.folder().join("printed")).unwrap(),
        "pid",
    );
    (running, pid)
}

/// Has the shell of [`with_calls`] end.
fn end(running: Running) -> crate::common::recording::Recording {
    fs::write(running.folder().join("end"), "\n").unwrap();
    running.wait()
}

fn tracer(running: &Running, args: &[&str]) -> Output {
    Command::new(TRACER)
        .args(args)
        .env("TRACER_RUNTIME_DIR", running.folder().join("run"))
        .current_dir(running.folder())
        .output()
        .unwrap()
}

fn snapshot(running: &Running, name: &str) -> PathBuf {
    let output = tracer(running, &["snapshot", "-o", name]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stderr(&output), "");
    running.folder().join(name)
}

/// The number of events that `tracer snapshot` prints.
fn events_said(output: &Output) -> usize {
    let text = stdout(output);
    let words: Vec<&str> = text.split_whitespace().collect();
    let at = words.iter().position(|word| *word == "events,");
    at.and_then(|at| words[at - 1].replace(',', "").parse().ok())
        .unwrap_or_else(|| panic!("no number of events in: {text}{}", stderr(output)))
}

/// Snapshots that have names of their own, and are complete.
fn named_snapshots(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // Names of threads are written last.
            name.starts_with("snapshot-flight-") && path.join(".tasks").exists()
        })
        .collect()
}

#[test]
fn a_snapshot_has_what_came_before() {
    let (running, pid) = with_calls(&[]);
    let trace = Trace::read(&snapshot(&running, "first"));
    assert_eq!(trace.count(ENTRY, pid), CALLS as usize);
    assert!(end(running).status.success());
}

#[test]
fn recording_goes_on_after_a_snapshot() {
    let (running, pid) = with_calls(&[]);
    snapshot(&running, "first");
    let again = Command::new(work())
        .args(["getppid", "77"])
        .output()
        .unwrap();
    let later = printed(&stdout(&again), "pid");
    let trace = Trace::read(&snapshot(&running, "second"));
    assert_eq!(
        (trace.count(ENTRY, pid), trace.count(ENTRY, later)),
        (CALLS as usize, 77)
    );
    let recording = end(running);
    let trace = recording.trace();
    assert_eq!(trace.count(ENTRY, later), 77);
}

#[test]
fn a_snapshot_prints_its_number_of_events() {
    let (running, _) = with_calls(&[]);
    let output = tracer(&running, &["snapshot", "flight", "-o", "first"]);
    let text = stdout(&output);
    let events = Trace::read(&running.folder().join("first")).events.len();
    let words: Vec<&str> = text.split_whitespace().collect();
    let after = words.iter().position(|word| *word == "events,").unwrap();
    assert_eq!(
        words[after - 1].replace(',', ""),
        events.to_string(),
        "{text}"
    );
    assert!(text.contains("read it with: tracer report"), "{text}");
    end(running);
}

#[test]
fn under_load_snapshots_are_whole() {
    let work = work();
    let script = format!(">ready; exec {work} --cpu 1 getppid 4294967295");
    let args = ["-e", "syscall:getppid", "--buffer-size", "256K"];
    let mut running = flight(&[&args[..], &["--subbuf-size", "32K"]].concat(), &script);
    running.wait_for_file("ready");
    for name in ["first", "second", "third"] {
        let output = tracer(&running, &["snapshot", "-o", name]);
        // The writer may have been faster than the disk: then packets are missing, and both
        // say so.
        let (events, _) = babeltrace(&running.folder().join(name));
        assert!(events > 0);
        assert_eq!(events, events_said(&output), "{output:?}");
    }
    running.signal(Signal::TERM);
    running.wait();
}

#[test]
fn a_snapshot_is_taken_while_events_come_faster_than_they_are_read() {
    let work = work();
    let flood = format!("{work} --cpu 1 getppid");
    let script = format!("{flood} 500000; >ready; exec {flood} 4294967295");
    // To find the name of its thread takes longer than an event.
    let on = "syscall:getppid if comm == 'nobody'";
    let args = ["-e", "syscall:getppid", "--buffer-size", "4M"];
    let mut running = flight(&[&args[..], &["--snapshot-on", on]].concat(), &script);
    running.wait_for_file("ready");
    running.signal(Signal::USR1);
    let folder = running.folder().to_owned();
    wait_for("a snapshot", || named_snapshots(&folder).pop());
    running.signal(Signal::TERM);
    running.wait();
}

#[test]
fn a_signal_takes_a_snapshot() {
    let (running, pid) = with_calls(&[]);
    running.signal(Signal::USR1);
    let folder = running.folder().to_owned();
    let path = wait_for("a snapshot", || named_snapshots(&folder).pop());
    let recording = end(running);
    assert!(
        recording.stderr.contains("snapshot: "),
        "{}",
        recording.stderr
    );
    assert_eq!(Trace::read(&path).count(ENTRY, pid), CALLS as usize);
}

#[test]
fn an_event_takes_one_snapshot() {
    let work = work();
    let script = format!(
        "mkfifo end; {work} open /no/such/other 1; {work} open /no/such/file 3; read word <end"
    );
    let on = "syscall:openat if filename ~ '/no/such/f*'";
    let running = flight(&["-e", "syscall:close", "--snapshot-on", on], &script);
    let folder = running.folder().to_owned();
    let path = wait_for("a snapshot", || named_snapshots(&folder).pop());
    let recording = end(running);
    assert!(recording.status.success(), "{}", recording.stderr);
    assert_eq!(named_snapshots(&folder), std::slice::from_ref(&path));
    let trace = Trace::read(&path);
    let named = trace
        .of("syscall_entry_openat")
        .filter(|event| event.text("filename") == "/no/such/file");
    assert!((1..=3).contains(&named.count()));
}

#[test]
fn a_snapshot_that_cannot_be_written_leaves_recording_alone() {
    let (running, pid) = with_calls(&[]);
    let output = tracer(&running, &["snapshot", "-o", "/proc/nowhere"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("`/proc/nowhere`"), "{output:?}");
    let trace = Trace::read(&snapshot(&running, "later"));
    assert_eq!(trace.count(ENTRY, pid), CALLS as usize);
    end(running);
}

#[test]
fn a_folder_with_something_in_it_is_refused() {
    let (running, _) = with_calls(&[]);
    let path = snapshot(&running, "first");
    let before = crate::common::recording::files(&path);
    let output = tracer(&running, &["snapshot", "-o", "first"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("name another"), "{output:?}");
    assert_eq!(crate::common::recording::files(&path), before);
    end(running);
}

#[test]
fn a_filter_with_an_unknown_field_is_refused_with_those_there_are() {
    let on = "syscalls:sys_enter_openat if filenam == 'x'";
    Recorder::new(&["--mode", "overwrite", "--snapshot-on", on])
        .run()
        .assert_refused(&["`filenam`", "did you mean `filename`?"]);
}

#[test]
fn snapshots_on_events_need_overwrite_mode() {
    Recorder::new(&["--snapshot-on", "sched:sched_switch"])
        .run()
        .assert_refused(&["--snapshot-on needs --mode overwrite"]);
}
