//! A session without a recording: for tests.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use jiff::Timestamp;
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::record::control::protocol::{
    MAX_REPLY_LEN, ProtocolError, Reply, Status, decode, read_line,
};
use crate::record::control::{Call, ControlSocket, RuntimeDir, Server, SessionName};
use crate::record::subbuf::Mode;

/// Longer than any test waits.
const PATIENCE: Duration = Duration::from_hours(1);

/// A served socket in a private folder.
pub(super) struct FakeSession {
    folder: TempDir,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl FakeSession {
    /// A session that answers each call by `answer`.
    pub(super) fn start(answer: impl FnMut(Call) + Send + 'static) -> Self {
        Self::with_patience(PATIENCE, answer)
    }

    pub(super) fn with_patience(
        patience: Duration,
        mut answer: impl FnMut(Call) + Send + 'static,
    ) -> Self {
        let folder = folder();
        let runtime_dir = RuntimeDir::create(folder.path()).unwrap();
        let socket = ControlSocket::claim(runtime_dir, &demo()).unwrap();
        let (stop, mut stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let mut server = Server::with_patience(socket, patience).unwrap();
                loop {
                    tokio::select! {
                        call = server.next() => answer(call),
                        _ = &mut stopped => break,
                    }
                }
                server.close().await;
            });
        });
        Self {
            folder,
            stop,
            thread,
        }
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn runtime(&self) -> RuntimeDir {
        RuntimeDir::open(self.folder()).unwrap().unwrap()
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.runtime().socket_path(&demo())
    }

    /// A client of few words.
    pub(super) fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends bytes and reads the reply to them.
    pub(super) fn say(&self, bytes: &[u8]) -> Result<Reply, ProtocolError> {
        let mut stream = self.connect();
        stream.write_all(bytes).unwrap();
        read_line(stream, MAX_REPLY_LEN).and_then(|line| decode(&line))
    }

    /// Ends it in order; the folder stays until what is returned is dropped.
    pub(super) fn end(self) -> TempDir {
        self.stop.send(()).unwrap();
        self.thread.join().unwrap();
        self.folder
    }
}

pub(super) fn demo() -> SessionName {
    "demo".parse().unwrap()
}

pub(in crate::record) fn status() -> Status {
    Status {
        session: demo(),
        pid: std::process::id(),
        mode: Mode::Discard,
        since: Timestamp::UNIX_EPOCH,
        events: 42,
        bytes: 4096,
        lost: 0,
        overwritten: 0,
        cpus: 2,
        buffer_bytes: 8 << 20,
        subbuf_bytes: 256 << 10,
        output: None,
        probes: Vec::new(),
        command: Vec::new(),
        detaching: None,
    }
}

/// A folder that sockets may be in.
pub(super) fn folder() -> TempDir {
    tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o700))
        .tempdir()
        .unwrap()
}

/// Answers questions for the status, and refuses snapshots.
pub(super) fn by_status(call: Call) {
    match call {
        Call::Status(answer) => answer.give(Ok(status())),
        Call::Snapshot(_, answer) => answer.give(Err("not in the mood".to_owned())),
    }
}
