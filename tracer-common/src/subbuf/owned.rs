//! Ownership of a sub-buffer as a value.

/// The right to one sub-buffer: whoever holds the value owns the sub-buffer.
///
/// It can be neither copied nor cloned. The protocol's functions take it where ownership is
/// given up and return it where it is gained, so in code that only passes these values on,
/// no sub-buffer can have two owners.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "dropping it loses the sub-buffer"]
pub struct OwnedIndex(u16);

impl OwnedIndex {
    /// Claims sub-buffer `index`, which nobody else must own: for setting up a table, and
    /// for a side that keeps its index in shared memory. Everything else gets ownership
    /// from the protocol.
    #[inline]
    pub const fn claim(index: u16) -> Self {
        Self(index)
    }

    /// Which of the N + 1 sub-buffers it is.
    #[inline]
    #[must_use]
    pub const fn get(&self) -> u16 {
        self.0
    }
}
