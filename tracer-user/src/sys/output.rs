//! The system calls of sinks as values: all go through one function, which a test can replace to
//! see how a sink handles short writes, delays and errors.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FallocateFlags, OFlags};
use rustix::io::{Errno, IoSlice};
use rustix::net::{SendAncillaryBuffer, SendFlags, Shutdown, sendmsg};
use rustix::pipe::{IoSliceRaw, SpliceFlags};

use crate::sys::zero_copy::{self, Completion};

/// One system call. Sizes and offsets are in bytes.
#[derive(Clone, Copy, Debug)]
pub enum Call<'a> {
    /// `vmsplice(2)`: puts references to the pages of `bytes` into the pipe; the bytes are read
    /// when the pipe is. Returns the number of bytes that fitted.
    ///
    /// The pages must keep their content until the pipe is empty. The kernel holds them even if
    /// they are unmapped meanwhile, so a caller that breaks this passes on other bytes but does
    /// not corrupt memory.
    Vmsplice {
        /// The write end.
        pipe: BorrowedFd<'a>,
        /// The bytes to pass on.
        bytes: &'a [u8],
    },
    /// `splice(2)` from a pipe to an offset in a file. Returns the number of bytes moved.
    Splice {
        /// The read end.
        pipe: BorrowedFd<'a>,
        /// A file that was not opened for appending.
        file: BorrowedFd<'a>,
        /// Offset in the file.
        offset: u64,
        /// Maximum number of bytes.
        len: usize,
    },
    /// `pwrite(2)`. Returns the number of bytes written.
    WriteAt {
        /// The file.
        file: BorrowedFd<'a>,
        /// The bytes to write.
        bytes: &'a [u8],
        /// Offset in the file.
        offset: u64,
    },
    /// `writev(2)` of two pieces to a file without offsets, such as a pipe. Returns the number of
    /// bytes written.
    Write {
        /// The pipe.
        file: BorrowedFd<'a>,
        /// The first piece; may be empty.
        head: &'a [u8],
        /// The second piece.
        body: &'a [u8],
    },
    /// `fallocate(2)` that does not change the file's size. Returns 0.
    Allocate {
        /// The file.
        file: BorrowedFd<'a>,
        /// Start of the range.
        offset: u64,
        /// Length of the range.
        len: u64,
    },
    /// `ftruncate(2)`. Returns 0.
    Truncate {
        /// The file.
        file: BorrowedFd<'a>,
        /// Its new size.
        len: u64,
    },
    /// `fdatasync(2)`. Returns 0.
    Sync {
        /// The file.
        file: BorrowedFd<'a>,
    },
    /// Sets or clears `O_DIRECT` by `fcntl(2)`. Returns 0.
    SetDirect {
        /// The file.
        file: BorrowedFd<'a>,
        /// Whether to set it.
        on: bool,
    },
    /// `F_SETPIPE_SZ` of `fcntl(2)`. Returns the actual size of the pipe.
    SetPipeSize {
        /// Either end.
        pipe: BorrowedFd<'a>,
        /// The wanted size.
        len: usize,
    },
    /// `sendmsg(2)` of two pieces, which the kernel copies. Returns the number of bytes sent. A
    /// closed connection is an error, not a signal.
    Send {
        /// A connected socket.
        socket: BorrowedFd<'a>,
        /// The first piece; may be empty.
        head: &'a [u8],
        /// The second piece.
        body: &'a [u8],
        /// Whether more data follows at once, so that the kernel need not send a segment yet.
        more: bool,
    },
    /// `sendmsg(2)` with `MSG_ZEROCOPY`. Returns the number of bytes sent.
    ///
    /// The kernel reads them until a [`Completion`] reports that it is done, even if they are
    /// unmapped; a caller that changes them earlier passes on other bytes but does not corrupt
    /// memory.
    SendPages {
        /// A socket after [`Call::SetZeroCopy`].
        socket: BorrowedFd<'a>,
        /// The bytes to pass on.
        bytes: &'a [u8],
    },
    /// Reads one completion from the error queue of a socket; never waits. Returns 0.
    ReadCompletion {
        /// The socket.
        socket: BorrowedFd<'a>,
        /// Receives it; left unchanged if there is none, which is `EAGAIN`.
        found: &'a Cell<Option<Completion>>,
    },
    /// `SO_ZEROCOPY` of `setsockopt(2)`. Returns 0.
    SetZeroCopy {
        /// The socket.
        socket: BorrowedFd<'a>,
    },
    /// `poll(2)` until the socket is writable or has an error. Returns 0.
    AwaitRoom {
        /// The socket.
        socket: BorrowedFd<'a>,
    },
    /// `poll(2)` until there is a completion or the socket has an error. Returns 1 if both
    /// directions are closed, else 0.
    AwaitCompletion {
        /// The socket.
        socket: BorrowedFd<'a>,
    },
    /// `SO_ERROR` of `getsockopt(2)`: fails with the pending error of the socket. Returns 0 if
    /// there is none.
    TakeError {
        /// The socket.
        socket: BorrowedFd<'a>,
    },
    /// `shutdown(2)` of the direction to the peer. Returns 0.
    EndSending {
        /// The socket.
        socket: BorrowedFd<'a>,
    },
}

/// Executes [`Call`]s.
pub trait Calls: Send {
    /// Executes one; [`Call`] documents the result.
    fn call(&mut self, call: Call<'_>) -> Result<usize, Errno>;
}

/// The running kernel executes them.
#[derive(Clone, Copy, Debug, Default)]
pub struct KernelCalls;

impl Calls for KernelCalls {
    fn call(&mut self, call: Call<'_>) -> Result<usize, Errno> {
        match call {
            Call::Vmsplice { pipe, bytes } => vmsplice(pipe, bytes),
            Call::Splice {
                pipe,
                file,
                mut offset,
                len,
            } => rustix::pipe::splice(
                pipe,
                None,
                file,
                Some(&mut offset),
                len,
                SpliceFlags::empty(),
            ),
            Call::WriteAt {
                file,
                bytes,
                offset,
            } => rustix::io::pwrite(file, bytes, offset),
            Call::Write { file, head, body } => {
                rustix::io::writev(file, &[IoSlice::new(head), IoSlice::new(body)])
            }
            Call::Allocate { file, offset, len } => {
                rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, offset, len).map(|()| 0)
            }
            Call::Truncate { file, len } => rustix::fs::ftruncate(file, len).map(|()| 0),
            Call::Sync { file } => rustix::fs::fdatasync(file).map(|()| 0),
            Call::SetDirect { file, on } => {
                let mut flags = rustix::fs::fcntl_getfl(file)?;
                flags.set(OFlags::DIRECT, on);
                rustix::fs::fcntl_setfl(file, flags).map(|()| 0)
            }
            Call::SetPipeSize { pipe, len } => rustix::pipe::fcntl_setpipe_size(pipe, len),
            Call::Send {
                socket,
                head,
                body,
                more,
            } => {
                let mut flags = SendFlags::NOSIGNAL;
                flags.set(SendFlags::MORE, more);
                send(socket, &[IoSlice::new(head), IoSlice::new(body)], flags)
            }
            Call::SendPages { socket, bytes } => {
                let zero_copy = SendFlags::from_bits_retain(libc::MSG_ZEROCOPY as u32);
                let flags = SendFlags::NOSIGNAL | zero_copy;
                send(socket, &[IoSlice::new(bytes)], flags)
            }
            Call::ReadCompletion { socket, found } => {
                found.set(Some(zero_copy::completion(socket)?));
                Ok(0)
            }
            Call::SetZeroCopy { socket } => zero_copy::switch_on(socket).map(|()| 0),
            Call::AwaitRoom { socket } => await_any(socket, PollFlags::OUT).map(|_| 0),
            Call::AwaitCompletion { socket } => await_any(socket, PollFlags::empty())
                .map(|ready| usize::from(ready.contains(PollFlags::HUP))),
            Call::TakeError { socket } => rustix::net::sockopt::socket_error(socket)?.map(|()| 0),
            Call::EndSending { socket } => {
                rustix::net::shutdown(socket, Shutdown::Write).map(|()| 0)
            }
        }
    }
}

fn vmsplice(pipe: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
    // SAFETY: without SPLICE_F_GIFT the pages stay ours and the kernel only reads them. It holds
    // its own references: even if a page is rewritten or unmapped, it does not access other
    // memory.
    unsafe { rustix::pipe::vmsplice(pipe, &[IoSliceRaw::from_slice(bytes)], SpliceFlags::empty()) }
}

fn send(socket: BorrowedFd<'_>, pieces: &[IoSlice<'_>], flags: SendFlags) -> Result<usize, Errno> {
    sendmsg(socket, pieces, &mut SendAncillaryBuffer::default(), flags)
}

/// Waits for one of `wanted`, or for an error or a hang-up, which poll(2) always reports.
fn await_any(socket: BorrowedFd<'_>, wanted: PollFlags) -> Result<PollFlags, Errno> {
    let mut polled = [PollFd::from_borrowed_fd(socket, wanted)];
    poll(&mut polled, None)?;
    Ok(polled[0].revents())
}
