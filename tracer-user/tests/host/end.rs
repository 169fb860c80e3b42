//! How recordings end, and what the command and its user see of them. Needs root.

use std::fs::File;
use std::os::fd::OwnedFd;

use rustix::process::Signal;

use crate::common::recording::{Recorder, Recording, leaves_nothing_attached};

const PROBE: [&str; 2] = ["-e", "syscall:getppid"];

/// Records while a shell runs `script`.
fn shell(script: &str) -> Recording {
    Recorder::new(&PROBE).command(["sh", "-c", script]).run()
}

/// The trace of a recording, whatever its exit status is, is whole.
fn assert_whole(recording: &Recording) {
    let trace = crate::common::trace::Trace::read(recording.trace_dir());
    // A shell asks for its parent when it starts.
    assert!(trace.of("syscall_entry_getppid").count() > 0);
    assert!(
        recording.stderr.contains("lost 0 events"),
        "{}",
        recording.stderr
    );
}

#[test]
fn the_exit_status_is_that_of_the_command() {
    for status in [0, 7] {
        let recording = shell(&format!("exit {status}"));
        assert_eq!(
            recording.status.code(),
            Some(status),
            "{}",
            recording.stderr
        );
        assert_whole(&recording);
    }
}

#[test]
fn a_command_that_is_killed_has_the_status_that_shells_show() {
    let recording = shell("kill -KILL $$");
    assert_eq!(recording.status.code(), Some(128 + 9));
    assert_whole(&recording);
}

#[test]
fn when_the_time_is_over_a_running_command_is_ended() {
    let recording = Recorder::new(&[&PROBE[..], &["--duration", "1s"]].concat())
        .command(["sh", "-c", "exec sleep 1000"])
        .run();
    assert_eq!(recording.status.code(), Some(0), "{}", recording.stderr);
    assert!(recording.stderr.contains("--duration elapsed"));
    assert_whole(&recording);
}

/// Sends `signal` to a recorder whose command prints the signal that ends it.
fn ended_by(signal: Signal, name: &str) -> Recording {
    let script =
        format!("trap 'echo got {name}; exit 5' {name}; >ready; while :; do sleep 0.01; done");
    let mut running = Recorder::new(&PROBE).command(["sh", "-c", &script]).start();
    running.wait_for_file("ready");
    running.signal(signal);
    running.wait()
}

#[test]
fn an_interrupt_ends_the_recording_in_order_and_is_passed_on() {
    let recording = leaves_nothing_attached(|| ended_by(Signal::INT, "INT"));
    assert_eq!(recording.stdout, "got INT\n");
    assert_eq!(recording.status.code(), Some(5));
    assert!(recording.stderr.contains("stopped by a signal"));
    assert_whole(&recording);
}

#[test]
fn a_request_to_terminate_ends_the_recording_in_order_and_is_passed_on() {
    let recording = leaves_nothing_attached(|| ended_by(Signal::TERM, "TERM"));
    assert_eq!(recording.stdout, "got TERM\n");
    assert_eq!(recording.status.code(), Some(5));
    assert_whole(&recording);
}

#[test]
fn without_a_command_an_interrupt_is_success() {
    let mut running = Recorder::new(&["-e", "sched:sched_switch"]).start();
    let stream = "trace/.tasks";
    running.wait_for_file(stream);
    running.signal(Signal::INT);
    let recording = running.wait();
    assert_eq!(recording.status.code(), Some(0), "{}", recording.stderr);
    recording.trace();
}

#[test]
fn a_second_signal_kills_a_command_that_ignores_the_first() {
    let script = "trap 'echo >first' INT; >ready; while :; do sleep 0.01; done";
    let mut running = Recorder::new(&PROBE).command(["sh", "-c", script]).start();
    running.wait_for_file("ready");
    running.signal(Signal::INT);
    running.wait_for_file("first");
    running.signal(Signal::INT);
    let recording = running.wait();
    assert_eq!(
        recording.status.code(),
        Some(128 + 9),
        "{}",
        recording.stderr
    );
    assert_whole(&recording);
}

#[test]
fn the_command_reads_and_prints_as_without_a_recorder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("input");
    std::fs::write(&path, "one\ntwo\n").unwrap();
    let input = OwnedFd::from(File::open(&path).unwrap());
    let recording = Recorder::new(&PROBE)
        .command(["sh", "-c", "cat; echo to stderr >&2"])
        .run_with_input(input.into());
    assert_eq!(recording.stdout, "one\ntwo\n");
    assert!(recording.stderr.contains("to stderr\n"));
    assert_whole(&recording);
}

#[test]
fn the_command_has_the_limits_of_the_user() {
    // Fewer files than any recording needs.
    let recording = Recorder::new(&PROBE)
        .command(["sh", "-c", "ulimit -Sn"])
        .by_script("ulimit -Sn 32; exec \"$@\"")
        .run();
    assert_eq!(recording.stdout, "32\n", "{}", recording.stderr);
    recording.trace();
}

#[test]
fn the_summary_is_on_standard_error() {
    let recording = shell("echo from the command");
    assert_eq!(recording.stdout, "from the command\n");
    let folder = recording.trace_dir().display();
    for part in [
        " (the command ended): ".to_owned(),
        "  syscall_entry_getppid\n".to_owned(),
        "lost 0 events\n".to_owned(),
        format!("trace: {folder}\n"),
        format!("read it with: tracer report {folder}, or babeltrace2 {folder}\n"),
    ] {
        assert!(
            recording.stderr.contains(&part),
            "no `{part}` in: {}",
            recording.stderr
        );
    }
}

#[test]
fn a_quiet_recorder_prints_nothing() {
    let recording = Recorder::new(&["--quiet", "-e", "syscall:getppid"])
        .command(["true"])
        .run();
    assert_eq!((&*recording.stdout, &*recording.stderr), ("", ""));
    recording.trace();
}

#[test]
fn messages_of_the_programs_are_shown_when_asked_for() {
    let script = "kill -STOP $PPID; i=0; while [ $i -lt 3000 ]; do kill -0 $$; i=$((i + 1)); done; kill -CONT $PPID";
    let recording = Recorder::new(&["--debug-ebpf", "--buffer-size", "4K", "-e", "syscall:kill"])
        .command(["sh", "-c", script])
        .run();
    let message = recording
        .stderr
        .lines()
        .find(|line| line.contains("ring of CPU "))
        .unwrap_or_else(|| panic!("no message in: {}", recording.stderr));
    assert!(message.contains(" is full: event of class "), "{message}");
    assert!(recording.trace().lost > 0);
}
