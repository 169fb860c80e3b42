//! A pipe of one's own, through which pages go to a file.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::pipe::PipeFlags;

use crate::sys::output::{Call, Calls};

/// A pipe that knows how much is in it. Dropped, it lets go of all pages that are.
#[derive(Debug)]
pub(super) struct Conduit {
    read_end: OwnedFd,
    write_end: OwnedFd,
    /// Bytes in the pipe.
    filled: usize,
}

impl Conduit {
    /// A pipe for `wanted` bytes, or as many as the limits of this user allow: one packet
    /// then takes several rounds. (Above `/proc/sys/fs/pipe-max-size` a pipe needs
    /// `CAP_SYS_RESOURCE`; above `pipe-user-pages-soft` pages in all pipes of a user, it
    /// stays as small as it is.)
    pub(super) fn new(calls: &mut impl Calls, wanted: usize) -> Result<Self, Errno> {
        let (read_end, write_end) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        let has = rustix::pipe::fcntl_getpipe_size(&write_end)?;
        let mut size = wanted;
        while size > has {
            let call = Call::SetPipeSize {
                pipe: write_end.as_fd(),
                len: size,
            };
            if calls.call(call).is_ok() {
                break;
            }
            size /= 2;
        }
        Ok(Self {
            read_end,
            write_end,
            filled: 0,
        })
    }

    /// Bytes in the pipe.
    pub(super) fn filled(&self) -> usize {
        self.filled
    }

    /// Puts in the first of `bytes`, as many as fit; the pipe must be empty, or this would
    /// wait for a reader that there is not.
    pub(super) fn fill(&mut self, calls: &mut impl Calls, bytes: &[u8]) -> Result<(), Errno> {
        debug_assert_eq!(self.filled, 0);
        self.filled = calls.call(Call::Vmsplice {
            pipe: self.write_end.as_fd(),
            bytes,
        })?;
        if self.filled == 0 {
            return Err(Errno::IO);
        }
        Ok(())
    }

    /// Moves what is in the pipe to `offset` of `file`, or the first of it; gives the number
    /// of bytes moved.
    pub(super) fn empty(
        &mut self,
        calls: &mut impl Calls,
        file: BorrowedFd<'_>,
        offset: u64,
    ) -> Result<usize, Errno> {
        let moved = calls.call(Call::Splice {
            pipe: self.read_end.as_fd(),
            file,
            offset,
            len: self.filled,
        })?;
        self.filled -= moved;
        Ok(moved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::sink::faults::Faults;
    use crate::sys::output::KernelCalls;

    #[test]
    fn a_pipe_has_the_size_of_a_packet() {
        let conduit = Conduit::new(&mut KernelCalls, 256 << 10).unwrap();
        let size = rustix::pipe::fcntl_getpipe_size(&conduit.write_end).unwrap();
        assert_eq!(size, 256 << 10);
    }

    #[test]
    fn a_pipe_grows_as_far_as_it_may() {
        let mut limited = Faults::new(|call| match call {
            Call::SetPipeSize { len, .. } if *len > 128 << 10 => Some(Err(Errno::PERM)),
            _ => None,
        });
        let conduit = Conduit::new(&mut limited, 1 << 20).unwrap();
        let size = rustix::pipe::fcntl_getpipe_size(&conduit.write_end).unwrap();
        assert_eq!(size, 128 << 10);
    }
}
