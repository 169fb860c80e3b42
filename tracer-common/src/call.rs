//! What is kept from the entry of a function until it returns.

use core::mem::size_of;

/// Values that are fetched at an entry have less bytes than this.
pub const MAX_ENTRY_VALUES: usize = 4096;

/// A call that is under way.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallKey {
    /// Where its return address is on the stack, or the arguments that its trampoline keeps.
    pub place: u64,
    /// The class of the event that its return will be.
    pub class: u32,
    /// The process, for functions of programs; 0 for those of the kernel.
    pub pid: u32,
}

/// What is kept of it. The fetched values follow.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallEntry {
    /// When it began, `CLOCK_MONOTONIC` in nanoseconds.
    pub timestamp_ns: u64,
    /// Bytes of the values.
    pub len: u64,
}

const _: () = {
    assert!(size_of::<CallKey>() == 16);
    assert!(size_of::<CallEntry>() == 16);
};
