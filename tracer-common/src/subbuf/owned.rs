//! Ownership of a sub-buffer as a value.

/// The ownership of one sub-buffer: the holder of the value owns the sub-buffer.
///
/// It can be neither copied nor cloned. The functions of the protocol take it to give up
/// ownership and return it to transfer ownership to the caller, so a sub-buffer cannot have two
/// owners in code that only passes these values on.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "dropping it loses the sub-buffer"]
pub struct OwnedIndex(u16);

impl OwnedIndex {
    /// Claims sub-buffer `index`, which must not have another owner: to set up a table, and for
    /// a side that keeps its index in shared memory. Otherwise, ownership comes from the
    /// protocol.
    #[inline]
    pub const fn claim(index: u16) -> Self {
        Self(index)
    }

    /// The index of the sub-buffer, of N + 1.
    #[inline]
    #[must_use]
    pub const fn get(&self) -> u16 {
        self.0
    }
}
