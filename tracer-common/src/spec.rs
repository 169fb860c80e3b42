//! What specialises a program: the shape of one event class, as data.
//!
//! Specifications lie in read-only maps that are frozen before the programs are loaded,
//! so the verifier treats them as constants and removes what a probe does not need.

use core::mem::size_of;

/// The most [`Piece`]s that the payload of one tracepoint may need.
pub const MAX_PIECES: usize = 48;

/// Slots of the system-call table (numbers `0..MAX_SYSCALLS`).
pub const MAX_SYSCALLS: usize = 1024;

/// Arguments of a system call.
pub const MAX_SYSCALL_ARGS: usize = 6;

/// Each argument that is not a string takes one slot of this many bytes.
pub const SYSCALL_ARG_SLOT_LEN: usize = 8;

/// The most bytes kept of one user string, terminator included (`PATH_MAX`).
/// Longer strings are cut, and the event says so.
pub const MAX_STRING_LEN: usize = 4096;

/// The most priorities in a payload that is copied in one run.
pub const MAX_PRIORITIES: usize = 2;

/// Where the priorities of ordinary tasks begin (the kernel's `MAX_RT_PRIO`). LTTng's
/// modules record priorities less this.
pub const REALTIME_PRIORITIES: u32 = 100;

/// How a [`Piece`] of a kernel record becomes payload bytes.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PieceKind {
    /// `len` bytes at `offset`, as they are.
    Fixed = 0,
    /// The NUL-terminated string behind the `__data_loc` word at `offset`.
    String = 1,
    /// The bytes behind the `__data_loc` word at `offset`, after a `u32` with the number
    /// of elements of `len` bytes each.
    Sequence = 2,
    /// As [`String`](Self::String), for a `__rel_loc` word.
    RelativeString = 3,
    /// As [`Sequence`](Self::Sequence), for a `__rel_loc` word.
    RelativeSequence = 4,
    /// The `u32` at `offset`, less [`REALTIME_PRIORITIES`].
    Priority = 5,
    /// The `len` letters at `offset` as a `u32`: see [`request_flags`](crate::request_flags).
    RequestFlags = 6,
    /// The thread in which the event happens, a `u32`.
    Tid = 7,
    /// Its process, a `u32`.
    Pid = 8,
    /// The process of the new thread whose id is at `offset`, a `u32`, if a
    /// [`NewThread`](Self::NewThread) has told it; else that id.
    PidOfNewThread = 9,
    /// No bytes: notes that the present process makes the thread whose id is at `offset`,
    /// with the `u64` of `clone` flags at `len`.
    NewThread = 10,
}

/// One step in building the payload of a tracepoint event from the kernel's record.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// A [`PieceKind`].
    pub kind: u32,
    /// Offset in bytes from the start of the kernel's record.
    pub offset: u32,
    /// Bytes to copy, or bytes per element, or what the kind says.
    pub len: u32,
}

/// Bits of [`ProbeSpec::flags`].
pub mod spec_flags {
    /// The payload is put together from [`pieces`](super::ProbeSpec::pieces) instead of
    /// copied in one run.
    pub const PIECES: u32 = 1;
    /// Recorded for the recorder itself, whatever filters say.
    pub const UNFILTERED: u32 = 2;
    /// The size of the payload is known only when it is there.
    pub const VARIABLE: u32 = 4;
    /// The kernel's stack is recorded behind the payload.
    pub const KERNEL_STACK: u32 = 8;
    /// The process's stack is recorded behind the payload.
    pub const USER_STACK: u32 = 16;
    /// The program may be interrupted by others of its kind, and needs a scratch that is its
    /// own.
    pub const NESTS: u32 = 32;
    /// Values are fetched behind the record of a tracepoint.
    pub const FETCHES: u32 = 128;
    /// The context is that of a trampoline (fentry, fexit), not registers.
    pub const TRAMPOLINE: u32 = 256;
    /// The registers are those of a process.
    pub const USER: u32 = 512;
    /// The class is the cookie of the attachment: one program serves many functions.
    pub const CLASS_IS_COOKIE: u32 = 64;
    /// Not all events are recorded: the class has a [`Throttle`](crate::Throttle).
    pub const THROTTLED: u32 = 1024;
    /// The event of an exec, from which on a command is recorded.
    pub const AT_EXEC: u32 = 2048;
    /// Also recorded where it happens in the recorder, unless filters refuse that.
    pub const WITH_RECORDER: u32 = 4096;
}

/// The shape of one tracepoint, kprobe or kretprobe event class.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeSpec {
    /// Id of the event class.
    pub class: u32,
    /// [`spec_flags`].
    pub flags: u32,
    /// Bytes of payload of an event of fixed size (no `PIECES`).
    pub payload_len: u32,
    /// Where the payload starts in the kernel's record (no `PIECES`), in bytes.
    pub payload_offset: u32,
    /// Bytes of the values that are fetched behind that (no `VARIABLE`).
    pub fetch_len: u32,
    /// Bytes of the values from the entry of a function that follow (the least that they can
    /// be, with `VARIABLE`).
    pub entry_len: u32,
    /// Number of valid `priorities` (no `PIECES`).
    pub priority_count: u32,
    /// Where in the payload are `u32` from which [`REALTIME_PRIORITIES`] are taken (no
    /// `PIECES`), in bytes.
    pub priorities: [u32; MAX_PRIORITIES],
    /// Number of valid `pieces`.
    pub piece_count: u32,
    /// How to build a payload of variable size.
    pub pieces: [Piece; MAX_PIECES],
}

impl ProbeSpec {
    /// A specification of class 0 without payload.
    pub const EMPTY: Self = Self {
        class: 0,
        flags: 0,
        payload_len: 0,
        payload_offset: 0,
        fetch_len: 0,
        entry_len: 0,
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

/// One system call's row in the tables of the `sys_enter` and `sys_exit` programs.
///
/// An entry event's payload is its arguments in order: for each value 8 bytes at a multiple
/// of 8, for each string its bytes with the terminator, at once behind what is before it.
/// After the last argument of a call that has strings come, at a multiple of 8, two bytes,
/// bit `i` standing for argument `i`: strings that were cut, and strings that could not be
/// read.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyscallSpec {
    /// Id of the event class.
    pub class: u32,
    /// Not zero: record this call.
    pub enabled: u8,
    /// Number of arguments, `0..=MAX_SYSCALL_ARGS`.
    pub arg_count: u8,
    /// Bit `i`: argument `i` is a NUL-terminated user string.
    pub strings: u8,
    /// Bit `i`: argument `i` has 32 bits and a string behind it, which follows at once:
    /// strings have no alignment in CTF.
    pub narrow: u8,
    /// Bytes of the last argument's slot that its type leaves unused; they are not part of
    /// the event.
    pub unused_tail: u8,
    /// Not zero: the [filter](crate::hook::SYSCALL_FILTER) that decides.
    pub filter: u8,
    /// [`spec_flags`] for stacks.
    pub flags: u8,
    /// Not zero: the class has a [`Throttle`](crate::Throttle).
    pub throttled: u8,
}

const _: () = {
    assert!(size_of::<Piece>() == 12);
    assert!(size_of::<ProbeSpec>() == 32 + 4 * MAX_PRIORITIES + 12 * MAX_PIECES);
    assert!(size_of::<SyscallSpec>() == 12);
};
