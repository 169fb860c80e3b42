//! The protocol between a recorder and its clients: one request for each connection,
//! and its reply, each a line of JSON.
//!
//! ```text
//! {"version":1,"request":"status"}
//! {"version":1,"status":{"session":"demo","pid":7,…}}
//!
//! {"version":1,"request":"snapshot","folder":"/tmp/snapshot"}
//! {"version":1,"snapshot":{"folder":"/tmp/snapshot","events":63,…}}
//!
//! {"version":1,"error":"…"}
//! ```
//!
//! The version changes when a request or a reply changes its meaning; fields may be added
//! without that.

use std::io::{self, BufRead, Read};
use std::path::PathBuf;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt};

use crate::record::control::SessionName;
use crate::record::subbuf::Mode;

/// The version that this program speaks.
pub const VERSION: u32 = 1;

/// Bytes of a request at most, its end of line included. The longest path fits, even with
/// each byte escaped.
pub const MAX_REQUEST_LEN: usize = 64 << 10;

/// Bytes of a reply at most. A command line, which a status repeats, can have 2 MiB.
pub const MAX_REPLY_LEN: usize = 16 << 20;

/// A request to a recorder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// The state of the recording.
    Status,
    /// Write what the buffers hold.
    Snapshot(SnapshotRequest),
}

/// The snapshot to take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotRequest {
    /// The folder to write, an absolute path.
    pub folder: PathBuf,
}

/// The reply of a recorder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// To [`Request::Status`].
    Status(Status),
    /// To [`Request::Snapshot`], once the snapshot is complete.
    Snapshot(SnapshotReply),
    /// Why the request was refused.
    Error(String),
}

/// The state of a recording. The names of these fields are those of `tracer sessions --json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Name of the session.
    pub session: SessionName,
    /// Process id of the recorder.
    pub pid: u32,
    /// What a full buffer does.
    #[serde(with = "ModeText")]
    pub mode: Mode,
    /// When recording began, as RFC 3339 text in UTC.
    pub since: Timestamp,
    /// Events taken from the rings so far.
    pub events: u64,
    /// Bytes of trace that were written so far.
    pub bytes: u64,
    /// Events lost so far because a ring was full.
    pub lost: u64,
    /// Events overwritten so far by newer ones; 0 in discard mode.
    pub overwritten: u64,
    /// Number of CPUs that are recorded.
    pub cpus: u32,
    /// Size of the buffer of each CPU in bytes.
    pub buffer_bytes: u64,
    /// Size of a sub-buffer in bytes.
    pub subbuf_bytes: u64,
    /// Where the trace is written: an absolute path, or `-` for standard output; none in
    /// overwrite mode.
    pub output: Option<String>,
    /// The probes as they were asked for; empty: the default.
    pub probes: Vec<String>,
    /// The command that is recorded and its arguments; empty: none.
    pub command: Vec<String>,
    /// Programs that are being detached, once the recording has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detaching: Option<Detaching>,
}

/// The programs of a recording that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detaching {
    /// Programs that are still attached.
    pub left: u64,
    /// Programs that were attached.
    pub total: u64,
}

/// How [`Mode`] is written in JSON.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Mode", rename_all = "snake_case")]
enum ModeText {
    Discard,
    Overwrite,
}

impl Status {
    /// The mode as the command line and the protocol spell it.
    #[must_use]
    pub fn mode_name(&self) -> &'static str {
        match self.mode {
            Mode::Discard => "discard",
            Mode::Overwrite => "overwrite",
        }
    }
}

/// A snapshot that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotReply {
    /// The folder of the trace.
    pub folder: PathBuf,
    /// Events in it.
    pub events: u64,
    /// Bytes of its streams.
    pub bytes: u64,
    /// Packets in it.
    pub packets: u64,
    /// Packets that were overwritten before they could be written, between the first and
    /// the last of a stream.
    pub missing_packets: u64,
}

/// Why a line is not part of the protocol.
#[derive(Debug, Error)]
pub enum ProtocolError {
    /// It has more bytes than any message.
    #[error("a message is longer than {0} bytes")]
    TooLong(usize),
    /// It ends without an end of line.
    #[error("a message is incomplete")]
    Truncated,
    /// It is of a program that means something else by its words.
    #[error(
        "the other side speaks version {0}, this one {VERSION}; use the same `tracer` for both"
    )]
    Version(u32),
    /// It is not JSON, or no message.
    #[error("cannot parse a message")]
    Malformed(#[source] serde_json::Error),
    /// It cannot be written as JSON: a path that is not UTF-8.
    #[error("cannot write a message as JSON")]
    NotJson(#[source] serde_json::Error),
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

#[derive(Serialize, Deserialize)]
struct Message<T> {
    version: u32,
    #[serde(flatten)]
    body: T,
}

/// What every version has.
#[derive(Deserialize)]
struct AnyMessage {
    version: u32,
}

/// The line with `body`.
pub fn encode<T: Serialize>(body: &T) -> Result<Vec<u8>, ProtocolError> {
    let message = Message {
        version: VERSION,
        body,
    };
    let mut line = serde_json::to_vec(&message).map_err(ProtocolError::NotJson)?;
    line.push(b'\n');
    Ok(line)
}

/// The body of a line.
pub fn decode<T: DeserializeOwned>(line: &[u8]) -> Result<T, ProtocolError> {
    // The version first: a message of another one may look wrong in any way.
    let AnyMessage { version } = serde_json::from_slice(line).map_err(ProtocolError::Malformed)?;
    if version != VERSION {
        return Err(ProtocolError::Version(version));
    }
    let message: Message<T> = serde_json::from_slice(line).map_err(ProtocolError::Malformed)?;
    Ok(message.body)
}

/// Reads a line of at most `limit` bytes.
pub fn read_line(stream: impl Read, limit: usize) -> Result<Vec<u8>, ProtocolError> {
    let mut line = Vec::new();
    io::BufReader::new(stream.take(limit as u64)).read_until(b'\n', &mut line)?;
    whole(line, limit)
}

/// [`read_line`] for the control side of a recorder.
pub(super) async fn receive_line(
    stream: impl AsyncRead + Unpin,
    limit: usize,
) -> Result<Vec<u8>, ProtocolError> {
    let mut line = Vec::new();
    tokio::io::BufReader::new(stream.take(limit as u64))
        .read_until(b'\n', &mut line)
        .await?;
    whole(line, limit)
}

fn whole(line: Vec<u8>, limit: usize) -> Result<Vec<u8>, ProtocolError> {
    if line.ends_with(b"\n") {
        Ok(line)
    } else if line.len() == limit {
        Err(ProtocolError::TooLong(limit))
    } else {
        Err(ProtocolError::Truncated)
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    fn line(body: &impl Serialize) -> String {
        String::from_utf8(encode(body).unwrap()).unwrap()
    }

    fn status() -> Status {
        Status {
            session: "demo".parse().unwrap(),
            pid: 7,
            mode: Mode::Discard,
            since: Timestamp::from_second(1_800_000_000).unwrap(),
            events: 1,
            bytes: 2,
            lost: 3,
            overwritten: 4,
            cpus: 5,
            buffer_bytes: 6,
            subbuf_bytes: 7,
            output: Some("/trace".into()),
            probes: vec!["sched:*".into()],
            command: vec!["true".into()],
            detaching: None,
        }
    }

    #[test]
    fn requests_have_these_words() {
        assert_eq!(
            line(&Request::Status),
            "{\"version\":1,\"request\":\"status\"}\n"
        );
        let request = Request::Snapshot(SnapshotRequest {
            folder: "/tmp/s".into(),
        });
        assert_eq!(
            line(&request),
            "{\"version\":1,\"request\":\"snapshot\",\"folder\":\"/tmp/s\"}\n"
        );
    }

    #[test]
    fn a_status_has_these_fields() {
        assert_eq!(
            line(&Reply::Status(status())),
            concat!(
                r#"{"version":1,"status":{"session":"demo","pid":7,"mode":"discard","#,
                r#""since":"2027-01-15T08:00:00Z","events":1,"bytes":2,"lost":3,"#,
                r#""overwritten":4,"cpus":5,"buffer_bytes":6,"subbuf_bytes":7,"#,
                r#""output":"/trace","probes":["sched:*"],"command":["true"]}}"#,
                "\n"
            )
        );
    }

    #[test]
    fn a_recording_that_is_being_detached_has_two_more() {
        let detaching = Some(Detaching { left: 1, total: 2 });
        let status = Status {
            detaching,
            ..status()
        };
        let line = line(&Reply::Status(status));
        let end = "\"command\":[\"true\"],\"detaching\":{\"left\":1,\"total\":2}}}\n";
        assert!(line.ends_with(end), "{line}");
    }

    #[test]
    fn a_snapshot_has_these_fields() {
        let reply = Reply::Snapshot(SnapshotReply {
            folder: "/s".into(),
            events: 1,
            bytes: 2,
            packets: 3,
            missing_packets: 4,
        });
        assert_eq!(
            line(&reply),
            concat!(
                r#"{"version":1,"snapshot":{"folder":"/s","events":1,"bytes":2,"packets":3,"#,
                r#""missing_packets":4}}"#,
                "\n"
            )
        );
    }

    #[test]
    fn messages_are_read_as_written() {
        let replies = [Reply::Status(status()), Reply::Error("no\n\"such\"".into())];
        for reply in replies {
            let understood: Reply = decode(&encode(&reply).unwrap()).unwrap();
            assert_eq!(understood, reply);
        }
        let request: Request = decode(&encode(&Request::Status).unwrap()).unwrap();
        assert_eq!(request, Request::Status);
    }

    #[test]
    fn fields_may_be_added() {
        let line = br#"{"version":1,"request":"status","colour":"blue"}"#;
        assert_eq!(decode::<Request>(line).unwrap(), Request::Status);
    }

    #[test]
    fn another_version_is_named_before_anything_else() {
        let error = decode::<Request>(br#"{"version":2,"ask":[]}"#).unwrap_err();
        assert!(matches!(error, ProtocolError::Version(2)), "{error}");
    }

    #[test]
    fn what_is_not_a_message_is_an_error() {
        for line in [
            &b"GET / HTTP/1.1\n"[..],
            b"{}\n",
            b"\xff\n",
            br#"{"version":1,"request":"dance"}"#,
            br#"{"version":1,"request":"snapshot"}"#,
        ] {
            let error = decode::<Request>(line).unwrap_err();
            assert!(matches!(error, ProtocolError::Malformed(_)), "{error}");
        }
    }

    #[test]
    fn a_path_that_is_not_utf8_cannot_be_written() {
        let request = Request::Snapshot(SnapshotRequest {
            folder: OsString::from_vec(b"/\xff".to_vec()).into(),
        });
        let error = encode(&request).unwrap_err();
        let error = format!("{:#}", anyhow::Error::new(error));
        assert!(error.contains("UTF-8"), "{error}");
    }

    #[test]
    fn a_line_ends_where_it_says() {
        assert_eq!(read_line(&b"one\ntwo\n"[..], 100).unwrap(), b"one\n");
        assert_eq!(read_line(&b"one\n"[..], 4).unwrap(), b"one\n");
    }

    #[test]
    fn a_line_without_an_end_is_told_from_one_that_is_too_long() {
        let error = |line: &[u8]| read_line(line, 4).unwrap_err();
        assert!(matches!(error(b"one"), ProtocolError::Truncated));
        assert!(matches!(error(b""), ProtocolError::Truncated));
        assert!(matches!(error(b"four\n"), ProtocolError::TooLong(4)));
    }
}
