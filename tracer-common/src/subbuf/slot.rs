//! Operations of writer and reader on the word of one slot.
//!
//! Plain functions over one atomic. Each either changes the slot in one step or leaves it
//! unchanged. [`Table`](super::Table) selects the slot.

use crate::subbuf::{OwnedIndex, SlotWord};
use crate::sync::{AtomicU64, Ordering};

/// Writer: takes a reference to the current sub-buffer of the slot by clearing NOREF. Returns
/// it, and whether that overwrites a packet that was not taken.
///
/// LTTng: `lib_ring_buffer_clear_noref`. The loop ends: a compare-and-swap can fail only
/// because the reader has exchanged or put back, which it does once per packet.
#[inline]
pub fn enter(slot: &AtomicU64) -> (OwnedIndex, bool) {
    // Relaxed: a guess, which the compare-and-swap confirms.
    let mut word = SlotWord::from_bits(slot.load(Ordering::Relaxed));
    // Success, acquire: pairs with the release in `exchange` and `put_back`; the reader's reads
    // of the sub-buffer that it left here come before we overwrite it.
    // Success, release: pairs with the acquire in `exchange`; a reader that is turned away
    // by this word sees the `consumed` that we pushed before.
    // Failure, relaxed: a better guess.
    while let Err(now) = slot.compare_exchange(
        word.bits(),
        word.referenced().bits(),
        Ordering::AcqRel,
        Ordering::Relaxed,
    ) {
        word = SlotWord::from_bits(now);
    }
    (OwnedIndex::claim(word.index()), word.has_packet())
}

/// Writer: releases the sub-buffer that it has entered, which now has the packet at `position`,
/// by setting NOREF and the tag of the packet.
///
/// LTTng: `lib_ring_buffer_set_noref_offset`. A store is enough: the reader does not change a
/// word without NOREF.
#[inline]
#[expect(clippy::needless_pass_by_value, reason = "ownership is given up")]
pub fn commit(slot: &AtomicU64, position: u64, owned: OwnedIndex) {
    let word = SlotWord::full(position, owned.get());
    // Release: pairs with the acquire in `exchange`; the packet is complete before it can
    // be taken.
    slot.store(word.bits(), Ordering::Release);
}

/// Reader: if the packet at `position` is there and the writer does not hold a reference, takes
/// it and leaves its own sub-buffer, the spare, in its place; `own` is then the sub-buffer of the
/// packet. Otherwise nothing changes.
///
/// LTTng: `update_read_sb_index`, called by `lib_ring_buffer_get_subbuf`.
#[inline]
#[must_use]
pub fn exchange(slot: &AtomicU64, position: u64, own: &mut OwnedIndex) -> bool {
    // Acquire: pairs with the release in `commit`; the whole packet is visible. Pairs also
    // with the release in `enter`: see there.
    let word = SlotWord::from_bits(slot.load(Ordering::Acquire));
    if !word.is_noref() || !word.is_tagged(position) {
        return false;
    }
    // Success, release: pairs with the acquire in `enter`; our reads of the spare, when it was
    // a packet, come before the writer's next packet. It need not acquire: a tagged word is
    // stored once, so the value that is exchanged is the one that was loaded.
    // Failure, acquire: pairs with the release in `enter`, as for the load.
    let exchanged = slot.compare_exchange(
        word.bits(),
        SlotWord::empty(own.get()).bits(),
        Ordering::Release,
        Ordering::Acquire,
    );
    if exchanged.is_ok() {
        *own = OwnedIndex::claim(word.index());
    }
    exchanged.is_ok()
}

/// Reader: if the writer has not entered the sub-buffer `left` that was left in the slot, puts
/// its own sub-buffer, the packet that it took from `position`, back there; `own` is then `left`.
/// Otherwise nothing changes, and only the reader has the packet: it counts as overwritten.
///
/// LTTng: `lib_ring_buffer_put_subbuf`, which exchanges once more.
#[inline]
#[must_use]
pub fn put_back(slot: &AtomicU64, position: u64, own: &mut OwnedIndex, left: u16) -> bool {
    // Success, release: pairs with the acquire in `enter`; our reads of the packet come before
    // the writer overwrites it. It need not acquire: `left` was not accessed.
    // Failure, relaxed: nothing is read through the word.
    // No ABA: only the reader stores an empty word, so if it is still there, the writer has not
    // entered in between.
    let exchanged = slot.compare_exchange(
        SlotWord::empty(left).bits(),
        SlotWord::full(position, own.get()).bits(),
        Ordering::Release,
        Ordering::Relaxed,
    );
    if exchanged.is_ok() {
        *own = OwnedIndex::claim(left);
    }
    exchanged.is_ok()
}

#[cfg(all(test, not(tracer_loom)))]
mod tests {
    use super::*;

    fn slot(word: SlotWord) -> AtomicU64 {
        AtomicU64::new(word.bits())
    }

    fn word(slot: &AtomicU64) -> SlotWord {
        SlotWord::from_bits(slot.load(Ordering::Relaxed))
    }

    fn spare() -> OwnedIndex {
        OwnedIndex::claim(9)
    }

    #[test]
    fn an_exchange_leaves_the_spare_without_a_packet() {
        let (slot, mut own) = (slot(SlotWord::full(4, 2)), spare());
        assert!(exchange(&slot, 4, &mut own));
        assert_eq!((own.get(), word(&slot)), (2, SlotWord::empty(9)));
    }

    #[test]
    fn a_packet_that_the_writer_overwrites_is_not_exchanged() {
        let (slot, mut own) = (slot(SlotWord::full(4, 2)), spare());
        assert_eq!(enter(&slot), (OwnedIndex::claim(2), true));
        assert!(!exchange(&slot, 4, &mut own));
        assert_eq!(own, spare());
    }

    #[test]
    fn another_packet_than_the_one_asked_for_is_not_exchanged() {
        let slot = slot(SlotWord::full(4, 2));
        assert!(!exchange(&slot, 1, &mut spare()));
        assert!(!exchange(&slot, 7, &mut spare()));
    }

    #[test]
    fn entering_a_spare_overwrites_nothing() {
        let slot = slot(SlotWord::empty(9));
        assert_eq!(enter(&slot), (OwnedIndex::claim(9), false));
    }

    #[test]
    fn a_commit_names_its_packet() {
        let slot = slot(SlotWord::empty(9));
        let (owned, _) = enter(&slot);
        commit(&slot, 5, owned);
        assert_eq!(word(&slot), SlotWord::full(5, 9));
    }

    #[test]
    fn a_packet_goes_back_if_the_spare_is_still_there() {
        let (slot, mut own) = (slot(SlotWord::empty(9)), OwnedIndex::claim(2));
        assert!(put_back(&slot, 4, &mut own, 9));
        assert_eq!((own.get(), word(&slot)), (9, SlotWord::full(4, 2)));
    }

    #[test]
    fn a_packet_does_not_go_back_over_a_later_one() {
        let (slot, mut own) = (slot(SlotWord::empty(9)), OwnedIndex::claim(2));
        let (owned, _) = enter(&slot);
        commit(&slot, 7, owned);
        assert!(!put_back(&slot, 4, &mut own, 9));
        assert_eq!((own.get(), word(&slot)), (2, SlotWord::full(7, 9)));
    }
}
