//! The recorder's side of its control socket.
//!
//! Each connection is a separate task, which reads one request and hands it to the session
//! as a [`Call`]. So a client that hangs, talks nonsense or vanishes is no matter of the
//! session's; there are limits on how long and how many.

use std::io;
use std::time::Duration;

use rustix::process::geteuid;
use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::record::control::ControlSocket;
use crate::record::control::protocol::{
    MAX_REQUEST_LEN, ProtocolError, Reply, Request, SnapshotReply, SnapshotRequest, Status, decode,
    encode, receive_line,
};
use crate::record::control::socket::SocketFile;
use crate::sys::socket::peer;

/// Connections that are served at a time; more wait to be accepted.
const MAX_CONNECTIONS: usize = 64;

/// A client that has not sent its request, or not taken its reply, by then is given up.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the end of a recording waits for clients to take their replies. A reply fits
/// into the buffer of a socket but for extraordinary ones.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(200);

/// The pause after a connection could not be accepted, for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// A request, and the way back for its answer.
#[derive(Debug)]
pub enum Call {
    /// How does the recording go?
    Status(Answer<Status>),
    /// Write a snapshot.
    Snapshot(SnapshotRequest, Answer<SnapshotReply>),
}

/// The way back for an answer; it may be given later, and by another thread. Dropped without
/// one, it closes the connection: the recording has ended.
#[derive(Debug)]
#[must_use = "the client waits"]
pub struct Answer<T>(oneshot::Sender<Result<T, String>>);

impl<T> Answer<T> {
    /// The way back, and the place where the answer comes out.
    pub fn new() -> (Self, oneshot::Receiver<Result<T, String>>) {
        let (sender, receiver) = oneshot::channel();
        (Self(sender), receiver)
    }

    /// Gives the answer, or the reason why there is none.
    pub fn give(self, answer: Result<T, String>) {
        // A client that has gone needs no answer.
        let _ = self.0.send(answer);
    }
}

/// A socket that is served, in the background of a tokio runtime.
#[derive(Debug)]
pub struct Server {
    file: SocketFile,
    calls: mpsc::Receiver<Call>,
    connections: JoinHandle<()>,
}

impl Server {
    /// Begins to serve. Must be called in the context of a runtime with time and input and
    /// output enabled.
    pub fn start(socket: ControlSocket) -> io::Result<Self> {
        Self::with_patience(socket, CLIENT_TIMEOUT)
    }

    /// [`start`](Self::start) with another limit than [`CLIENT_TIMEOUT`].
    pub(super) fn with_patience(socket: ControlSocket, patience: Duration) -> io::Result<Self> {
        let ControlSocket { file, listener } = socket;
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener)?;
        let (sender, calls) = mpsc::channel(1);
        Ok(Self {
            file,
            calls,
            connections: tokio::spawn(accept(listener, sender, patience)),
        })
    }

    /// The next request. It may be cancelled without one being lost.
    pub async fn next(&mut self) -> Call {
        match self.calls.recv().await {
            Some(call) => call,
            // The accepting task has panicked: no more calls.
            None => std::future::pending().await,
        }
    }

    /// Gives the name back. Connections whose call has no answer yet are closed; clients get
    /// a moment to take what they have been answered.
    pub async fn close(self) {
        drop(self.file);
        drop(self.calls);
        // A panic has been reported by its hook.
        let _ = self.connections.await;
    }
}

/// Accepts connections until the receiver of their calls is gone.
async fn accept(listener: UnixListener, calls: mpsc::Sender<Call>, patience: Duration) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = calls.closed() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => {
                match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(converse(stream, calls.clone(), patience));
                    }
                    Err(error) => {
                        log::warn!("cannot accept a connection: {error}");
                        sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        }
    }
    drop(listener);
    let all_gone = async { while connections.join_next().await.is_some() {} };
    // Those that are left are ended with the set.
    let _ = timeout(CLOSE_TIMEOUT, all_gone).await;
}

/// Reads the request of a connection and writes the reply. Without one the connection just
/// ends: the client hangs, or the recording has ended.
async fn converse(mut stream: UnixStream, calls: mpsc::Sender<Call>, patience: Duration) {
    let reply = if let Err(reason) = admit(&stream) {
        Some(Reply::Error(reason))
    } else {
        tokio::select! {
            () = calls.closed() => None,
            line = timeout(patience, receive_line(&mut stream, MAX_REQUEST_LEN)) => {
                match line.map(|line| line.and_then(|line| decode(&line))) {
                    Ok(Ok(request)) => answer(request, &calls).await,
                    Ok(Err(error)) => Some(Reply::Error(with_causes(error))),
                    Err(_) => None,
                }
            }
        }
    };
    let Some(reply) = reply else { return };
    let line = encode(&reply).or_else(|error| encode(&Reply::Error(with_causes(error))));
    if let Ok(line) = line {
        // A client that has gone, or hangs, does without.
        let _ = timeout(patience, stream.write_all(&line)).await;
    }
}

/// Accepts clients that may control this process anyway.
fn admit(stream: &UnixStream) -> Result<(), String> {
    let peer = peer(stream).map_err(|error| format!("cannot identify the client: {error}"))?;
    if peer.uid == 0 || peer.uid == geteuid().as_raw() {
        Ok(())
    } else {
        Err("only root and the user of the recorder may ask it".to_owned())
    }
}

/// Has the session answer; none when it has ended.
async fn answer(request: Request, calls: &mpsc::Sender<Call>) -> Option<Reply> {
    let reply = match request {
        Request::Status => ask(calls, Call::Status).await?.map(Reply::Status),
        Request::Snapshot(request) if !request.folder.is_absolute() => {
            Err("the folder of a snapshot must be an absolute path".to_owned())
        }
        Request::Snapshot(request) => ask(calls, |answer| Call::Snapshot(request, answer))
            .await?
            .map(Reply::Snapshot),
    };
    Some(reply.unwrap_or_else(Reply::Error))
}

async fn ask<T>(
    calls: &mpsc::Sender<Call>,
    call: impl FnOnce(Answer<T>) -> Call,
) -> Option<Result<T, String>> {
    let (answer, answered) = Answer::new();
    calls.send(call(answer)).await.ok()?;
    answered.await.ok()
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;

/// The error and its causes in a line.
fn with_causes(error: ProtocolError) -> String {
    format!("{:#}", anyhow::Error::new(error))
}
