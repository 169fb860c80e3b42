//! The consuming side of a BPF ring buffer.
//!
//! Layout and protocol are those of the kernel's `kernel/bpf/ringbuf.c`: a page with the
//! consumer's position, a page with the producer's, then the data, mapped twice in a row
//! so that a record never wraps. Aya's ring hands out one record at a time and publishes
//! its position after each; here a whole batch is walked and published once.
#![allow(unsafe_code)]

mod cpu;

use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::sys::memory::MemoryMap;
use crate::sys::{bpf, page_size};

pub use cpu::CpuStates;

/// Set in a record's length while a program still writes it (`BPF_RINGBUF_BUSY_BIT`).
const BUSY: u32 = 1 << 31;
/// Set in a record's length when it was given back (`BPF_RINGBUF_DISCARD_BIT`).
const DISCARDED: u32 = 1 << 30;
/// Bytes before each record (`BPF_RINGBUF_HDR_SZ`).
const RECORD_HEADER_LEN: u64 = 8;
/// The place of a batch is given back to the programs at the latest after this many bytes.
const PUBLISH_BYTES: u64 = 128 * 1024;

/// A BPF ring and its one consumer.
#[derive(Debug)]
pub struct Ring {
    map: OwnedFd,
    consumer: MemoryMap,
    producer_and_data: MemoryMap,
    data_len: u64,
    position: u64,
}

impl Ring {
    /// Creates a ring with `bytes` of data, a power of two of whole pages.
    pub fn create(bytes: u32) -> io::Result<Self> {
        let map = bpf::create_ring(bytes)?;
        let page = page_size();
        let consumer = MemoryMap::of_file(map.as_fd(), 0, page, true)?;
        let producer_and_data =
            MemoryMap::of_file(map.as_fd(), page, page + 2 * bytes as usize, false)?;
        Ok(Self {
            map,
            consumer,
            producer_and_data,
            data_len: u64::from(bytes),
            position: 0,
        })
    }

    /// Bytes of data that the ring holds.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.data_len
    }

    /// Hands the finished records that are there now to `take`, oldest first, and gives
    /// their place back. Stops early at a record that is still being written, and at one
    /// that `take` breaks at: that one stays in the ring. Returns the bytes of ring that were
    /// consumed, or breaks with them.
    pub fn consume(
        &mut self,
        mut take: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> ControlFlow<u64, u64> {
        let start = self.position;
        let mut published = start;
        let mut refused = false;
        // Acquire: pairs with the release store of `producer_pos` in `__bpf_ringbuf_reserve`;
        // headers of records before it are initialised.
        let end = self.producer_position().load(Ordering::Acquire);
        while self.position != end {
            let offset = self.position & (self.data_len - 1);
            // Acquire: pairs with the `xchg` of the header in `bpf_ringbuf_commit`; the
            // record's bytes are written when the busy bit is gone.
            let header = self.record_header(offset).load(Ordering::Acquire);
            if header & BUSY != 0 {
                break;
            }
            let len = u64::from(header & !DISCARDED);
            if header & DISCARDED == 0
                && take(self.record(offset + RECORD_HEADER_LEN, len)).is_break()
            {
                refused = true;
                break;
            }
            self.position += (RECORD_HEADER_LEN + len).next_multiple_of(8);
            if self.position - published >= PUBLISH_BYTES {
                self.publish();
                published = self.position;
            }
        }
        if self.position != published {
            self.publish();
        }
        let consumed = self.position - start;
        if refused {
            ControlFlow::Break(consumed)
        } else {
            ControlFlow::Continue(consumed)
        }
    }

    fn publish(&self) {
        // Release: pairs with the acquire load of `consumer_pos` in `__bpf_ringbuf_reserve`;
        // our reads of the records come before they are overwritten.
        self.consumer_position()
            .store(self.position, Ordering::Release);
    }

    fn consumer_position(&self) -> &AtomicU64 {
        // SAFETY: the mapping starts with the position, page-aligned, shared with the kernel.
        unsafe { &*self.consumer.as_ptr().cast() }
    }

    fn producer_position(&self) -> &AtomicU64 {
        // SAFETY: as above; the mapping is read-only and the kernel alone writes it.
        unsafe { &*self.producer_and_data.as_ptr().cast() }
    }

    fn data(&self) -> *const u8 {
        // SAFETY: one page behind the start of a mapping that is longer.
        unsafe { self.producer_and_data.as_ptr().add(page_size()) }
    }

    fn record_header(&self, offset: u64) -> &AtomicU32 {
        // SAFETY: `offset` is below the data's length and a multiple of 8.
        unsafe { &*self.data().add(offset as usize).cast() }
    }

    fn record(&self, offset: u64, len: u64) -> &[u8] {
        // SAFETY: a record is no longer than the data, which is mapped twice; the kernel
        // leaves it alone until its place is published.
        unsafe { std::slice::from_raw_parts(self.data().add(offset as usize), len as usize) }
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.map.as_fd()
    }
}
