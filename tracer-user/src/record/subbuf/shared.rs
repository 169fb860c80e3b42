//! What writer and reader share: the protocol's words, and the sub-buffers.
#![allow(unsafe_code)]

use tracer_common::subbuf::{OwnedIndex, Positions, Table};
use tracer_common::sync::{AtomicU64, UnsafeCell};

use crate::record::pool::PageRun;
use crate::record::subbuf::Packet;

/// The memory of one stream's buffer.
#[derive(Debug)]
pub(super) struct Shared {
    positions: Positions,
    slots: Box<[AtomicU64]>,
    sub_buffers: Box<[UnsafeCell<Packet>]>,
}

// SAFETY: a sub-buffer is accessed by the thread that holds its `OwnedIndex` alone. The
// protocol hands these on with release and acquire, so that what one owner did comes before
// what the next one does. `Packet` itself may change threads.
unsafe impl Sync for Shared {}

impl Shared {
    /// With one slot fewer than there are runs. Returns also the reader's spare.
    pub(super) fn new(runs: Vec<PageRun>) -> (Self, OwnedIndex) {
        let shared = Self {
            positions: Positions::new(),
            slots: (1..runs.len()).map(|_| AtomicU64::new(0)).collect(),
            sub_buffers: runs
                .into_iter()
                .map(|run| UnsafeCell::new(Packet::blank(run)))
                .collect(),
        };
        let spare = shared.table().init();
        (shared, spare)
    }

    pub(super) fn table(&self) -> Table<'_> {
        Table {
            positions: &self.positions,
            slots: &self.slots,
        }
    }

    pub(super) fn sub_buffer<'a>(&'a self, owned: &'a OwnedIndex) -> &'a Packet {
        // SAFETY: in this module such values come from this table's protocol only, which has
        // one per sub-buffer; that one is borrowed for as long as the reference lives.
        self.sub_buffers[usize::from(owned.get())].with(|packet| unsafe { &*packet })
    }

    pub(super) fn sub_buffer_mut<'a>(&'a self, owned: &'a mut OwnedIndex) -> &'a mut Packet {
        // SAFETY: as above, and exclusively borrowed.
        self.sub_buffers[usize::from(owned.get())].with_mut(|packet| unsafe { &mut *packet })
    }
}
