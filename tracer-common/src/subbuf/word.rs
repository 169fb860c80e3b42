//! The word that describes the content of a slot.

const INDEX_BITS: u32 = 16;
const NOREF: u64 = 1 << INDEX_BITS;
const TAG_SHIFT: u32 = INDEX_BITS + 1;

/// The content of a slot in one word, so that one compare-and-swap changes all of it:
///
/// | bits | meaning |
/// |---|---|
/// | 0–15 | index of the sub-buffer that is in the slot |
/// | 16 | NOREF: the writer holds no reference |
/// | 17–63 | tag: position + 1 of the packet in the sub-buffer; 0: none |
///
/// LTTng packs the same three (`subbuffer_id`, with `offset` as the tag).
///
/// # Why the tag
/// Index and NOREF alone are open to ABA. The reader decides on packet 3 and loads `(index
/// 0, NOREF)`; before its compare-and-swap the writer wraps around, overwrites the same
/// sub-buffer and commits it as packet 3 + N: `(index 0, NOREF)` again. The exchange would
/// succeed with a complete packet that is not the requested one, and older packets would come out
/// after it. With the tag, each commit stores a word that the slot never had before, and an
/// exchange clears the tag, so a word repeats only after 2^47 packets between a load and the
/// compare-and-swap that follows it.
///
/// The writer keeps the tag when it enters and replaces it when it commits. So while a packet is
/// overwritten, the word still has its tag, and only NOREF turns the reader away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct SlotWord(u64);

impl SlotWord {
    /// A sub-buffer without a packet, which the writer may enter: a new one, or the spare left
    /// by the reader.
    #[inline]
    #[must_use]
    pub const fn empty(index: u16) -> Self {
        Self(NOREF | index as u64)
    }

    /// A committed packet.
    #[inline]
    #[must_use]
    pub const fn full(position: u64, index: u16) -> Self {
        Self((position + 1) << TAG_SHIFT | NOREF | index as u64)
    }

    /// The same word, with the reference of the writer.
    #[inline]
    #[must_use]
    pub const fn referenced(self) -> Self {
        Self(self.0 & !NOREF)
    }

    /// From the stored number.
    #[inline]
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The number to store.
    #[inline]
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Index of the sub-buffer in the slot.
    #[inline]
    #[must_use]
    pub const fn index(self) -> u16 {
        self.0 as u16
    }

    /// True if the writer does not hold a reference.
    #[inline]
    #[must_use]
    pub const fn is_noref(self) -> bool {
        self.0 & NOREF != 0
    }

    /// True if the sub-buffer has a packet, or had one that is being overwritten.
    #[inline]
    #[must_use]
    pub const fn has_packet(self) -> bool {
        self.0 >> TAG_SHIFT != 0
    }

    /// True if the sub-buffer has the packet at `position`, committed or being overwritten.
    #[inline]
    #[must_use]
    pub const fn is_tagged(self, position: u64) -> bool {
        self.0 >> TAG_SHIFT == (position + 1) & (u64::MAX >> TAG_SHIFT)
    }
}

#[cfg(all(test, not(tracer_loom)))]
mod tests {
    use super::*;

    const MANY: u64 = (1 << 47) - 2;

    #[test]
    fn a_full_word_has_all_three_parts() {
        let word = SlotWord::full(MANY, u16::MAX);
        assert_eq!(
            (word.index(), word.is_noref(), word.is_tagged(MANY)),
            (u16::MAX, true, true)
        );
    }

    #[test]
    fn an_empty_word_is_tagged_with_no_position() {
        let word = SlotWord::empty(7);
        assert!(!word.has_packet() && !word.is_tagged(0) && !word.is_tagged(MANY));
    }

    #[test]
    fn a_reference_changes_nothing_but_noref() {
        let word = SlotWord::full(5, 3).referenced();
        assert_eq!(
            (word.index(), word.is_noref(), word.is_tagged(5)),
            (3, false, true)
        );
    }

    #[test]
    fn the_next_lap_has_another_word() {
        assert_ne!(SlotWord::full(1, 0), SlotWord::full(1 + 4, 0));
    }
}
