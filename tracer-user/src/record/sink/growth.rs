//! Space for a file before it is written.

use std::os::fd::BorrowedFd;

use rustix::io::Errno;

use crate::record::sink::direct::is_in_memory;
use crate::sys::output::{Call, Calls};

/// The first piece, in bytes: a short recording on many CPUs takes no more of the disk.
const FIRST_STEP: u64 = 1 << 20;

/// The largest piece, in bytes.
const LARGEST_STEP: u64 = 16 << 20;

/// Allocates ahead of the packets, in pieces that grow with the file. The file's size is
/// not touched: a reader sees only packets, meanwhile and after a crash.
#[derive(Debug)]
pub(super) struct Growth {
    /// Up to where the file has space, in bytes; `None` once that cannot be had.
    allocated: Option<u64>,
}

impl Growth {
    pub(super) fn new(file: BorrowedFd<'_>) -> Self {
        Self {
            // Memory is given page by page; there is nothing to gain.
            allocated: (!is_in_memory(file)).then_some(0),
        }
    }

    /// Allocates space for the bytes from `start` to `end`, and some more. A failure is not an
    /// error: the write will report it.
    pub(super) fn make_room(
        &mut self,
        calls: &mut impl Calls,
        file: BorrowedFd<'_>,
        start: u64,
        end: u64,
    ) {
        let Some(allocated) = self.allocated else {
            return;
        };
        if end <= allocated {
            return;
        }
        let from = allocated.max(start);
        let to = end + end.clamp(FIRST_STEP, LARGEST_STEP);
        let call = Call::Allocate {
            file,
            offset: from,
            len: to - from,
        };
        match calls.call(call) {
            Ok(_) => self.allocated = Some(to),
            Err(Errno::INTR) => {}
            // No fallocate here, or not so much space: the last packets that fit get in
            // without.
            Err(_) => self.allocated = None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd;

    use super::*;
    use crate::record::sink::faults::Faults;

    /// The pieces asked for while a file grows by `packets` packets of `len` bytes.
    fn pieces(packets: u64, len: u64, answer: Result<usize, Errno>) -> Vec<(u64, u64)> {
        let file = File::open("/").unwrap();
        let mut growth = Growth { allocated: Some(0) };
        let mut pieces = Vec::new();
        let mut calls = Faults::new(|call| {
            if let Call::Allocate { offset, len, .. } = call {
                pieces.push((*offset, *len));
            }
            Some(answer)
        });
        for packet in 0..packets {
            growth.make_room(&mut calls, file.as_fd(), packet * len, (packet + 1) * len);
        }
        pieces
    }

    #[test]
    fn pieces_follow_each_other_and_grow() {
        const MIB: u64 = 1 << 20;
        let pieces = pieces(64, MIB, Ok(0));
        assert_eq!(
            pieces[..3],
            [(0, 2 * MIB), (2 * MIB, 4 * MIB), (6 * MIB, 8 * MIB)]
        );
        assert!(pieces.iter().all(|(_, len)| *len <= LARGEST_STEP + MIB));
    }

    #[test]
    fn where_it_is_refused_it_is_not_asked_for_again() {
        assert_eq!(pieces(4, FIRST_STEP, Err(Errno::OPNOTSUPP)).len(), 1);
        assert_eq!(pieces(4, FIRST_STEP, Err(Errno::NOSPC)).len(), 1);
    }

    #[test]
    fn an_interruption_is_not_a_refusal() {
        assert_eq!(pieces(4, FIRST_STEP, Err(Errno::INTR)).len(), 4);
    }
}
