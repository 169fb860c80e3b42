//! The consumer side of the ring buffer of a perf event.
//!
//! Layout and protocol are described in `perf_event_open(2)` and the kernel's
//! `kernel/events/ring_buffer.c`: a page with both positions, then the data, in which records
//! wrap around the end.
#![allow(unsafe_code)]

use std::mem::offset_of;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::{io, ptr};

use aya_obj::generated::perf_event_mmap_page;

use crate::sys::memory::MemoryMap;
use crate::sys::page_size;

/// A ring buffer and its only consumer.
#[derive(Debug)]
pub struct PerfRing {
    event: OwnedFd,
    pages: MemoryMap,
    data_len: usize,
}

impl PerfRing {
    /// Maps a ring with `bytes` of data for `event`: a power of two, whole pages.
    pub fn new(event: OwnedFd, bytes: usize) -> io::Result<Self> {
        Ok(Self {
            pages: MemoryMap::of_file(event.as_fd(), 0, page_size() + bytes, true)?,
            event,
            data_len: bytes,
        })
    }

    /// Moves all records from the ring to the end of `records`.
    ///
    /// # Errors
    /// If the positions in the ring are inconsistent.
    pub fn take(&mut self, records: &mut Vec<u8>) -> io::Result<()> {
        // Relaxed: only we write it.
        let tail = self.tail().load(Ordering::Relaxed);
        // Acquire: pairs with the barrier before the kernel's store of `data_head` in
        // `perf_output_put_handle`; the records up to there are written.
        let head = self.head().load(Ordering::Acquire);
        let len = head.wrapping_sub(tail) as usize;
        if len > self.data_len {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("a ring of {} bytes cannot hold {len}", self.data_len),
            ));
        }
        let begin = tail as usize & (self.data_len - 1);
        let before_end = len.min(self.data_len - begin);
        self.copy(begin, before_end, records);
        self.copy(0, len - before_end, records);
        // Release: pairs with the kernel's load of `data_tail` in `__perf_output_begin`; the
        // copies are made before it writes there again.
        self.tail().store(head, Ordering::Release);
        Ok(())
    }

    /// Appends `len` bytes of data from `offset` on, which the kernel has released to us.
    fn copy(&self, offset: usize, len: usize, to: &mut Vec<u8>) {
        assert!(offset + len <= self.data_len);
        to.reserve(len);
        // SAFETY: the source is in the mapping, whose data starts after the first page, and the
        // kernel does not write there before `data_tail` has passed it; the target was just
        // reserved, and is initialised by the copy.
        unsafe {
            let from = self.pages.as_ptr().add(page_size() + offset);
            ptr::copy_nonoverlapping(from, to.as_mut_ptr().add(to.len()), len);
            to.set_len(to.len() + len);
        }
    }

    fn head(&self) -> &AtomicU64 {
        self.position(offset_of!(perf_event_mmap_page, data_head))
    }

    fn tail(&self) -> &AtomicU64 {
        self.position(offset_of!(perf_event_mmap_page, data_tail))
    }

    fn position(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: an aligned field of the first page, which lives as long as `self` and is
        // accessed only with atomic operations, here and in the kernel.
        unsafe { AtomicU64::from_ptr(self.pages.as_ptr().add(offset).cast()) }
    }
}

impl AsFd for PerfRing {
    /// Readable once the watermark of the event is reached.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}
