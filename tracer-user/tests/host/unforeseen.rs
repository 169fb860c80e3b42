//! Recordings that do not begin or end as planned: interrupted while they attach, without a place
//! for messages, beyond a file-size limit, in a folder that is in use. Needs root.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::common::recording::{
    NOBODY, Recorder, TRACER, leaves_nothing_attached, wait_for, work, work_words,
};
use crate::common::trace::{Trace, tracer};
use crate::common::{stderr, stdout};

/// So many that attaching takes longer than it takes to send a signal.
const MANY: &str = "sched:*,timer:*,irq:*,block:*,ext4:*,net:*,tcp:*,writeback:*";

#[test]
fn ctrl_c_while_attaching_starts_nothing_and_leaves_nothing() {
    for signal in [Signal::INT, Signal::TERM] {
        let running = Recorder::new(&["-e", MANY])
            .command(["sh", "-c", "touch started"])
            .start();
        // Signals are caught when the folder exists.
        wait_for("the folder", || running.trace_dir().exists().then_some(()));
        running.signal(signal);
        let recording = running.wait();
        let status = 128 + signal.as_raw();
        recording.assert_refused_with(status, &["nothing was recorded"]);
        assert!(!recording.folder().join("started").exists());
        let sockets = fs::read_dir(recording.folder().join("run")).unwrap();
        let left: Vec<_> = sockets
            .map(|entry| entry.unwrap().file_name())
            .filter(|name| name.as_encoded_bytes().ends_with(b".sock"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// Lets interrupts end the programs that are started from now on, until they say otherwise. A
/// shell starts background jobs, such as a run of all tests, with interrupts ignored.
fn stop_ignoring_interrupts() {
    // SAFETY: the default disposition has no handler.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
}

/// Whenever it comes, the command does not run to its end.
#[test]
fn ctrl_c_at_any_time_ends_the_recording() {
    stop_ignoring_interrupts();
    for delay_ms in [1, 5, 10, 20, 30, 50, 80] {
        leaves_nothing_attached(|| {
            let running = Recorder::new(&["-e", "sched:*"])
                .command(["sh", "-c", "sleep 100; touch ended"])
                .start();
            std::thread::sleep(std::time::Duration::from_millis(delay_ms));
            running.signal(Signal::INT);
            let recording = running.wait();
            let status = recording.status;
            let interrupted = status.code() == Some(130) || status.signal() == Some(2);
            assert!(
                interrupted,
                "{status} after {delay_ms} ms: {}",
                recording.stderr
            );
            assert!(!recording.folder().join("ended").exists());
        });
    }
}

#[test]
fn a_full_standard_error_changes_neither_trace_nor_status() {
    for (redirection, status) in [("2>/dev/full", 0), ("2>&-", 0), ("2>/dev/full", 3)] {
        let words = work_words(&["getppid", "100"]).join(" ");
        let recording =
            Recorder::new(&["--stats", "--buffer-size", "5000", "-e", "syscall:getppid"])
                .command(["sh", "-c", &format!("{words}; exit {status}")])
                .by_script(&format!("\"$@\" {redirection}"))
                .run();
        assert_eq!(recording.status.code(), Some(status), "{redirection}");
        let trace = Trace::read(recording.trace_dir());
        let calls = trace.of("syscall_entry_getppid").count();
        assert!(calls >= 100, "{calls} with {redirection}");
    }
}

/// `script` makes a terminal and closes it.
#[test]
fn a_terminal_that_is_closed_ends_the_recording_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().display();
    let status = Command::new("script")
        .args(["--quiet", "--return", "--command"])
        .arg(format!(
            "{TRACER} record -o {dir}/trace -e syscall:getppid & echo $! >{dir}/pid;
             while ! [ -s {dir}/trace/channel0_0 ] && ! [ -e {dir}/trace/metadata ]; do sleep 0.05; done; sleep 0.3"
        ))
        .arg("/dev/null")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let pid = fs::read_to_string(folder.path().join("pid")).unwrap();
    wait_for("the recorder", || {
        (!fs::exists(format!("/proc/{}", pid.trim())).unwrap()).then_some(())
    });
    Trace::read(&folder.path().join("trace"));
}

/// As on a full disk: `SIGXFSZ` ends neither the recorder nor its accounting.
#[test]
fn a_file_size_limit_leaves_a_trace() {
    for blocks in [100, 1000] {
        let recording = leaves_nothing_attached(|| {
            Recorder::new(&["--subbuf-size", "32K", "-e", "syscall:getppid"])
                .command([&work(), "getppid", "200000"])
                .by_script(&format!("ulimit -f {blocks}; \"$@\""))
                .run()
        });
        let parts = [
            "error: cannot write `",
            "File too large",
            "ulimit -f",
            "events: they could not be written",
        ];
        recording.assert_failed(1, &parts);
        assert!(
            !recording.stderr.contains("lost 0 events"),
            "{}",
            recording.stderr
        );
        let trace = Trace::read(recording.trace_dir());
        let all = recording.stderr.lines();
        let shown = |line: &str| {
            line.split_whitespace()
                .nth(1)?
                .replace(',', "")
                .parse::<usize>()
                .ok()
        };
        let recorded = all
            .clone()
            .find(|line| line.starts_with("recorded "))
            .and_then(shown);
        assert_eq!(recorded, Some(trace.events.len()), "{}", recording.stderr);
    }
}

#[test]
fn metadata_beyond_a_file_size_limit_leaves_nothing() {
    let recording = Recorder::new(&["-e", "syscall:*"])
        .command(["true"])
        .by_script("ulimit -f 1; \"$@\"")
        .run();
    recording.assert_refused(&["File too large"]);
}

#[test]
fn the_folder_of_a_recording_is_in_use_until_it_ends() {
    let mut running = Recorder::new(&["-e", "syscall:getppid"])
        .command([
            "sh",
            "-c",
            "touch started; while ! [ -e end ]; do sleep 0.05; done",
        ])
        .start();
    running.wait_for_file("started");
    let dir = running.trace_dir();
    for args in [
        &["record", "--force", "-e", "syscall:getppid", "-o"][..],
        &["repair"],
    ] {
        let output = tracer(|tracer| {
            let tracer = tracer.args(args).arg(&dir);
            if args[0] == "record" {
                tracer.args(["--", "true"])
            } else {
                tracer
            }
        });
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("is in use"), "{stderr}");
    }
    fs::write(running.folder().join("end"), "").unwrap();
    let recording = running.wait();
    recording.trace();
    let again = tracer(|tracer| {
        tracer
            .args(["record", "--force", "-e", "syscall:getppid", "-o"])
            .arg(&dir)
            .args(["--", "true"])
    });
    assert!(
        again.status.success(),
        "{}",
        String::from_utf8_lossy(&again.stderr)
    );
}

/// A copy of the binary with the capabilities that `doctor` proposes, run by a user without any
/// others: what `doctor` says can be recorded is recorded.
#[test]
fn capabilities_are_enough_for_what_doctor_reports() {
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    std::os::unix::fs::chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = |from: &str, name: &str| {
        let path = folder.path().join(name);
        fs::copy(from, &path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    };
    let (copied, work) = (copy(TRACER, "tracer"), copy(&work(), "work"));
    let capabilities = "cap_bpf,cap_perfmon,cap_dac_read_search+ep";
    let set = Command::new("setcap")
        .arg(capabilities)
        .arg(&copied)
        .status();
    let set = set.expect("`setcap` must be installed to run this test (`apt install libcap2-bin`)");
    assert!(set.success());
    let nobody = |args: &[&str]| {
        let output = Command::new(&copied)
            .args(args)
            .current_dir(folder.path())
            .env("TMPDIR", folder.path())
            .env_remove("XDG_RUNTIME_DIR")
            .env_remove("TRACER_RUNTIME_DIR")
            .gid(NOBODY)
            .uid(NOBODY)
            .output()
            .unwrap();
        (output.status, stdout(&output), stderr(&output))
    };
    let (status, doctor, _) = nobody(&["doctor"]);
    assert!(status.success(), "{doctor}");
    for (number, probe) in [
        "syscall:getppid",
        "sched:sched_switch",
        "rawtp:sched_process_exec",
    ]
    .iter()
    .enumerate()
    {
        let trace = format!("trace-{number}");
        let args = [
            "record", "-o", &trace, "-e", probe, "--", "./work", "getppid", "100",
        ];
        let (status, _, stderr) = nobody(&args);
        assert!(status.success(), "{probe}: {stderr}");
        assert!(!stderr.contains("warning"), "{probe}: {stderr}");
        assert!(
            !Trace::read(&folder.path().join(&trace)).events.is_empty(),
            "{probe}"
        );
    }
    // And what it says cannot be recorded is refused.
    let uprobes = doctor
        .lines()
        .find(|line| line.contains("uprobes"))
        .unwrap();
    let probe = format!("uprobe:{}:work_probed", work.display());
    let (status, _, stderr) = nobody(&["record", "-o", "uprobe", "-e", &probe, "--", "true"]);
    assert_eq!(
        status.success(),
        uprobes.starts_with("ok"),
        "{uprobes}: {stderr}"
    );
}

/// What the summary proposes can be pasted into a shell.
#[test]
fn the_hint_is_quoted_for_a_shell() {
    for name in ["o %s x", "it's", "$HOME"] {
        let folder = tempfile::tempdir().unwrap();
        let output = Command::new(TRACER)
            .current_dir(folder.path())
            .args(["record", "-e", "syscall:getppid", "-o", name, "--"])
            .args(work_words(&["getppid", "10"]))
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        let (_, hint) = stderr.split_once("read it with: tracer ").expect(&stderr);
        let (command, _) = hint.split_once(", or").unwrap();
        let report = Command::new("sh")
            .current_dir(folder.path())
            .args(["-c", &format!("{TRACER} {command}")])
            .output()
            .unwrap();
        let events = String::from_utf8(report.stdout).unwrap();
        assert!(
            events.contains("syscall_entry_getppid"),
            "{command}: {events}"
        );
    }
}
