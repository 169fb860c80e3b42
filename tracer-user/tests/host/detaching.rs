//! Programs are detached after the recorder has returned. Needs root.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, getsid};
use serde_json::Value;

use crate::common::recording::{Recorder, Recording, TRACER, leaves_nothing_attached, wait_for};
use crate::common::{stderr, stdout};

/// Tracepoints that the kernel takes seconds to detach.
const MANY: [&str; 3] = [
    "--no-state-dump",
    "-e",
    "sched:*,kmem:*,block:*,writeback:*",
];

/// Shorter than that, and long enough for a busy machine.
const SOON: Duration = Duration::from_secs(3);

/// Records [`MANY`] tracepoints, with other arguments and these sockets.
fn record(args: &[&str], sockets: &Path) -> Recording {
    let script = format!(
        "export TRACER_RUNTIME_DIR='{}'; exec \"$@\"",
        sockets.display()
    );
    Recorder::new(&[&MANY[..], args].concat())
        .command(["true"])
        .by_script(&script)
        .run()
}

/// The sessions that `tracer sessions` lists.
fn sessions(sockets: &Path) -> Vec<Value> {
    let output = Command::new(TRACER)
        .args(["sessions", "--json"])
        .env("TRACER_RUNTIME_DIR", sockets)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The only session, which is being detached. Its process may not serve its socket yet.
fn detaching(sockets: &Path) -> Value {
    wait_for("a session that is being detached", || {
        let mut sessions = sessions(sockets);
        assert!(sessions.len() < 2, "{sessions:?}");
        sessions.pop()
    })
}

fn number(session: &Value, name: &str) -> u64 {
    session["detaching"][name].as_u64().unwrap()
}

#[test]
fn a_recorder_returns_before_its_programs_are_detached() {
    let folder = tempfile::tempdir().unwrap();
    let sockets = folder.path().join("run");
    leaves_nothing_attached(|| {
        let recording = record(&["--session", "demo", "--stats"], &sockets);
        let ended = Instant::now();
        recording.trace();
        let session = detaching(&sockets);
        assert_eq!(session["session"], "demo");
        let (left, total) = (number(&session, "left"), number(&session, "total"));
        assert!(0 < left && left < total, "{session}");
        let pid = session["pid"].as_u64().unwrap();
        let said = &recording.stderr;
        assert!(
            said.contains(&format!(" of {total} programs in ")),
            "{said}"
        );
        assert!(
            said.contains(&format!("process {pid} detaches the rest")),
            "{said}"
        );
        // Nothing that is sent to the recorder's process group or terminal reaches it.
        let pid = Pid::from_raw(pid as i32);
        assert_eq!(getsid(pid).unwrap(), pid.unwrap());
        // They go one by one.
        wait_for("a program to be detached", || {
            let now = sessions(&sockets).pop();
            now.is_none_or(|now| number(&now, "left") < left)
                .then_some(())
        });
        wait_for("the end of the detacher", || {
            sessions(&sockets).is_empty().then_some(())
        });
        println!("{total} programs, detached after {:?}", ended.elapsed());
    });
    // The folder has no socket any more.
    let left: Vec<_> = std::fs::read_dir(&sockets)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name != ".attaching")
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_name_of_a_session_is_free_while_it_is_being_detached() {
    let folder = tempfile::tempdir().unwrap();
    let sockets = folder.path().join("run");
    leaves_nothing_attached(|| {
        for _ in 0..2 {
            let recording = record(&["--session", "demo"], &sockets);
            recording.trace();
            assert!(recording.stderr.contains(" detaches the remaining "));
        }
        wait_for("both detachers", || {
            (sessions(&sockets).len() == 2).then_some(())
        });
        // Another recorder does not wait for the detachers.
        let before = Instant::now();
        let script = format!(
            "export TRACER_RUNTIME_DIR='{}'; exec \"$@\"",
            sockets.display()
        );
        let recording = Recorder::new(&["-e", "sched:sched_process_exec", "--session", "demo"])
            .command(["true"])
            .by_script(&script)
            .run();
        assert!(recording.trace().of("sched_process_exec").count() > 0);
        let took = before.elapsed();
        assert!(took < SOON, "{took:?}");
        assert!(
            !sessions(&sockets).is_empty(),
            "detached too soon to test it"
        );
    });
}

#[test]
fn few_programs_are_detached_by_the_recorder() {
    let recording = Recorder::new(&["--stats", "-e", "sched:sched_process_exec"])
        .command(["true"])
        .run();
    assert!(
        recording.stderr.contains("\ndetached "),
        "{}",
        recording.stderr
    );
    assert!(
        !recording.stderr.contains(" detaches "),
        "{}",
        recording.stderr
    );
    assert!(sessions(&recording.folder().join("run")).is_empty());
}

#[test]
fn without_a_folder_for_sockets_programs_are_detached_all_the_same() {
    leaves_nothing_attached(|| {
        let recording = record(&[], Path::new("/proc/nothing"));
        assert!(recording.status.success(), "{}", recording.stderr);
        assert!(recording.stderr.contains(" detaches the remaining "));
    });
}

#[test]
fn a_detacher_that_is_killed_leaves_nothing_attached() {
    let folder = tempfile::tempdir().unwrap();
    let sockets = folder.path().join("run");
    leaves_nothing_attached(|| {
        record(&[], &sockets).trace();
        let pid = detaching(&sockets)["pid"].as_i64().unwrap() as i32;
        rustix::process::kill_process(Pid::from_raw(pid).unwrap(), rustix::process::Signal::KILL)
            .unwrap();
        assert!(sessions(&sockets).is_empty());
    });
}

/// By hand, the command of the detacher does nothing.
#[test]
fn a_detacher_without_a_recorder_fails() {
    let output = Command::new(TRACER).arg("detach-rest").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("only `tracer record` runs this"));
    let help = Command::new(TRACER).arg("--help").output().unwrap();
    assert!(!stdout(&help).contains("detach-rest"));
}
