//! System calls that are recorded as one event when they return: rows of their table, and what
//! is kept of a call until then.

use core::mem::{offset_of, size_of};

use bytemuck::{Pod, Zeroable};

use crate::spec::{MAX_STRING_LEN, MAX_SYSCALL_ARGS};

/// The most strings among the arguments of a system call.
pub const MAX_CALL_STRINGS: usize = 3;

/// Bytes of the slot of a kept string: one more than is recorded shows that it was cut.
pub const CALL_STRING_SLOT_LEN: usize = (MAX_STRING_LEN + 1).next_multiple_of(8);

/// Bits of [`CallSpec::traits`].
pub mod call_traits {
    /// It does not return: its event is emitted when it is entered.
    pub const NEVER_RETURNS: u8 = 1;
    /// If it succeeds, the memory of the process is another one.
    pub const REPLACES_MEMORY: u8 = 2;
}

/// Indices of [`KeptCall::values`] after the arguments.
pub mod call_values {
    use crate::syscall_call::MAX_SYSCALL_ARGS;

    /// The result.
    pub const RET: usize = MAX_SYSCALL_ARGS;
    /// Nanoseconds from entry to return, -1 if it does not return.
    pub const DURATION: usize = RET + 1;
    /// 1 if it has not returned.
    pub const UNFINISHED: usize = DURATION + 1;
    /// Number of values.
    pub const COUNT: usize = UNFINISHED + 1;
}

/// Row of a system call in the table of the programs that record whole calls.
///
/// The payload is the arguments as in the event of an [entry](crate::SyscallSpec); then, at a
/// multiple of 8, the result and the duration (8 bytes each) and a byte that is 1 if the call has
/// not returned. If there are strings, the masks of cut and unreadable ones follow, a byte each.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct CallSpec {
    /// Id of the event class.
    pub class: u32,
    /// Not zero: record this call.
    pub enabled: u8,
    /// Number of arguments, `0..=MAX_SYSCALL_ARGS`.
    pub arg_count: u8,
    /// Bit `i`: argument `i` is a NUL-terminated user string.
    pub strings: u8,
    /// Bit `i`: argument `i` has 32 bits, and a string follows without padding.
    pub narrow: u8,
    /// Not zero: number of the [filter](crate::hook::CALL_FILTER).
    pub filter: u8,
    /// [`spec_flags`](crate::spec_flags) for stacks.
    pub flags: u8,
    /// Not zero: the class has a [`Throttle`](crate::Throttle).
    pub throttled: u8,
    /// [`call_traits`].
    pub traits: u8,
    /// Slot of the string of each argument that is one.
    pub slots: [u8; MAX_SYSCALL_ARGS],
    /// Zero.
    pub reserved: [u8; 2],
}

/// What is kept of a call while it is under way, for each thread. The slots of strings follow,
/// [`CALL_STRING_SLOT_LEN`] bytes each.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct KeptCall {
    /// Time of the entry, `CLOCK_MONOTONIC` in nanoseconds.
    pub entered_ns: u64,
    /// The number of the call.
    pub nr: u32,
    /// Not zero: the call has not returned; how it is counted.
    pub under_way: u32,
    /// Bit `i`: the string of argument `i` could not be read.
    pub unreadable: u32,
    /// Bit `i`: the string of argument `i` was cut.
    pub cut: u32,
    /// The arguments, and [`call_values`].
    pub values: [u64; call_values::COUNT],
    /// Bytes of each string, terminator included.
    pub lens: [u64; MAX_CALL_STRINGS],
}

const _: () = {
    assert!(size_of::<CallSpec>() == 20);
    assert!(size_of::<KeptCall>() == 120);
    // Filters read the mask where that of a function's kept values is.
    assert!(offset_of!(KeptCall, unreadable) == size_of::<crate::CallEntry>());
    assert!(CALL_STRING_SLOT_LEN.is_multiple_of(8));
};
