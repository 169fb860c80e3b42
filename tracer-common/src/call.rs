//! Calls of functions: what is stored from the entry to the return, and the attachment cookies
//! of programs that serve many functions.

use core::mem::size_of;

use bytemuck::{Pod, Zeroable};

/// The values fetched at an entry have fewer bytes than this.
pub const MAX_ENTRY_VALUES: usize = 4096;

/// Key of a call that has not returned yet.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct CallKey {
    /// The stack pointer at its entry, or the address of the arguments that a trampoline saved.
    pub place: u64,
    /// Class of the event of its return.
    pub class: u32,
    /// The process, for functions of user programs; 0 for functions of the kernel.
    pub pid: u32,
}

/// What is stored at the entry of a call; the fetched values follow.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct CallEntry {
    /// Time of the entry, `CLOCK_MONOTONIC` in nanoseconds.
    pub timestamp_ns: u64,
    /// Bytes of the fetched values.
    pub len: u64,
}

/// Bytes of the slot for each value fetched at a return, if one program serves entries and
/// returns.
pub const RETURN_SLOT_LEN: u32 = 8;

/// The cookie of an attachment, by which a program that serves many functions knows which one it
/// runs for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FunctionCookie {
    /// The class of its events.
    pub class: u32,
    /// Bytes that the last value leaves unused in its slot; they are not part of the event.
    pub unused_tail: u8,
}

impl FunctionCookie {
    /// The number that is passed to the kernel.
    #[inline]
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        let Self { class, unused_tail } = self;
        (unused_tail as u64) << 32 | class as u64
    }

    /// From the number that the kernel returns.
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
