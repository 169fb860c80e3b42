//! One pipe for all streams.

use std::fs::OpenOptions;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::record::sink::{Sink, SinkReport, Way, total_len};
use crate::sys::output::{Call, Calls, KernelCalls};
use crate::trace::folder::frames::Frame;

/// A pipe or FIFO that takes a trace as [frames](crate::trace::folder::frames).
///
/// It is written by copy. Pages that are spliced into a pipe change when they are rewritten
/// before the reader has them, and how far a reader is, nobody says: what it takes by `tee`
/// or `splice` it may keep for as long as it likes, in pipes of its own. So no page could
/// ever be reused.
///
/// A slow reader makes all streams wait; what the rings cannot hold meanwhile is lost there
/// and counted.
#[derive(Debug)]
pub struct SharedPipe<C = KernelCalls> {
    state: Mutex<State<C>>,
    name: String,
}

#[derive(Debug)]
struct State<C> {
    calls: C,
    file: OwnedFd,
    /// Why a frame was broken off: whatever came behind it would be taken for its rest.
    broken: Option<Errno>,
}

impl SharedPipe {
    /// Takes standard output for the trace. What this process, or a command that it starts,
    /// prints there from now on goes to standard error.
    ///
    /// # Errors
    /// Where it is a terminal.
    pub fn stdout() -> io::Result<Self> {
        let stdout = io::stdout();
        if rustix::termios::isatty(&stdout) {
            return Err(io::Error::other(
                "a trace is nothing for a terminal; pipe it into `tracer report -`",
            ));
        }
        let file = rustix::io::fcntl_dupfd_cloexec(&stdout, 3)?;
        rustix::stdio::dup2_stdout(io::stderr())?;
        Ok(Self::new(file, "standard output"))
    }

    /// Opens the FIFO at `path`, and waits until somebody reads it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).open(path)?;
        Ok(Self::new(file.into(), &path.display().to_string()))
    }

    /// True if there is a FIFO at `path`.
    #[must_use]
    pub fn is_at(path: &Path) -> bool {
        path.metadata().is_ok_and(|file| file.file_type().is_fifo())
    }

    /// Takes the writing end of a pipe; errors call it `name`.
    #[must_use]
    pub fn new(file: OwnedFd, name: &str) -> Self {
        Self::with(KernelCalls, file, name)
    }
}

impl<C: Calls> SharedPipe<C> {
    /// The same with other system calls.
    pub(crate) fn with(calls: C, file: OwnedFd, name: &str) -> Self {
        Self {
            state: Mutex::new(State {
                calls,
                file,
                broken: None,
            }),
            name: name.to_owned(),
        }
    }

    /// What errors call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes one frame, all of it before the next one.
    ///
    /// # Errors
    /// The first error is final, since a part of the frame may have been written.
    pub fn send(&self, frame: Frame, body: &[u8]) -> io::Result<()> {
        self.send_pieces(frame, &[IoSlice::new(body)])
    }

    fn send_pieces(&self, frame: Frame, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        // A thread that panicked holding the lock was inside a call that left `broken` as
        // it was; its frame is whole or not begun.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.send(frame, pieces).map_err(|error| {
            let why = if error == Errno::PIPE {
                "whoever read it has gone".to_owned()
            } else {
                io::Error::from(error).to_string()
            };
            io::Error::new(
                io::Error::from(error).kind(),
                format!("cannot write to `{}`: {why}", self.name),
            )
        })
    }
}

impl<C: Calls> State<C> {
    fn send(&mut self, frame: Frame, pieces: &[IoSlice<'_>]) -> Result<(), Errno> {
        if let Some(error) = self.broken {
            return Err(error);
        }
        let header = frame.header(total_len(pieces) as u64);
        let mut head = &header[..];
        for piece in pieces {
            self.put(head, piece)?;
            head = &[];
        }
        Ok(())
    }

    fn put(&mut self, mut head: &[u8], mut body: &[u8]) -> Result<(), Errno> {
        while !(head.is_empty() && body.is_empty()) {
            let file = self.file.as_fd();
            match self.calls.call(Call::Write { file, head, body }) {
                Ok(written) => {
                    let of_head = written.min(head.len());
                    head = &head[of_head..];
                    body = &body[written - of_head..];
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    // Whoever gave us the pipe may have set O_NONBLOCK. An interrupted wait
                    // is followed by another attempt in any case.
                    let _ = poll(&mut [PollFd::new(&self.file, PollFlags::OUT)], None);
                }
                Err(error) => {
                    self.broken = Some(error);
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

/// One stream's access to a [`SharedPipe`].
#[derive(Debug)]
pub struct PipeSink<C = KernelCalls> {
    pipe: Arc<SharedPipe<C>>,
    stream: u64,
}

impl<C: Calls> PipeSink<C> {
    /// For the stream of this number.
    #[must_use]
    pub fn new(pipe: Arc<SharedPipe<C>>, stream: u64) -> Self {
        Self { pipe, stream }
    }
}

impl<C: Calls> Sink for PipeSink<C> {
    fn write_packet(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        self.pipe.send_pieces(Frame::Packet(self.stream), pieces)
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn report(&self) -> SinkReport {
        SinkReport {
            way: Way::Pipe,
            reason: None,
        }
    }
}

#[cfg(test)]
#[path = "pipe_tests.rs"]
mod tests;
