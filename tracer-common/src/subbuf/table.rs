//! The protocol over all slots of a stream.

use crate::subbuf::{OwnedIndex, Positions, SlotWord, slot};
use crate::sync::{AtomicU64, Ordering};

/// What the writer does if no slot is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Stop: the newest events are lost.
    Discard,
    /// Overwrite the oldest packet: a flight recorder.
    Overwrite,
}

/// In discard mode: every slot has a packet that the reader has not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A sub-buffer that the writer has entered.
#[derive(Debug, PartialEq, Eq)]
pub struct Entered {
    /// The sub-buffer, owned by the writer until it commits.
    pub owned: OwnedIndex,
    /// Position of the packet to write into it.
    pub position: u64,
    /// Its old content is a packet that was not taken, at `position - N`.
    pub overwrites: bool,
}

/// Why the reader does not get a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotNow {
    /// The writer overwrites the packet or has done so: ask again, from
    /// [`consumed`](Positions::consumed), which is after it now.
    Again,
    /// The packet is not committed yet.
    Empty,
    /// The packet will never be committed: the stream ended before it.
    Finished,
}

/// The state shared by writer and reader of a stream, in any memory.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    /// The counters.
    pub positions: &'a Positions,
    /// The words of the N slots; at least 1 and at most 65535.
    pub slots: &'a [AtomicU64],
}

impl Table<'_> {
    /// Fills the slots with sub-buffers 0 to N - 1, and returns sub-buffer N, the reader's
    /// first spare. Call it once, before the table is shared.
    pub fn init(self) -> OwnedIndex {
        for (index, slot) in (0..).zip(self.slots) {
            // Relaxed: published by passing the table to another thread.
            slot.store(SlotWord::empty(index).bits(), Ordering::Relaxed);
        }
        OwnedIndex::claim(self.slots.len() as u16)
    }

    #[inline]
    fn slot(&self, position: u64) -> &AtomicU64 {
        &self.slots[(position % self.slots.len() as u64) as usize]
    }

    /// Writer: enters the slot of the next packet. It has to [commit](Self::commit) the packet
    /// before it enters again.
    ///
    /// # Errors
    /// In discard mode, if the reader has not taken the packet in that slot.
    #[inline]
    pub fn enter(self, mode: Mode) -> Result<Entered, Full> {
        let position = self.positions.own_written();
        let slots = self.slots.len() as u64;
        if position.wrapping_sub(self.positions.consumed()) >= slots {
            match mode {
                Mode::Discard => return Err(Full),
                // Before the slot is entered, so that a reader that is turned away there knows
                // where to continue.
                Mode::Overwrite => self.positions.push_consumed(position - slots + 1),
            }
        }
        let (owned, overwrites) = slot::enter(self.slot(position));
        Ok(Entered {
            owned,
            position,
            overwrites,
        })
    }

    /// Writer: makes the packet in the sub-buffer that it has entered available to the reader.
    /// Returns its position.
    #[inline]
    #[allow(clippy::must_use_candidate)]
    pub fn commit(self, owned: OwnedIndex) -> u64 {
        let position = self.positions.own_written();
        slot::commit(self.slot(position), position, owned);
        self.positions.publish_written(position + 1);
        position
    }

    /// Reader: checks that the packet at `position` is committed; it may be overwritten since.
    ///
    /// # Errors
    /// [`NotNow::Empty`] if it is not committed yet, [`NotNow::Finished`] if it never will be.
    #[inline]
    pub fn look(self, position: u64) -> Result<(), NotNow> {
        let (written, is_final) = self.positions.load_written();
        if position < written {
            Ok(())
        } else if is_final {
            Err(NotNow::Finished)
        } else {
            Err(NotNow::Empty)
        }
    }

    /// Reader: exchanges its own sub-buffer, the spare, for the packet at `position`, without
    /// changing `consumed`. Never waits.
    ///
    /// # Errors
    /// If the packet is not available; nothing changes.
    #[inline]
    pub fn get(self, position: u64, own: &mut OwnedIndex) -> Result<(), NotNow> {
        self.look(position)?;
        if slot::exchange(self.slot(position), position, own) {
            Ok(())
        } else {
            Err(NotNow::Again)
        }
    }

    /// Reader: marks all packets up to and including `position` as taken; in discard mode the
    /// writer may then use their slots.
    #[inline]
    pub fn consume(self, position: u64) {
        self.positions.push_consumed(position + 1);
    }

    /// Reader: puts its own sub-buffer, the packet that it took from `position` and has not
    /// [consumed](Self::consume), back into the slot and takes its spare, with the index `left`,
    /// again. False if the writer has taken the slot: the packet counts as overwritten, and its
    /// sub-buffer is the reader's new spare.
    #[inline]
    #[must_use]
    pub fn put_back(self, position: u64, own: &mut OwnedIndex, left: u16) -> bool {
        slot::put_back(self.slot(position), position, own, left)
    }
}
