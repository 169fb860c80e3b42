//! Specifications: the shape of one event class, as data that specializes a program.
//!
//! They are in read-only maps that are frozen before the programs are loaded, so the verifier
//! treats them as constants and removes the code that a probe does not need.

use core::mem::size_of;

use bytemuck::{Pod, Zeroable};

/// The most [`Piece`]s in the payload of a tracepoint.
pub const MAX_PIECES: usize = 48;

/// Rows of the system-call tables (numbers `0..MAX_SYSCALLS`).
pub const MAX_SYSCALLS: usize = 1024;

/// The most arguments of a system call.
pub const MAX_SYSCALL_ARGS: usize = 6;

/// Bytes of the slot of an argument that is not a string.
pub const SYSCALL_ARG_SLOT_LEN: usize = 8;

/// The most bytes recorded of a user string, with its terminator (`PATH_MAX`). Longer strings
/// are cut and marked.
pub const MAX_STRING_LEN: usize = 4096;

/// What is recorded in place of a string that cannot be read, as ftrace does. An empty string
/// would be taken for an empty name, and babeltrace2 2.0 shows the value of the event before.
pub const FAULT_STRING: [u8; 8] = *b"(fault)\0";

/// What is recorded in place of a string whose address is 0.
pub const NULL_STRING: [u8; 8] = *b"(null)\0\0";

/// Bytes of [`NULL_STRING`], with one terminator.
pub const NULL_STRING_LEN: usize = 7;

/// The most priorities in a payload that is copied as a whole.
pub const MAX_PRIORITIES: usize = 2;

/// The first priority of tasks that are not real-time (the kernel's `MAX_RT_PRIO`). LTTng's
/// modules record priorities minus this.
pub const REALTIME_PRIORITIES: u32 = 100;

/// How a [`Piece`] of the kernel's record becomes payload bytes.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PieceKind {
    /// `len` bytes at `offset`, unchanged.
    Fixed = 0,
    /// The NUL-terminated string that the `__data_loc` word at `offset` points to.
    String = 1,
    /// A `u32` with the number of elements, `len` bytes each, then the elements that the
    /// `__data_loc` word at `offset` points to.
    Sequence = 2,
    /// As [`String`](Self::String), for a `__rel_loc` word.
    RelativeString = 3,
    /// As [`Sequence`](Self::Sequence), for a `__rel_loc` word.
    RelativeSequence = 4,
    /// The `u32` at `offset`, minus [`REALTIME_PRIORITIES`].
    Priority = 5,
    /// The `len` letters at `offset` as a `u32`: see [`request_flags`](crate::request_flags).
    RequestFlags = 6,
    /// The current thread, a `u32`.
    Tid = 7,
    /// The current process, a `u32`.
    Pid = 8,
    /// The process of the new thread whose id is at `offset`, a `u32`, if known from
    /// [`NewThread`](Self::NewThread); else the id itself.
    PidOfNewThread = 9,
    /// Without payload: remembers the process of the new thread whose id is at `offset`, which
    /// the current process creates with the `u64` of `clone` flags at `len`.
    NewThread = 10,
}

/// A step in building the payload of a tracepoint event from the kernel's record.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Piece {
    /// A [`PieceKind`].
    pub kind: u32,
    /// Offset in bytes from the start of the kernel's record.
    pub offset: u32,
    /// Bytes to copy, or what the kind uses it for.
    pub len: u32,
}

/// Bits of [`ProbeSpec::flags`].
pub mod spec_flags {
    /// The payload is built from [`pieces`](super::ProbeSpec::pieces), not copied as a whole.
    pub const PIECES: u32 = 1;
    /// Recorded for the recorder itself, regardless of filters.
    pub const UNFILTERED: u32 = 2;
    /// The payload has a variable size.
    pub const VARIABLE: u32 = 4;
    /// The kernel stack is recorded after the payload.
    pub const KERNEL_STACK: u32 = 8;
    /// The user stack is recorded after the payload.
    pub const USER_STACK: u32 = 16;
    /// The program can be interrupted by others of its kind, with which it cannot share memory
    /// to build events in.
    pub const NESTS: u32 = 32;
    /// Values are fetched after the record of a tracepoint.
    pub const FETCHES: u32 = 128;
    /// The context is that of a trampoline (fentry, fexit), not of registers.
    pub const TRAMPOLINE: u32 = 256;
    /// The registers are those of a user program.
    pub const USER: u32 = 512;
    /// The program serves many functions; the class is in the cookie of the attachment.
    pub const CLASS_IS_COOKIE: u32 = 64;
    /// The class has a [`Throttle`](crate::Throttle).
    pub const THROTTLED: u32 = 1024;
    /// The event of an exec, which starts the recording of a command.
    pub const AT_EXEC: u32 = 2048;
    /// Also recorded in the recorder's process, unless filters exclude it.
    pub const WITH_RECORDER: u32 = 4096;
}

/// The shape of the event class of a tracepoint or a function.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct ProbeSpec {
    /// Id of the event class.
    pub class: u32,
    /// [`spec_flags`].
    pub flags: u32,
    /// Bytes of the payload, if it has a fixed size (without `PIECES`).
    pub payload_len: u32,
    /// Offset of the payload in the kernel's record (without `PIECES`), in bytes.
    pub payload_offset: u32,
    /// Bytes of the fetched values that follow (without `VARIABLE`).
    pub fetch_len: u32,
    /// Bytes of the values of fixed size from the entry of a function that follow.
    pub entry_len: u32,
    /// Number of strings from the entry that follow (with `VARIABLE`).
    pub entry_strings: u32,
    /// Number of valid `priorities` (without `PIECES`).
    pub priority_count: u32,
    /// Offsets in the payload of the `u32` that [`REALTIME_PRIORITIES`] is subtracted from
    /// (without `PIECES`), in bytes.
    pub priorities: [u32; MAX_PRIORITIES],
    /// Number of valid `pieces`.
    pub piece_count: u32,
    /// How to build the payload.
    pub pieces: [Piece; MAX_PIECES],
}

impl ProbeSpec {
    /// Class 0, without a payload.
    pub const EMPTY: Self = Self {
        class: 0,
        flags: 0,
        payload_len: 0,
        payload_offset: 0,
        fetch_len: 0,
        entry_len: 0,
        entry_strings: 0,
        priority_count: 0,
        priorities: [0; MAX_PRIORITIES],
        piece_count: 0,
        pieces: [Piece {
            kind: 0,
            offset: 0,
            len: 0,
        }; MAX_PIECES],
    };
}

/// Row of a system call in the tables of the `sys_enter` and `sys_exit` programs.
///
/// The payload of an entry event is the arguments in order: 8 bytes at a multiple of 8 for each
/// value, and the bytes with the terminator, unaligned, for each string. If there are strings,
/// two masks of one byte follow at a multiple of 8, bit `i` standing for argument `i`: strings
/// that were cut, and strings that could not be read.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct SyscallSpec {
    /// Id of the event class.
    pub class: u32,
    /// Not zero: record this call.
    pub enabled: u8,
    /// Number of arguments, `0..=MAX_SYSCALL_ARGS`.
    pub arg_count: u8,
    /// Bit `i`: argument `i` is a NUL-terminated user string.
    pub strings: u8,
    /// Bit `i`: argument `i` has 32 bits, and a string follows without padding: strings are
    /// unaligned in CTF.
    pub narrow: u8,
    /// Bytes that the last argument leaves unused in its slot; they are not part of the event.
    pub unused_tail: u8,
    /// Not zero: number of the [filter](crate::hook::SYSCALL_FILTER).
    pub filter: u8,
    /// [`spec_flags`] for stacks.
    pub flags: u8,
    /// Not zero: the class has a [`Throttle`](crate::Throttle).
    pub throttled: u8,
}

const _: () = {
    assert!(size_of::<Piece>() == 12);
    assert!(size_of::<ProbeSpec>() == 36 + 4 * MAX_PRIORITIES + 12 * MAX_PIECES);
    assert!(size_of::<SyscallSpec>() == 12);
};
