//! Sessions of real recorders: their names, their sockets, and who may ask them. Needs root.

use std::io::Read as _;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::{fs, thread};

use rustix::process::{Signal, Uid};
use rustix::thread::set_thread_res_uid;
use serde_json::Value;
use tempfile::TempDir;

use crate::common::recording::{NOBODY, Recorder, Running, TRACER, wait_for};
use crate::common::{stderr, stdout};

/// Makes events as long as the recorder runs.
const BUSY: [&str; 3] = ["sh", "-c", ">ready; while :; do kill -0 $$; done"];

/// A folder of sockets of the test's own.
struct Sockets(TempDir);

impl Sockets {
    fn new() -> Self {
        // Below `/tmp`, into which everybody can look.
        Self(tempfile::tempdir_in("/tmp").unwrap())
    }

    /// Where recorders create the folder.
    fn folder(&self) -> PathBuf {
        self.0.path().join("run")
    }

    fn socket(&self, name: &str) -> PathBuf {
        self.folder().join(format!("{name}.sock"))
    }

    /// A recorder that uses it, of `kill` and with these other arguments.
    fn recorder(&self, args: &[&str]) -> Recorder {
        let script = format!(
            "export TRACER_RUNTIME_DIR='{}'; exec \"$@\"",
            self.folder().display()
        );
        Recorder::new(&[&["-e", "syscall:kill"], args].concat()).by_script(&script)
    }

    /// A recorder of this name that records busily.
    fn start(&self, name: &str) -> Running {
        let mut running = self.recorder(&["--session", name]).command(BUSY).start();
        running.wait_for_file("ready");
        running
    }

    fn tracer(&self, args: &[&str]) -> Output {
        Command::new(TRACER)
            .args(args)
            .env("TRACER_RUNTIME_DIR", self.folder())
            .output()
            .unwrap()
    }

    /// The only session, as `tracer sessions --json` prints it. A busy machine may keep it
    /// from answering in time.
    fn session(&self) -> Value {
        wait_for("an answer of the session", || {
            let output = self.tracer(&["sessions", "--json"]);
            assert!(output.status.success(), "{}", stderr(&output));
            serde_json::from_str(&stdout(&output)).ok()
        })
    }
}

/// Ends a recorder and its command.
fn end(running: Running) -> crate::common::recording::Recording {
    running.signal(Signal::TERM);
    running.wait()
}

#[track_caller]
fn assert_error(output: &Output, parts: &[&str]) {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in parts {
        assert!(said.contains(part), "no `{part}` in: {said}");
    }
}

#[test]
fn a_session_is_listed_while_it_runs() {
    let sockets = Sockets::new();
    let running = sockets.start("demo");
    let output = sockets.tracer(&["sessions"]);
    let table = stdout(&output);
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(rows.len(), 2, "{table}");
    assert_eq!(rows[0][..3], ["SESSION", "PID", "MODE"]);
    assert_eq!(
        rows[1][..3],
        ["demo", &running.pid().to_string(), "discard"]
    );
    assert!(rows[1].contains(&"syscall:kill"), "{table}");
    assert_eq!(stderr(&output), "");
    end(running);
}

#[test]
fn the_count_of_events_grows() {
    let sockets = Sockets::new();
    let running = sockets.start("demo");
    let count = || sockets.session()["events"].as_u64().unwrap();
    let before = count();
    wait_for("more events", || (count() > before).then_some(()));
    end(running);
}

#[test]
fn the_status_has_the_probes_and_the_folder() {
    let sockets = Sockets::new();
    let running = sockets.start("demo");
    let status = sockets.session();
    assert_eq!(status["session"], "demo");
    assert_eq!(status["pid"], running.pid());
    assert_eq!(status["mode"], "discard");
    assert_eq!(status["probes"], serde_json::json!(["syscall:kill"]));
    assert_eq!(status["command"], serde_json::json!(BUSY));
    assert_eq!(status["buffer_bytes"], 8 << 20);
    assert_eq!(status["subbuf_bytes"], 1 << 20);
    assert_eq!(
        status["output"].as_str(),
        running.trace_dir().to_str(),
        "{status}"
    );
    end(running);
}

#[test]
fn a_recording_without_a_name_is_named_by_its_process() {
    let sockets = Sockets::new();
    let mut running = sockets.recorder(&[]).command(BUSY).start();
    running.wait_for_file("ready");
    let name = format!("record-{}", running.pid());
    assert_eq!(sockets.session()["session"], *name);
    end(running);
}

#[test]
fn folder_and_socket_are_closed_to_others() {
    let sockets = Sockets::new();
    let running = sockets.start("demo");
    let mode = |path: PathBuf| path.metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(sockets.folder()), 0o700);
    assert_eq!(mode(sockets.socket("demo")), 0o600);
    let kind = sockets.socket("demo").metadata().unwrap().file_type();
    assert!(kind.is_socket());
    end(running);
}

#[test]
fn a_name_in_use_is_refused_with_the_process_that_has_it() {
    let sockets = Sockets::new();
    let first = sockets.start("demo");
    let second = sockets
        .recorder(&["--session", "demo"])
        .command(["true"])
        .run();
    let pid = first.pid();
    second.assert_refused(&[
        "a session `demo` is already running",
        &format!("as process {pid}"),
        "choose another name with --session",
        &format!("`kill -INT {pid}`"),
    ]);
    assert_eq!(sockets.session()["pid"], pid, "the first one goes on");
    end(first);
}

#[test]
fn the_socket_goes_when_the_recording_ends() {
    let sockets = Sockets::new();
    let recording = end(sockets.start("demo"));
    assert!(recording.stderr.contains("stopped by a signal"));
    assert_eq!(fs::read_dir(sockets.folder()).unwrap().count(), 0);
}

#[test]
fn the_socket_goes_when_the_recording_does_not_begin() {
    let sockets = Sockets::new();
    // A folder that is not empty is found after the name is taken.
    let recorder = sockets.recorder(&["--session", "demo"]).command(["true"]);
    fs::create_dir(recorder.trace_dir()).unwrap();
    fs::write(recorder.trace_dir().join("thesis.tex"), "x").unwrap();
    recorder.run().assert_failed(1, &["is not empty"]);
    assert_eq!(fs::read_dir(sockets.folder()).unwrap().count(), 0);
}

/// Leaves the socket of a recorder that was killed.
fn leave_dead(sockets: &Sockets) {
    let running = sockets.start("demo");
    running.kill_group();
    running.wait();
    assert!(sockets.socket("demo").exists());
}

#[test]
fn the_socket_of_a_killed_recorder_is_replaced() {
    let sockets = Sockets::new();
    leave_dead(&sockets);
    let running = sockets.start("demo");
    assert_eq!(sockets.session()["pid"], running.pid());
    end(running);
}

#[test]
fn the_socket_of_a_killed_recorder_is_removed_with_a_note() {
    let sockets = Sockets::new();
    leave_dead(&sockets);
    let output = sockets.tracer(&["sessions"]);
    assert!(output.status.success());
    assert_eq!(stdout(&output), "");
    let said = stderr(&output);
    assert!(said.contains("the recorder of `demo` was killed"), "{said}");
    assert!(said.contains("no session is running"), "{said}");
    assert!(!sockets.socket("demo").exists());
}

#[test]
fn a_stopped_recorder_is_distinguished_from_a_dead_one() {
    let sockets = Sockets::new();
    let running = sockets.start("demo");
    running.signal(Signal::STOP);
    let output = sockets.tracer(&["sessions"]);
    running.signal(Signal::CONT);
    let said = stderr(&output);
    assert!(said.contains("`demo` does not answer"), "{said}");
    assert!(said.contains(&format!("(process {})", running.pid())));
    assert_eq!(sockets.session()["pid"], running.pid());
    end(running);
}

#[test]
fn listing_no_sessions_succeeds() {
    let sockets = Sockets::new();
    let output = sockets.tracer(&["sessions"]);
    assert!(output.status.success());
    assert_eq!(
        (&*stdout(&output), &*stderr(&output)),
        (
            "",
            "tracer: no session is running; start one with `tracer record`\n"
        )
    );
    assert!(!sockets.folder().exists(), "asking made a folder");
}

#[test]
fn in_discard_mode_there_is_no_snapshot() {
    let sockets = Sockets::new();
    let running = sockets.start("demo");
    let reason = format!(
        "session `demo` refuses: it writes all events to `{}`; record with --mode \
         overwrite to take snapshots",
        running.trace_dir().display()
    );
    let folder = sockets.0.path().join("snapshot");
    let folder = folder.to_str().unwrap();
    for args in [
        &["snapshot", "demo", "-o", folder][..],
        &["snapshot", "-o", folder],
    ] {
        assert_error(&sockets.tracer(args), &[&reason]);
    }
    assert!(!PathBuf::from(folder).exists());
    end(running);
}

#[test]
fn a_snapshot_without_a_session_fails_with_a_hint() {
    let sockets = Sockets::new();
    assert_error(
        &sockets.tracer(&["snapshot"]),
        &["no session is running", "tracer record --mode overwrite"],
    );
    assert_error(
        &sockets.tracer(&["snapshot", "demo"]),
        &["no session is running"],
    );
}

#[test]
fn a_snapshot_of_one_of_several_sessions_needs_its_name() {
    let sockets = Sockets::new();
    let running = [sockets.start("one"), sockets.start("two")];
    let output = sockets.tracer(&["snapshot"]);
    assert_error(&output, &["2 sessions are running: `one`, `two`"]);
    for running in running {
        end(running);
    }
}

#[test]
fn a_signal_asks_for_a_snapshot_and_ends_nothing() {
    let sockets = Sockets::new();
    let running = sockets.start("demo");
    running.signal(Signal::USR1);
    // Answered after the signal, which came first.
    let before = sockets.session()["events"].as_u64().unwrap();
    wait_for("more events", || {
        (sockets.session()["events"].as_u64().unwrap() > before).then_some(())
    });
    let recording = end(running);
    let said = "tracer: warning: cannot take a snapshot: it writes all events to `";
    assert!(recording.stderr.contains(said), "{}", recording.stderr);
}

#[test]
fn a_name_that_could_be_a_path_is_refused() {
    let recording = Recorder::new(&["--session", "../demo"])
        .command(["true"])
        .run();
    recording.assert_failed(2, &["`../demo` is not a session name"]);
}

#[test]
fn a_folder_of_another_user_is_refused_if_a_name_was_asked_for() {
    let sockets = Sockets::new();
    fs::create_dir(sockets.folder()).unwrap();
    chown(sockets.folder(), Some(NOBODY), Some(NOBODY)).unwrap();
    let parts = ["belongs to the user with id 65534", "TRACER_RUNTIME_DIR"];
    let named = sockets.recorder(&["--session", "demo"]).command(["true"]);
    named.run().assert_refused(&parts);
    assert_error(&sockets.tracer(&["sessions"]), &parts);
}

#[test]
fn without_a_place_for_sockets_a_recording_without_a_name_goes_on() {
    let sockets = Sockets::new();
    fs::write(sockets.folder(), "").unwrap();
    let recording = sockets
        .recorder(&[])
        .command(["sh", "-c", "kill -0 $$"])
        .run();
    let said = &recording.stderr;
    assert!(said.contains("it is not a folder"), "{said}");
    assert!(said.contains("recording continues"), "{said}");
    assert!(recording.trace().of("syscall_entry_kill").count() > 0);
}

/// Connects as a user without privileges; what the recorder answers.
fn ask_as_nobody(socket: PathBuf) -> std::io::Result<String> {
    thread::spawn(move || {
        let nobody = Uid::from_raw(NOBODY);
        // Of this thread only, which ends with it.
        set_thread_res_uid(nobody, nobody, nobody).unwrap();
        let mut stream = UnixStream::connect(socket)?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply)?;
        Ok(reply)
    })
    .join()
    .unwrap()
}

#[test]
fn other_users_cannot_connect() {
    let sockets = Sockets::new();
    fs::set_permissions(sockets.0.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let running = sockets.start("demo");
    let error = ask_as_nobody(sockets.socket("demo")).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
    // The folder alone is not what keeps them out.
    fs::set_permissions(sockets.folder(), fs::Permissions::from_mode(0o755)).unwrap();
    let error = ask_as_nobody(sockets.socket("demo")).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
    end(running);
}

#[test]
fn other_users_are_refused_even_if_permissions_let_them_connect() {
    let sockets = Sockets::new();
    let running = sockets.start("demo");
    for path in [sockets.0.path().to_owned(), sockets.folder()] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::set_permissions(sockets.socket("demo"), fs::Permissions::from_mode(0o666)).unwrap();
    let reply = ask_as_nobody(sockets.socket("demo")).unwrap();
    assert_eq!(
        reply,
        "{\"version\":1,\"error\":\"only root and the user of the recorder may ask it\"}\n"
    );
    end(running);
}

#[test]
fn other_users_learn_who_may_list_sessions() {
    let sockets = Sockets::new();
    fs::set_permissions(sockets.0.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let running = sockets.start("demo");
    // The folder of the build may be closed to others.
    let copy = sockets.0.path().join("tracer");
    fs::copy(TRACER, &copy).unwrap();
    let output = Command::new(&copy)
        .arg("sessions")
        .env("TRACER_RUNTIME_DIR", sockets.folder())
        .current_dir("/")
        .gid(NOBODY)
        .uid(NOBODY)
        .output()
        .unwrap();
    assert_error(&output, &["belongs to the user with id 0", "`sudo` for 0"]);
    end(running);
}
