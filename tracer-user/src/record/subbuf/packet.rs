//! What is in a sub-buffer.

use std::io::IoSlice;

use crate::record::pool::PageRun;

/// A closed packet with its pages.
///
/// In a sub-buffer it belongs to the owner of the sub-buffer; detached from it, to the holder
/// of the value, who must give the pages back to their pool.
#[derive(Debug)]
pub struct Packet {
    pub(super) run: PageRun,
    pub(super) sequence: u64,
    pub(super) content_len: usize,
    pub(super) len: usize,
    pub(super) events: u64,
    pub(super) classes: Vec<ClassCount>,
    pub(super) discarded_before: u64,
}

/// How many events of a class there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassCount {
    /// The class.
    pub class: u32,
    /// Its events.
    pub events: u64,
}

impl Packet {
    /// Pages without a packet.
    pub(super) fn blank(run: PageRun) -> Self {
        Self {
            run,
            sequence: 0,
            content_len: 0,
            len: 0,
            events: 0,
            classes: Vec::new(),
            discarded_before: 0,
        }
    }

    /// Number of the packet in its stream, from 0; packets that were overwritten are
    /// counted, too (`packet_seq_num`).
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Bytes up to the end of the last event, header included.
    #[must_use]
    pub fn content_len(&self) -> usize {
        self.content_len
    }

    /// Bytes of the packet, padding included.
    #[must_use]
    pub fn packet_len(&self) -> usize {
        self.len
    }

    /// Events in the packet.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Events of each class that the packet has events of.
    #[must_use]
    pub fn classes(&self) -> &[ClassCount] {
        &self.classes
    }

    /// Events that the stream had lost when the packet before this one was closed.
    #[must_use]
    pub fn discarded_before(&self) -> u64 {
        self.discarded_before
    }

    /// The first page, which starts with the packet's header.
    #[must_use]
    pub fn header(&self) -> &[u8] {
        self.run.header()
    }

    /// The packet where it lies, padding included, for `vmsplice` and `writev`.
    #[must_use]
    pub fn io_slices(&self) -> Vec<IoSlice<'_>> {
        self.run.io_slices(self.len)
    }

    /// Copies the bytes at `offset` of the packet to `bytes`.
    ///
    /// # Panics
    /// If the pages end before.
    pub fn read_at(&mut self, offset: usize, bytes: &mut [u8]) {
        self.run.read_at(offset, bytes);
    }

    /// Its pages, to be given back to the pool when nothing reads them.
    #[must_use]
    pub fn into_run(self) -> PageRun {
        self.run
    }
}
