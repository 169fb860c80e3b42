//! The reading side: taking full sub-buffers, one at a time.

use std::ops::{Deref, Range};
use std::sync::Arc;

use tracer_common::subbuf::{NotNow, OwnedIndex};

use crate::record::pool::PageRun;
use crate::record::subbuf::{ClassTotals, Packet, Shared};

/// Takes the packets of one stream, in order. There is one per stream.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    /// The spare, or the packet that is held.
    own: OwnedIndex,
    /// The slot of the packet that is held.
    peeked: Option<PeekedSlot>,
    stats: ReaderStats,
    overwritten: ClassTotals,
}

/// What was overwritten while the reader looked at it: the writer found the spare in its
/// place, so that these are not in the writer's counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReaderStats {
    /// Packets that were peeked at and could not be put back.
    pub overwritten_packets: u64,
    /// Events in them.
    pub overwritten_events: u64,
}

#[derive(Clone, Copy, Debug)]
struct PeekedSlot {
    position: u64,
    /// The sub-buffer that was left there.
    left: u16,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, spare: OwnedIndex) -> Self {
        Self {
            shared,
            own: spare,
            peeked: None,
            stats: ReaderStats::default(),
            overwritten: ClassTotals::default(),
        }
    }

    /// What was lost so far.
    #[must_use]
    pub fn stats(&self) -> ReaderStats {
        self.stats
    }

    /// The overwritten events by class.
    #[must_use]
    pub fn overwritten(&self) -> &ClassTotals {
        &self.overwritten
    }

    /// Takes the oldest packet; its slot is the writer's again at once. Never waits.
    ///
    /// # Errors
    /// [`NotNow::Again`] if the writer has just overwritten that packet: ask again at
    /// once, for the one that is the oldest now. [`NotNow::Empty`] if no packet is closed,
    /// [`NotNow::Finished`] if none will be.
    pub fn get(&mut self) -> Result<Taken<'_>, NotNow> {
        self.settle();
        let table = self.shared.table();
        let position = table.positions.consumed();
        table.get(position, &mut self.own)?;
        table.consume(position);
        Ok(Taken { reader: self })
    }

    /// Whether [`get`](Self::get) would not return [`NotNow::Empty`].
    #[must_use]
    pub fn has_news(&self) -> bool {
        let table = self.shared.table();
        table.look(table.positions.consumed()) != Err(NotNow::Empty)
    }

    /// Looks at the packet at `position` of [`positions`](Self::positions) without
    /// consuming it: for snapshots. Never waits.
    ///
    /// # Errors
    /// As [`get`](Self::get); after [`NotNow::Again`] the packet is overwritten, or taken.
    pub fn peek(&mut self, position: u64) -> Result<Peeked<'_>, NotNow> {
        self.settle();
        let left = self.own.get();
        self.shared.table().get(position, &mut self.own)?;
        self.peeked = Some(PeekedSlot { position, left });
        Ok(Peeked { reader: self })
    }

    /// Positions of the packets that wait: the oldest, and the one after the newest.
    #[must_use]
    pub fn positions(&self) -> Range<u64> {
        let positions = self.shared.table().positions;
        // In this order, so that the end is not before the start.
        let start = positions.consumed();
        start..positions.written().max(start)
    }

    /// Puts back the packet that was peeked at, if there is one; true if that worked.
    fn settle(&mut self) -> bool {
        let Some(PeekedSlot { position, left }) = self.peeked.take() else {
            return true;
        };
        let table = self.shared.table();
        let is_back = table.put_back(position, &mut self.own, left);
        if !is_back {
            self.stats.overwritten_packets += 1;
            let packet = self.shared.sub_buffer(&self.own);
            self.stats.overwritten_events += packet.events;
            self.overwritten.add(&packet.classes);
        }
        is_back
    }

    fn packet(&self) -> &Packet {
        self.shared.sub_buffer(&self.own)
    }

    fn packet_mut(&mut self) -> &mut Packet {
        self.shared.sub_buffer_mut(&mut self.own)
    }
}

/// A packet that was taken: the holder's alone, and complete.
#[derive(Debug)]
#[must_use = "the packet is lost if it goes to no sink"]
pub struct Taken<'r> {
    reader: &'r mut Reader,
}

impl Taken<'_> {
    /// Copies the bytes at `offset` of the packet to `bytes`.
    ///
    /// # Panics
    /// If the pages end before.
    pub fn read_at(&mut self, offset: usize, bytes: &mut [u8]) {
        self.reader.packet_mut().read_at(offset, bytes);
    }

    /// Packets that wait after this one, and how many can.
    #[must_use]
    pub fn backlog(&self) -> (u64, u64) {
        let positions = self.reader.positions();
        let slots = self.reader.shared.table().slots.len() as u64;
        (positions.end - positions.start, slots)
    }

    /// Gives the sub-buffer up when the sink is done with its pages: it becomes the spare
    /// that the reader exchanges next.
    pub fn put(self) {}

    /// As [`put`](Self::put), when the sink is not done: the packet leaves with its pages,
    /// and the spare gets others.
    ///
    /// # Panics
    /// If `spare` has another size.
    #[must_use = "the pages have to go back to their pool"]
    pub fn detach(self, spare: PageRun) -> Packet {
        let packet = self.reader.packet_mut();
        assert_eq!(spare.len(), packet.run.len(), "a run of another size");
        std::mem::replace(packet, Packet::blank(spare))
    }
}

impl Deref for Taken<'_> {
    type Target = Packet;

    fn deref(&self) -> &Packet {
        self.reader.packet()
    }
}

/// A packet that is looked at, and does not change meanwhile. Dropped, it goes back.
#[derive(Debug)]
#[must_use = "it was taken for nothing"]
pub struct Peeked<'r> {
    reader: &'r mut Reader,
}

impl Peeked<'_> {
    /// Copies the bytes at `offset` of the packet to `bytes`.
    ///
    /// # Panics
    /// If the pages end before.
    pub fn read_at(&mut self, offset: usize, bytes: &mut [u8]) {
        self.reader.packet_mut().read_at(offset, bytes);
    }

    /// The first page, to write. Whoever reads the packet next sees what is left there.
    #[must_use]
    pub fn header_mut(&mut self) -> &mut [u8] {
        self.reader.packet_mut().run.header_mut()
    }

    /// Puts the packet back to where it was. False where the writer has been there
    /// meanwhile: it went over the spare instead, and the packet is lost to everybody else.
    #[must_use]
    pub fn put_back(self) -> bool {
        self.reader.settle()
    }
}

impl Deref for Peeked<'_> {
    type Target = Packet;

    fn deref(&self) -> &Packet {
        self.reader.packet()
    }
}

impl Drop for Peeked<'_> {
    fn drop(&mut self) {
        // Whether it went back is for those who ask.
        let _ = self.reader.settle();
    }
}
