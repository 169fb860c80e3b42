use std::os::unix::net::UnixListener;

use super::*;
use crate::record::control::Call;
use crate::record::control::testing::{
    FakeSession, by_status, demo, folder, status as fake_status,
};

fn name(text: &str) -> SessionName {
    text.parse().unwrap()
}

#[test]
fn the_reply_of_a_snapshot_is_that_of_the_session() {
    let reply = SnapshotReply {
        folder: "/tmp/s".into(),
        events: 63,
        bytes: 4096,
        packets: 2,
        missing_packets: 1,
    };
    let expected = reply.clone();
    let session = FakeSession::start(move |call| match call {
        Call::Snapshot(request, answer) => {
            let folder = request.folder;
            answer.give(Ok(SnapshotReply {
                folder,
                ..reply.clone()
            }));
        }
        Call::Status(_) => {}
    });
    let got = snapshot(&session.runtime(), &demo(), Path::new("/tmp/s")).unwrap();
    assert_eq!(got, expected);
}

#[test]
fn a_refusal_is_told_in_the_words_of_the_session() {
    let session = FakeSession::start(by_status);
    let error = snapshot(&session.runtime(), &demo(), Path::new("/tmp/s")).unwrap_err();
    assert_eq!(error.to_string(), "session `demo` refuses: not in the mood");
}

#[test]
fn a_session_that_is_not_there_is_named() {
    let session = FakeSession::start(by_status);
    let error = status(&session.runtime(), &name("other")).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("no session `other` is running"),
        "{error}"
    );
}

#[test]
fn sessions_are_listed_and_dead_sockets_removed() {
    let session = FakeSession::start(by_status);
    let dead = session.folder().join("dead.sock");
    drop(UnixListener::bind(&dead).unwrap());
    let found = sessions(&session.runtime()).unwrap();
    assert!(
        matches!(
            &found[..],
            [Found::Dead(dead), Found::Running(status)]
                if *dead == name("dead") && **status == fake_status()
        ),
        "{found:?}"
    );
    assert!(!dead.exists());
}

#[test]
fn a_recorder_that_does_not_answer_is_listed_with_its_process() {
    let folder = folder();
    let runtime = RuntimeDir::create(folder.path()).unwrap();
    let _listener = UnixListener::bind(runtime.socket_path(&demo())).unwrap();
    let found = sessions(&runtime).unwrap();
    assert!(
        matches!(
            &found[..],
            [Found::Mute { pid: Some(pid), error: ControlError::NoAnswer(_), .. }]
                if *pid == std::process::id()
        ),
        "{found:?}"
    );
}

#[test]
fn a_recorder_that_does_not_answer_runs() {
    let folder = folder();
    let runtime = RuntimeDir::create(folder.path()).unwrap();
    let _listener = UnixListener::bind(runtime.socket_path(&demo())).unwrap();
    drop(UnixListener::bind(runtime.socket_path(&name("dead"))).unwrap());
    assert_eq!(running(&runtime).unwrap(), [demo()]);
}

#[test]
fn a_session_that_ends_without_an_answer_is_told() {
    // A dropped answer stands for the end of the recording.
    let session = FakeSession::start(drop);
    let error = status(&session.runtime(), &demo()).unwrap_err();
    assert!(matches!(error, ControlError::Ended(_)), "{error}");
}
