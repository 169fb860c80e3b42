//! The counters of a stream.

use crate::sync::{AtomicU64, Ordering};

/// Progress of writer and reader, in packets since recording started.
///
/// LTTng: `offset`, `consumed` and `finalized` of `lib_ring_buffer`, the first two divided
/// by the size of a sub-buffer. The word that only the writer stores and the word that both
/// store are on separate cache lines (128 bytes: processors fetch lines in pairs).
#[derive(Debug)]
#[repr(C)]
pub struct Positions {
    written: Line,
    consumed: Line,
}

#[derive(Debug)]
#[repr(C, align(128))]
struct Line(AtomicU64);

/// Bit of `written`: no packet follows.
const FINAL: u64 = 1 << 63;

impl Positions {
    /// Positions of a stream without packets.
    #[must_use]
    pub fn new() -> Self {
        Self {
            written: Line(AtomicU64::new(0)),
            consumed: Line(AtomicU64::new(0)),
        }
    }

    /// The position of the packet that the writer fills next or is filling; every packet
    /// before it is committed.
    #[inline]
    #[must_use]
    pub fn written(&self) -> u64 {
        self.load_written().0
    }

    /// As [`written`](Self::written), and whether the stream is final.
    #[inline]
    pub(super) fn load_written(&self) -> (u64, bool) {
        // Acquire: pairs with the release in `publish_written`; the slot of each packet
        // before it has that packet's word or a later one.
        let word = self.written.0.load(Ordering::Acquire);
        (word & !FINAL, word & FINAL != 0)
    }

    /// The writer's own view of `written`.
    #[inline]
    pub(super) fn own_written(&self) -> u64 {
        // Relaxed: only the writer stores it.
        self.written.0.load(Ordering::Relaxed) & !FINAL
    }

    #[inline]
    pub(super) fn publish_written(&self, position: u64) {
        // Release: pairs with the acquire in `load_written`; the packet's commit comes first.
        self.written.0.store(position, Ordering::Release);
    }

    /// Writer: ends the stream. LTTng: `finalized`, which is in the same word as the count here,
    /// so that a reader sees both at once.
    #[inline]
    pub fn finalize(&self) {
        // Release: as in `publish_written`, whose store this one replaces.
        let word = self.own_written() | FINAL;
        self.written.0.store(word, Ordering::Release);
    }

    /// The position of the oldest packet left to read: those before it are taken or
    /// overwritten.
    #[inline]
    #[must_use]
    pub fn consumed(&self) -> u64 {
        // Relaxed: the words of the slots say where the sub-buffers are, and their orderings
        // suffice. A stale value makes the writer stop too early, and makes the reader ask for a
        // packet that it does not get.
        self.consumed.0.load(Ordering::Relaxed)
    }

    /// Moves `consumed` forward to `target`, if it is before that: reader and writer may both
    /// push it, and it never goes back.
    ///
    /// LTTng: `lib_ring_buffer_move_consumer`, `lib_ring_buffer_reserve_push_reader`.
    #[inline]
    pub(super) fn push_consumed(&self, target: u64) {
        let mut consumed = self.consumed();
        while consumed < target {
            // Relaxed, both: see `consumed`. The word of the slot (`enter` and `exchange`)
            // makes the writer's push visible to a reader that was turned away.
            match self.consumed.0.compare_exchange(
                consumed,
                target,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(now) => consumed = now,
            }
        }
    }
}

impl Default for Positions {
    fn default() -> Self {
        Self::new()
    }
}

// The layout that another writer relies on.
#[cfg(not(tracer_loom))]
const _: () = {
    use core::mem::{offset_of, size_of};
    assert!(offset_of!(Positions, written) == 0);
    assert!(offset_of!(Positions, consumed) == 128);
    assert!(size_of::<Positions>() == 256);
};

#[cfg(all(test, not(tracer_loom)))]
mod tests {
    use super::*;

    #[test]
    fn consumed_never_goes_back() {
        let positions = Positions::new();
        positions.push_consumed(5);
        positions.push_consumed(3);
        assert_eq!(positions.consumed(), 5);
    }

    #[test]
    fn the_end_does_not_change_the_count() {
        let positions = Positions::new();
        positions.publish_written(3);
        positions.finalize();
        assert_eq!(positions.load_written(), (3, true));
    }
}
