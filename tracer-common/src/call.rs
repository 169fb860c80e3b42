//! What is kept from the entry of a function until it returns, and what a program that serves
//! many functions knows of each.

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

/// What is fetched at returns, where one program serves entries and returns, goes to slots of
/// this size.
pub const RETURN_SLOT_LEN: u32 = 8;

/// What tells a program that serves many functions which one it runs for: the cookie of that
/// function's attachment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FunctionCookie {
    /// The class of its events.
    pub class: u32,
    /// Bytes of the last slot of the payload that its type leaves unused; they are not part of
    /// the event.
    pub unused_tail: u8,
}

impl FunctionCookie {
    /// As the kernel keeps it.
    #[inline]
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        (self.unused_tail as u64) << 32 | self.class as u64
    }

    /// From what the kernel has kept.
    #[inline]
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self {
            class: bits as u32,
            unused_tail: (bits >> 32) as u8,
        }
    }
}

const _: () = {
    assert!(size_of::<CallKey>() == 16);
    assert!(size_of::<CallEntry>() == 16);
    let cookie = FunctionCookie {
        class: u32::MAX,
        unused_tail: 4,
    };
    let kept = FunctionCookie::from_bits(cookie.to_bits());
    assert!(kept.class == u32::MAX && kept.unused_tail == 4);
};
