//! Names of threads, for reading the trace: a hidden file beside the streams, or, in overwrite
//! mode, the latest of them in memory.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::record::session::chunks::Chunks;
use crate::record::session::output::named;
use crate::record::sink::{SharedPipe, SharedSocket};
use crate::trace::folder::frames::Frame;
use crate::trace::sidecar::tasks::{FILE_NAME, format_line};

/// Appends lines to the names; lines of one call stay together.
#[derive(Debug)]
pub(super) struct TaskLog {
    to: To,
}

#[derive(Debug)]
enum To {
    File(File),
    Chunks(Arc<Chunks>),
    Pipe(Arc<SharedPipe>),
    Memory(Mutex<Recent>),
    Socket(Arc<SharedSocket>),
}

/// The latest pieces of text.
#[derive(Debug, Default)]
struct Recent {
    pieces: VecDeque<String>,
    bytes: usize,
}

/// Names are kept in memory up to this size.
const RECENT_BYTES: usize = 4 << 20;

impl TaskLog {
    pub(super) fn create(folder: &Path) -> io::Result<Self> {
        let path = folder.join(FILE_NAME);
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| named(&path, "cannot create", &error))?;
        Ok(Self { to: To::File(file) })
    }

    /// Names go into the chunk that is open.
    pub(super) fn in_chunks(chunks: &Arc<Chunks>) -> Self {
        Self {
            to: To::Chunks(Arc::clone(chunks)),
        }
    }

    /// Names go where the packets go.
    pub(super) fn on_pipe(pipe: &Arc<SharedPipe>) -> Self {
        Self {
            to: To::Pipe(Arc::clone(pipe)),
        }
    }

    /// As [`on_pipe`](Self::on_pipe).
    pub(super) fn on_socket(socket: &Arc<SharedSocket>) -> Self {
        Self {
            to: To::Socket(Arc::clone(socket)),
        }
    }

    /// Names are kept, the latest of them.
    pub(super) fn in_memory() -> Self {
        Self {
            to: To::Memory(Mutex::default()),
        }
    }

    /// What is kept.
    pub(super) fn recent(&self) -> String {
        match &self.to {
            To::Memory(recent) => lock(recent).pieces.iter().map(String::as_str).collect(),
            To::File(_) | To::Chunks(_) | To::Pipe(_) | To::Socket(_) => String::new(),
        }
    }

    /// Appends whole lines. A name that cannot be written is missing in reports, which is
    /// no reason to end a recording.
    pub(super) fn append(&self, lines: &str) {
        let written = match &self.to {
            To::File(file) => (&*file).write_all(lines.as_bytes()),
            To::Chunks(chunks) => return chunks.append_names(lines),
            To::Pipe(pipe) => pipe.send(Frame::Tasks, lines.as_bytes()),
            To::Memory(recent) => {
                lock(recent).add(lines);
                Ok(())
            }
            To::Socket(socket) => socket.send(Frame::Tasks, lines.as_bytes()),
        };
        if let Err(error) = written {
            log::warn!("cannot write names of threads: {error}");
        }
    }

    /// Notes the threads that exist now, under the time `at_ns` (`CLOCK_MONOTONIC`).
    pub(super) fn snapshot(&self, at_ns: u64) {
        let mut lines = String::new();
        for process in entries(Path::new("/proc")) {
            for thread in entries(&process.join("task")) {
                let tid = thread
                    .file_name()
                    .and_then(|name| name.to_str()?.parse().ok());
                let comm = fs::read(thread.join("comm"));
                if let (Some(tid), Ok(comm)) = (tid, comm) {
                    lines.push_str(&format_line(at_ns, tid, comm.trim_ascii_end()));
                }
            }
        }
        self.append(&lines);
    }
}

impl Recent {
    fn add(&mut self, lines: &str) {
        self.bytes += lines.len();
        self.pieces.push_back(lines.to_owned());
        while self.bytes > RECENT_BYTES {
            let Some(oldest) = self.pieces.pop_front() else {
                break;
            };
            self.bytes -= oldest.len();
        }
    }
}

fn lock(recent: &Mutex<Recent>) -> MutexGuard<'_, Recent> {
    // Text that a thread which panicked was adding is there, or not.
    recent.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Folders in `folder` whose names are numbers.
fn entries(folder: &Path) -> impl Iterator<Item = std::path::PathBuf> {
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().as_encoded_bytes()[0].is_ascii_digit())
        .map(|entry| entry.path())
}
