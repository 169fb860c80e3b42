//! Recordings that something happens to: a full disk, a folder that goes away, a recorder
//! that is killed. Needs root.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use crate::common::recording::{Recorder, Recording, Running, leaves_nothing_attached, work};
use crate::common::trace::{Trace, tracer};

const ENTRY: &str = "syscall_entry_getppid";

/// Records packets of 32K into a file system of 1 MiB, which is gone afterwards; the trace is
/// also in `copy`.
fn on_a_full_disk(args: &[&str], command: &[&str]) -> Recording {
    let args = [&["--subbuf-size", "32K"][..], args].concat();
    let recorder = Recorder::new(&args).command(command);
    let folder = recorder.folder().display().to_string();
    let script = format!(
        "mkdir {folder}/trace && mount -t tmpfs -o size=1m tmpfs {folder}/trace
         status=0; \"$@\" || status=$?
         cp -r {folder}/trace {folder}/copy; exit $status"
    );
    recorder.in_mount_namespace(&script).run()
}

#[test]
fn a_full_disk_ends_the_recording_and_leaves_a_trace() {
    let recording = leaves_nothing_attached(|| {
        let endless = "while :; do \"$0\" getppid 1000; done";
        on_a_full_disk(&["-e", "syscall:getppid"], &["sh", "-c", endless, &work()])
    });
    let stream = recording.trace_dir().join("channel0_");
    let parts = [
        &*format!("error: cannot write `{}", stream.display()),
        "No space left on device",
        "events could not be written, the trace up to that point is readable",
        "the trace could no longer be written",
    ];
    recording.assert_failed(1, &parts);
    let trace = Trace::read(&recording.folder().join("copy"));
    assert!(trace.events.len() > 10_000, "{}", trace.events.len());
}

/// What the summary counts is what is in the trace, not what was meant for it.
#[test]
fn events_that_a_full_disk_did_not_take_are_not_counted_as_recorded() {
    let recording = on_a_full_disk(
        &["-e", "syscalls:sys_enter_getppid"],
        &[&work(), "getppid", "200000"],
    );
    let trace = Trace::read(&recording.folder().join("copy"));
    let count = trace.of(ENTRY).count().to_string();
    let shown: String = recording
        .stderr
        .lines()
        .find(|line| line.ends_with(ENTRY))
        .and_then(|line| line.split_ascii_whitespace().next())
        .expect("the class in the summary")
        .replace(',', "");
    assert_eq!(shown, count, "{}", recording.stderr);
}

/// Events so few that they wait for the timer: the disk is found to be full then. One of them
/// comes when it is.
#[test]
fn a_full_disk_is_noticed_though_events_are_few() {
    let recorder = Recorder::new(&["-e", "syscall:getppid"]);
    let folder = recorder.folder().display().to_string();
    let fill = format!(
        "head -c 2m /dev/zero >{folder}/trace/rest 2>/dev/null; \"$0\" getppid 1; exec sleep 1000"
    );
    let recorder = recorder.command(["sh", "-c", &fill, &work()]);
    let script = format!(
        "mkdir {folder}/trace && mount -t tmpfs -o size=1m tmpfs {folder}/trace; exec \"$@\""
    );
    let recording = recorder.in_mount_namespace(&script).run();
    recording.assert_failed(1, &["No space left on device"]);
}

#[test]
fn a_removed_folder_is_reported() {
    let recorder = Recorder::new(&["-e", "syscall:getppid"]);
    let remove = format!("rm -r {}; exit 3", recorder.trace_dir().display());
    let recording = recorder.command(["sh", "-c", &remove]).run();
    recording.assert_refused(&["the trace is lost: `", "was removed while it was recorded"]);
    assert!(
        !recording.stderr.contains("panicked"),
        "{}",
        recording.stderr
    );
}

/// The trace of a recorder that was killed when it had written at least a packet, and its
/// command with it. The ring had room for all events: none was lost.
fn killed() -> Recording {
    let script = "echo $$ >pid; \"$0\" --cpu 0 getppid 100000; exec sleep 1000";
    let recorder = Recorder::new(&["--subbuf-size", "32K", "-e", "syscall:getppid"]).command([
        "sh",
        "-c",
        script,
        &work(),
    ]);
    let mut running = recorder.start();
    running.wait_for_file("pid");
    wait_for_bytes(&running, 200_000);
    running.signal(Signal::KILL);
    running.kill_group();
    running.wait()
}

fn wait_for_bytes(running: &Running, bytes: u64) {
    let stream = stream_0(&running.trace_dir());
    crate::common::recording::wait_for("bytes in the stream", || {
        (stream.metadata().ok()?.len() >= bytes).then_some(())
    });
}

fn stream_0(trace: &Path) -> PathBuf {
    trace.join("channel0_0")
}

/// Runs `tracer repair`; returns its output.
fn repair(trace: &Path) -> String {
    succeeded("repair", trace).0
}

/// The number of events that `tracer report` shows, and its notes.
fn report(trace: &Path) -> (usize, String) {
    let (events, notes) = succeeded("report", trace);
    (events.lines().count(), notes)
}

/// Runs a command of `tracer` on a trace; gives its output and its messages.
fn succeeded(command: &str, trace: &Path) -> (String, String) {
    let output = tracer(|tracer| tracer.arg(command).arg(trace));
    let messages = crate::common::stderr(&output);
    assert!(output.status.success(), "{messages}");
    (crate::common::stdout(&output), messages)
}

#[test]
fn a_killed_recorder_leaves_nothing_attached_and_a_trace() {
    let recording = leaves_nothing_attached(killed);
    // It may have been writing, and the report complain about half a packet.
    let (events, _) = report(recording.trace_dir());
    repair(recording.trace_dir());
    assert_eq!(Trace::read(recording.trace_dir()).events.len(), events);
    assert!(events > 1000);
}

#[test]
fn half_a_packet_at_the_end_is_cut_off() {
    let recording = killed();
    let stream = stream_0(recording.trace_dir());
    // As it is when the recorder dies while it writes.
    repair(recording.trace_dir());
    let whole = stream.metadata().unwrap().len();
    let file = OpenOptions::new().write(true).open(&stream).unwrap();
    file.set_len(whole - 5000).unwrap();

    let (events, note) = report(recording.trace_dir());
    assert!(note.contains("tracer repair"), "{note}");
    assert!(repair(recording.trace_dir()).contains("of an incomplete packet from"));
    assert_eq!(Trace::read(recording.trace_dir()).events.len(), events);
    assert!(fs::metadata(&stream).unwrap().len() < whole - 5000);
}
