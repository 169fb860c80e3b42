//! How values are fetched: where from, by which steps, and what is read at the end.

use crate::probe::recipes::Node;
use crate::trace::event::Field;

/// A field of an event, and how its value is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Name and type in the trace. The type is a number of 1, 2, 4 or 8 bytes with its
    /// natural alignment (with or without labels), an array of bytes, or a string.
    pub field: Field,
    /// How its value is fetched.
    pub fetch: Fetch,
}

/// How a value is fetched.
///
/// `base` is a number or an address. Each step reads an address: the 8-byte word at the
/// previous address plus the step. `load` reads the value at the last address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fetch {
    /// The first address, or the value.
    pub base: Base,
    /// Offsets in bytes of the words that are read as addresses, in order.
    pub steps: Vec<i64>,
    /// What is read at the end.
    pub load: Load,
}

/// What a fetch starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Base {
    /// The `n`th argument of the function, from 0: a register, or a slot of the arguments
    /// of an fentry program.
    Argument(u8),
    /// The return value of the function.
    Return,
    /// How long the function took, in nanoseconds.
    Duration,
    /// Bytes of the kernel's record of a tracepoint.
    Record {
        /// From the start of the record, in bytes.
        offset: u32,
        /// 1, 2, 4 or 8.
        size: u8,
        /// Sign-extend it to 64 bits.
        signed: bool,
    },
    /// The thread (`struct task_struct`).
    Task,
    /// An entry of a `struct pid`, whose address is computed first ([`Entry`](super::context::Entry)).
    Entry,
    /// The number of the system call.
    SyscallNumber,
    /// An address that is known when the program is loaded: a variable of the kernel.
    Address(u64),
}

/// What is read at the last address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Load {
    /// Nothing more: `base` itself, or the last word, cut to the field's size.
    Itself,
    /// The last address plus `offset`, itself: the address of an embedded structure.
    AddressOf {
        /// In bytes.
        offset: i64,
    },
    /// A number in memory.
    Number {
        /// From the last address, in bytes.
        offset: i64,
        /// Bytes that are read: 1, 2, 4 or 8.
        size: u8,
        /// For a bit-field: its shift from the lowest bit of what was read, and its
        /// width in bits. It is sign-extended if the field is signed.
        bits: Option<(u8, u8)>,
        /// Whose memory.
        memory: Memory,
    },
    /// `len` bytes of memory.
    Bytes {
        /// From the last address, in bytes.
        offset: i64,
        /// How many.
        len: u32,
        /// Whose memory.
        memory: Memory,
    },
    /// A string that ends with NUL, cut to [`MAX_FETCHED_STRING`] bytes with the terminator.
    String {
        /// From the last address, in bytes.
        offset: i64,
        /// Whose memory.
        memory: Memory,
    },
}

/// Where a program reads a field when it filters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldSource {
    /// In registers, in the record, or in memory.
    Fetch(Fetch),
    /// Some bits of a number of the kernel's record.
    RecordBits {
        /// Of the number, from the start of the record, in bytes.
        offset: u32,
        /// Bytes of the number: 1, 2, 4 or 8.
        size: u8,
        /// How many bits lie below.
        shift: u8,
        /// How many bits it has.
        bits: u8,
    },
    /// Characters of the kernel's record, up to a NUL or to their end.
    RecordText {
        /// From the start of the record, in bytes.
        offset: u32,
        /// How many.
        len: u32,
    },
    /// The string that a locator word (`__data_loc`, `__rel_loc`) of the record points to.
    RecordString {
        /// Of the word, from the start of the record, in bytes.
        offset: u32,
        /// It is relative to the end of the word, not to the start of the record.
        relative: bool,
    },
    /// Among the values that were kept when the function was entered.
    Kept {
        /// From the first of them, in bytes.
        offset: u32,
        /// How many bytes it has; of a string, the most, without its terminator.
        len: u32,
        /// Its bit in the mask of those that could not be read, if it can be one of them.
        fault: Option<u8>,
    },
    /// Computed from the arguments of a raw tracepoint.
    Computed(Node),
    /// Characters at a computed address, up to a NUL or to their end.
    ComputedText {
        /// The address.
        address: Node,
        /// How many.
        len: u32,
    },
    /// It is not available.
    Nowhere,
}

/// Whose memory an address belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Memory {
    /// The kernel's.
    Kernel,
    /// The process's.
    User,
}

/// The most bytes of a fetched string, terminator included.
pub const MAX_FETCHED_STRING: usize = 256;

/// The most fields that one probe can fetch: each has a bit in [`FETCH_FAULT`].
pub const MAX_FETCHED: usize = 32;

/// Field that follows fetched ones which are read from memory: bit `i` is set if the value
/// of fetched field `i` could not be read and is recorded as zero or as an empty string.
pub const FETCH_FAULT: &str = "fetch_fault";
