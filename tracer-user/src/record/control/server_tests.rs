use std::io::{Read, Write};
use std::sync::mpsc;

use super::*;
use crate::record::control::client;
use crate::record::control::protocol::ProtocolError;
use crate::record::control::testing::{FakeSession, by_status, demo, status};

fn error_of(reply: Result<Reply, ProtocolError>) -> String {
    match reply.unwrap() {
        Reply::Error(reason) => reason,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn assert_answers(session: &FakeSession) {
    assert_eq!(
        client::status(&session.runtime(), &demo()).unwrap(),
        status()
    );
}

#[test]
fn what_is_not_a_request_is_answered_with_what_is_wrong() {
    let session = FakeSession::start(by_status);
    let error = error_of(session.say(b"GET / HTTP/1.1\n"));
    assert!(error.contains("cannot parse a message: "), "{error}");
    let error = error_of(session.say(b"{\"version\":9,\"request\":\"status\"}\n"));
    assert!(error.contains("speaks version 9"), "{error}");
    let error = error_of(session.say(b"{\"version\":1,\"request\":\"dance\"}\n"));
    assert!(error.contains("`dance`"), "{error}");
    assert_answers(&session);
}

#[test]
fn a_line_that_does_not_end_is_cut_off() {
    let session = FakeSession::start(by_status);
    let error = error_of(session.say(&vec![b'x'; MAX_REQUEST_LEN]));
    assert!(error.contains("longer than 65536 bytes"), "{error}");
    assert_answers(&session);
}

#[test]
fn a_relative_folder_is_refused() {
    let session = FakeSession::start(by_status);
    let request = b"{\"version\":1,\"request\":\"snapshot\",\"folder\":\"here\"}\n";
    let error = error_of(session.say(request));
    assert!(error.contains("absolute"), "{error}");
}

#[test]
fn silent_clients_do_not_delay_others() {
    let session = FakeSession::start(by_status);
    let _idle: Vec<_> = (0..MAX_CONNECTIONS - 1)
        .map(|_| session.connect())
        .collect();
    assert_answers(&session);
}

#[test]
fn a_client_that_says_nothing_is_given_up() {
    let session = FakeSession::with_patience(Duration::from_millis(10), by_status);
    let mut idle = session.connect();
    idle.write_all(b"{").unwrap();
    assert_eq!(idle.read(&mut [0; 8]).unwrap(), 0);
}

#[test]
fn more_clients_than_are_served_at_a_time_are_served_in_turn() {
    let session = FakeSession::with_patience(Duration::from_millis(10), by_status);
    let _idle: Vec<_> = (0..MAX_CONNECTIONS).map(|_| session.connect()).collect();
    assert_answers(&session);
}

#[test]
fn a_client_that_has_gone_is_no_matter() {
    let (asked, was_asked) = mpsc::channel();
    let mut left = None;
    let session = FakeSession::start(move |call| match call {
        // Answered when the client is gone.
        Call::Snapshot(_, answer) => {
            left = Some(answer);
            asked.send(()).unwrap();
        }
        Call::Status(answer) => {
            if let Some(left) = left.take() {
                left.give(Err("too late".to_owned()));
            }
            answer.give(Ok(status()));
        }
    });
    let mut client = session.connect();
    client
        .write_all(b"{\"version\":1,\"request\":\"snapshot\",\"folder\":\"/x\"}\n")
        .unwrap();
    was_asked.recv().unwrap();
    drop(client);
    assert_answers(&session);
    assert_answers(&session);
}

#[test]
fn a_long_snapshot_does_not_delay_other_requests() {
    let (asked, was_asked) = mpsc::channel();
    let session = FakeSession::start(move |call| match call {
        Call::Snapshot(_, answer) => asked.send(answer).unwrap(),
        Call::Status(answer) => answer.give(Ok(status())),
    });
    let mut client = session.connect();
    client
        .write_all(b"{\"version\":1,\"request\":\"snapshot\",\"folder\":\"/x\"}\n")
        .unwrap();
    let answer = was_asked.recv().unwrap();
    assert_answers(&session);
    answer.give(Err("done".to_owned()));
    let mut reply = String::new();
    client.read_to_string(&mut reply).unwrap();
    assert_eq!(reply, "{\"version\":1,\"error\":\"done\"}\n");
}

#[test]
fn at_the_end_the_socket_goes_and_idle_clients_are_let_go() {
    let session = FakeSession::start(by_status);
    // Answered one after the other: this one has been accepted when the next is answered.
    let mut idle = session.connect();
    assert_answers(&session);
    let path = session.socket();
    let _folder = session.end();
    assert_eq!(idle.read(&mut [0; 8]).unwrap(), 0);
    assert!(!path.exists());
}

#[test]
fn at_the_end_open_questions_are_closed() {
    let (asked, was_asked) = mpsc::channel();
    let mut open = Vec::new();
    let session = FakeSession::start(move |call| {
        open.push(call);
        asked.send(()).unwrap();
    });
    let mut client = session.connect();
    client
        .write_all(b"{\"version\":1,\"request\":\"status\"}\n")
        .unwrap();
    was_asked.recv().unwrap();
    let _folder = session.end();
    assert_eq!(client.read(&mut [0; 8]).unwrap(), 0);
}
