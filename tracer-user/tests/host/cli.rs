//! `tracer list` and `tracer doctor` on the kernel that runs the test. Needs root.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output, Stdio};

const TRACER: &str = env!("CARGO_BIN_EXE_tracer");

fn tracer(args: &[&str]) -> Output {
    Command::new(TRACER).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn fields_of_a_probe_are_listed() {
    let output = tracer(&["list", "-v", "sched:sched_switch"]);
    assert!(output.status.success());
    let lines: Vec<&str> = text(&output.stdout).lines().collect();
    assert_eq!(
        lines[..3],
        [
            "sched:sched_switch",
            "    prev_comm: char[16]",
            "    prev_pid: i32"
        ]
    );
}

#[test]
fn raw_tracepoints_are_listed_with_their_types() {
    let output = tracer(&["list", "-v", "rawtp:sched_swit*"]);
    assert!(output.status.success(), "{output:?}");
    let lines: Vec<&str> = text(&output.stdout).lines().collect();
    assert_eq!(lines[0], "rawtp:sched_switch");
    assert!(lines.contains(&"    prev: u64 hex"), "{lines:?}");
    assert!(lines.contains(&"    next: u64 hex"), "{lines:?}");
    let all = tracer(&["list", "rawtp:*"]);
    let count = text(&all.stdout).lines().count();
    assert!(count > 100, "{count} raw tracepoints");
}

#[test]
fn functions_of_a_program_are_listed() {
    for (kind, field) in [
        ("uprobe", "    arg5: u64 hex"),
        ("uretprobe", "    ret: u64 hex"),
    ] {
        let output = tracer(&["list", "-v", &format!("{kind}:{TRACER}:mai[n]")]);
        assert!(output.status.success(), "{output:?}");
        let lines: Vec<&str> = text(&output.stdout).lines().collect();
        assert_eq!(lines[0], format!("{kind}:{TRACER}:main"));
        assert!(lines.contains(&field), "{lines:?}");
    }
    let output = tracer(&["list", &format!("uprobe:{TRACER}:no_such_function")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("no_such_function"),
        "{output:?}"
    );
}

#[test]
fn a_pattern_that_matches_nothing_is_an_error() {
    let output = tracer(&["list", "no_such_event"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("no probe matches `no_such_event`"));
}

#[test]
fn a_closed_pipe_ends_the_list_quietly() {
    let mut child = Command::new(TRACER)
        .args(["list", "-v"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    reader.read_line(&mut first).unwrap();
    drop(reader);
    let output = child.wait_with_output().unwrap();
    assert!(!first.is_empty());
    assert!(output.status.success(), "{}", output.status);
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn without_privileges_the_error_says_to_run_as_root() {
    const NOBODY: u32 = 65534;
    // The folder of the build may be closed to others.
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = folder.path().join("tracer");
    fs::copy(TRACER, &copy).unwrap();
    let output = Command::new(&copy)
        .arg("list")
        .current_dir("/")
        .gid(NOBODY)
        .uid(NOBODY)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("run as root"), "{output:?}");
}

#[test]
fn doctor_prints_every_check_and_exits_by_its_verdict() {
    let output = tracer(&["doctor"]);
    let report = text(&output.stdout);
    for check in [
        "privileges",
        "tracefs",
        "BPF",
        "kprobes",
        "lockdown",
        "CPUs",
    ] {
        assert!(report.contains(check), "{check} in {report}");
    }
    assert_eq!(
        output.status.success(),
        !report.contains("FAIL"),
        "{report}"
    );
}
