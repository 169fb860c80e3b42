//! The side that asks running recorders.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::record::control::contact::{Contact, contact};
use crate::record::control::protocol::{
    MAX_REPLY_LEN, ProtocolError, Reply, Request, SnapshotReply, SnapshotRequest, Status, decode,
    encode, read_line,
};
use crate::record::control::runtime::failed;
use crate::record::control::socket::remove_dead;
use crate::record::control::{ControlError, RuntimeDir, SessionName};

/// A recorder answers this at once; one that does not has other things to do.
const STATUS_TIMEOUT: Duration = Duration::from_secs(2);

/// What a socket of the folder belongs to.
#[derive(Debug)]
pub enum Found {
    /// A recording.
    Running(Box<Status>),
    /// A recorder that gives no status.
    Mute {
        /// Its name.
        name: SessionName,
        /// Its process id, if known.
        pid: Option<u32>,
        /// Why.
        error: ControlError,
    },
    /// Nobody: the recorder was killed. The socket is removed.
    Dead(SessionName),
}

/// Asks all sessions how they go, also those that are being detached, which come last.
///
/// # Errors
/// If the folder cannot be read. Problems with one session are reported in its place.
pub fn sessions(runtime: &RuntimeDir) -> Result<Vec<Found>, ControlError> {
    let mut found = Vec::new();
    for name in runtime.names()? {
        let path = runtime.socket_path(&name);
        match contact(&path).map_err(failed("connect to", &path))? {
            Contact::Live(stream, pid) => found.push(match status_of(&stream, &name) {
                Ok(status) => Found::Running(Box::new(status)),
                // It ended meanwhile.
                Err(ControlError::Ended(_)) => continue,
                Err(error) => Found::Mute { name, pid, error },
            }),
            Contact::Crowded => found.push(Found::Mute {
                error: ControlError::NoAnswer(name.clone()),
                name,
                pid: None,
            }),
            Contact::Dead => {
                if remove_dead(runtime, &path)? {
                    found.push(Found::Dead(name));
                }
            }
            Contact::Absent | Contact::Foreign => {}
        }
    }
    for pid in runtime.detaching()? {
        found.extend(detaching(runtime, pid)?);
    }
    Ok(found)
}

/// Asks a process that detaches, whose trace is complete: its troubles are of no interest.
fn detaching(runtime: &RuntimeDir, pid: u32) -> Result<Option<Found>, ControlError> {
    let path = runtime.detaching_path(pid);
    match contact(&path).map_err(failed("connect to", &path))? {
        Contact::Live(stream, _) => {
            let status = status_of(&stream, &SessionName::of_process(pid)).ok();
            Ok(status.map(|status| Found::Running(Box::new(status))))
        }
        Contact::Dead => remove_dead(runtime, &path).map(|_| None),
        Contact::Crowded | Contact::Absent | Contact::Foreign => Ok(None),
    }
}

/// The names of all sessions that run, also of those that do not answer.
pub fn running(runtime: &RuntimeDir) -> Result<Vec<SessionName>, ControlError> {
    let mut running = Vec::new();
    for name in runtime.names()? {
        let path = runtime.socket_path(&name);
        match contact(&path).map_err(failed("connect to", &path))? {
            Contact::Live(..) | Contact::Crowded => running.push(name),
            Contact::Absent | Contact::Dead | Contact::Foreign => {}
        }
    }
    Ok(running)
}

/// Asks a session how it goes.
pub fn status(runtime: &RuntimeDir, name: &SessionName) -> Result<Status, ControlError> {
    status_of(&connect(runtime, name)?, name)
}

/// Has a session write a snapshot into `folder`, an absolute path, and waits for it however
/// long it takes.
pub fn snapshot(
    runtime: &RuntimeDir,
    name: &SessionName,
    folder: &Path,
) -> Result<SnapshotReply, ControlError> {
    let stream = connect(runtime, name)?;
    let request = Request::Snapshot(SnapshotRequest {
        folder: folder.to_owned(),
    });
    match ask(&stream, name, &request)? {
        Reply::Snapshot(reply) => Ok(reply),
        other => Err(refused(other, name)),
    }
}

fn connect(runtime: &RuntimeDir, name: &SessionName) -> Result<UnixStream, ControlError> {
    let path = runtime.socket_path(name);
    match contact(&path).map_err(failed("connect to", &path))? {
        Contact::Live(stream, _) => Ok(stream),
        Contact::Crowded => Err(ControlError::NoAnswer(name.clone())),
        Contact::Absent | Contact::Dead | Contact::Foreign => {
            Err(ControlError::NoSuchSession(name.clone()))
        }
    }
}

fn status_of(stream: &UnixStream, name: &SessionName) -> Result<Status, ControlError> {
    stream
        .set_read_timeout(Some(STATUS_TIMEOUT))
        .map_err(|error| broken(error.into(), name))?;
    match ask(stream, name, &Request::Status)? {
        Reply::Status(status) => Ok(status),
        other => Err(refused(other, name)),
    }
}

/// Sends a request and waits for the reply.
fn ask(
    mut stream: &UnixStream,
    name: &SessionName,
    request: &Request,
) -> Result<Reply, ControlError> {
    let line = encode(request).map_err(|error| broken(error, name))?;
    // A recorder may reply without having listened: whom it refuses it does not hear.
    let sent = stream.write_all(&line);
    let reply = read_line(stream, MAX_REPLY_LEN).and_then(|line| decode(&line));
    match (reply, sent) {
        (Ok(reply), _) => Ok(reply),
        (Err(_), Err(error)) => Err(broken(error.into(), name)),
        (Err(error), Ok(())) => Err(broken(error, name)),
    }
}

/// What it means when a conversation breaks off.
fn broken(error: ProtocolError, name: &SessionName) -> ControlError {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, TimedOut, WouldBlock};
    let name = name.clone();
    match error {
        ProtocolError::Truncated => ControlError::Ended(name),
        ProtocolError::Io(error) if matches!(error.kind(), BrokenPipe | ConnectionReset) => {
            ControlError::Ended(name)
        }
        ProtocolError::Io(error) if matches!(error.kind(), TimedOut | WouldBlock) => {
            ControlError::NoAnswer(name)
        }
        source => ControlError::Protocol { name, source },
    }
}

/// What a reply means that is not what was asked for.
fn refused(reply: Reply, name: &SessionName) -> ControlError {
    let reason = match reply {
        Reply::Error(reason) => reason,
        Reply::Status(_) | Reply::Snapshot(_) => {
            "it answered something that was not asked".to_owned()
        }
    };
    ControlError::Refused {
        name: name.clone(),
        reason,
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
