//! The system calls that sinks make, as values: all of them go through one function, which
//! a test can replace to see what a sink does when the kernel takes less, later, or nothing.
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
    /// `vmsplice(2)`: references to the pages of `bytes` go into the pipe; the bytes are
    /// read when the pipe is. Gives how many bytes fitted.
    ///
    /// The pages must keep their content until the pipe is empty. The kernel holds them
    /// even if they are unmapped meanwhile, so a caller that breaks this hands on other
    /// bytes and does no harm to memory.
    Vmsplice {
        /// The end that is written.
        pipe: BorrowedFd<'a>,
        /// What to hand over.
        bytes: &'a [u8],
    },
    /// `splice(2)` from a pipe to a place in a file. Gives how many bytes were moved.
    Splice {
        /// The end that is read.
        pipe: BorrowedFd<'a>,
        /// A file that was not opened for appending.
        file: BorrowedFd<'a>,
        /// Where in the file.
        offset: u64,
        /// At most so much.
        len: usize,
    },
    /// `pwrite(2)`. Gives how many bytes were written.
    WriteAt {
        /// The file.
        file: BorrowedFd<'a>,
        /// What to write.
        bytes: &'a [u8],
        /// Where in the file.
        offset: u64,
    },
    /// `writev(2)` of two pieces, to a file without places such as a pipe. Gives how many
    /// bytes were written.
    Write {
        /// The pipe.
        file: BorrowedFd<'a>,
        /// The first piece; may be empty.
        head: &'a [u8],
        /// The second piece.
        body: &'a [u8],
    },
    /// `fallocate(2)` that leaves the file's size alone. Gives 0.
    Allocate {
        /// The file.
        file: BorrowedFd<'a>,
        /// From where.
        offset: u64,
        /// How much.
        len: u64,
    },
    /// `ftruncate(2)`. Gives 0.
    Truncate {
        /// The file.
        file: BorrowedFd<'a>,
        /// Its new size.
        len: u64,
    },
    /// `fdatasync(2)`. Gives 0.
    Sync {
        /// The file.
        file: BorrowedFd<'a>,
    },
    /// Sets or clears `O_DIRECT` by `fcntl(2)`. Gives 0.
    SetDirect {
        /// The file.
        file: BorrowedFd<'a>,
        /// Set it, or clear it.
        on: bool,
    },
    /// `F_SETPIPE_SZ` of `fcntl(2)`. Gives the size that the pipe has now.
    SetPipeSize {
        /// Either end.
        pipe: BorrowedFd<'a>,
        /// The wanted size.
        len: usize,
    },
    /// `sendmsg(2)` of two pieces, which the kernel copies. Gives how many bytes it took. A
    /// peer that has gone is an error, not a signal.
    Send {
        /// A connected socket.
        socket: BorrowedFd<'a>,
        /// The first piece; may be empty.
        head: &'a [u8],
        /// The second piece.
        body: &'a [u8],
        /// More follows at once, so that no segment need be sent for this alone.
        more: bool,
    },
    /// `sendmsg(2)` with `MSG_ZEROCOPY`. Gives how many bytes the kernel took.
    ///
    /// It goes on reading them, also after an unmapping, until a [`Completion`] tells
    /// otherwise; a caller that rewrites them before hands on other bytes and does no harm
    /// to memory.
    SendPages {
        /// A socket after [`Call::SetZeroCopy`].
        socket: BorrowedFd<'a>,
        /// What to hand over.
        bytes: &'a [u8],
    },
    /// Reads one completion from the error queue of a socket; never waits. Gives 0.
    ReadCompletion {
        /// The socket.
        socket: BorrowedFd<'a>,
        /// Where it goes; left alone if there is none, which is `EAGAIN`.
        found: &'a Cell<Option<Completion>>,
    },
    /// `SO_ZEROCOPY` of `setsockopt(2)`. Gives 0.
    SetZeroCopy {
        /// The socket.
        socket: BorrowedFd<'a>,
    },
    /// `poll(2)` until the socket takes bytes, or is broken. Gives 0.
    AwaitRoom {
        /// The socket.
        socket: BorrowedFd<'a>,
    },
    /// `poll(2)` until there is a completion, or the socket is broken. Gives 1 if both
    /// directions are closed, else 0.
    AwaitCompletion {
        /// The socket.
        socket: BorrowedFd<'a>,
    },
    /// `SO_ERROR` of `getsockopt(2)`: what has broken the socket is the error of this call.
    /// Gives 0 if nothing has.
    TakeError {
        /// The socket.
        socket: BorrowedFd<'a>,
    },
    /// `shutdown(2)` of the direction to the peer. Gives 0.
    EndSending {
        /// The socket.
        socket: BorrowedFd<'a>,
    },
}

/// Who carries out [`Call`]s.
pub trait Calls: Send {
    /// Carries out one; what it gives is said there.
    fn call(&mut self, call: Call<'_>) -> Result<usize, Errno>;
}

/// The running kernel.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kernel;

impl Calls for Kernel {
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
    // SAFETY: the pages are lent without SPLICE_F_GIFT, so they stay ours and the kernel
    // only reads them. It does so through references of its own: neither a rewritten nor an
    // unmapped page can make it touch memory of anything else.
    unsafe { rustix::pipe::vmsplice(pipe, &[IoSliceRaw::from_slice(bytes)], SpliceFlags::empty()) }
}

fn send(socket: BorrowedFd<'_>, pieces: &[IoSlice<'_>], flags: SendFlags) -> Result<usize, Errno> {
    sendmsg(socket, pieces, &mut SendAncillaryBuffer::default(), flags)
}

/// Waits for one of `wanted`, or for what is always told: errors and the end.
fn await_any(socket: BorrowedFd<'_>, wanted: PollFlags) -> Result<PollFlags, Errno> {
    let mut polled = [PollFd::from_borrowed_fd(socket, wanted)];
    poll(&mut polled, None)?;
    Ok(polled[0].revents())
}
