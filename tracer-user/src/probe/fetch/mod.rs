//! Values that a program fetches when a probe fires: from registers, from the kernel's
//! record of a tracepoint, and from memory behind them.
//!
//! [`probe`](crate::probe) makes them from BTF and from what users type
//! (`kprobe:vfs_open{path->dentry->d_name.name:str}`); [`attach`](crate::record::attach) turns
//! them into instructions.

pub mod context;
mod error;
mod layout;
mod lexer;
mod parser;
pub mod registers;
mod scope;
mod syntax;
mod types;
mod walk;
mod walked;

use std::fmt;
use std::str::FromStr;

use crate::trace::event::Field;

pub use context::{Context, ContextSource};
pub use error::{FetchError, Problem};
pub use layout::Layout;
pub use registers::ARGUMENT_REGISTERS;
pub use scope::{Scope, arguments, returned, returned_and_arguments};
pub use syntax::{Expr, Format, Item, Style, Tag, TypeName};

/// What a probe is to fetch, as typed between its braces. Displays without the braces;
/// two that differ in blanks only are equal.
#[derive(Clone, Debug)]
pub struct FetchList {
    text: String,
    items: Vec<Item>,
}

impl FetchList {
    /// Reads what stands between the braces. Names and types are looked at later.
    pub fn parse(text: &str) -> Result<Self, FetchError> {
        let items = parser::parse(text).map_err(|fault| FetchError::new(text, fault))?;
        Ok(Self {
            text: text.to_owned(),
            items,
        })
    }

    /// The ways to the values, from what there is where a probe fires.
    ///
    /// # Errors
    /// Where there is no such argument, field, member or type, or where a value cannot be
    /// recorded in that format.
    pub fn resolve(&self, scope: &Scope<'_>) -> Result<Vec<Fetched>, FetchError> {
        walk::resolve(&self.items, scope).map_err(|fault| FetchError::new(&self.text, fault))
    }

    /// As typed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The values, in order; at least one, at most [`MAX_FETCHED`].
    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.items
    }
}

impl PartialEq for FetchList {
    fn eq(&self, other: &Self) -> bool {
        self.items == other.items
    }
}

impl Eq for FetchList {}

impl FromStr for FetchList {
    type Err = FetchError;

    fn from_str(text: &str) -> Result<Self, FetchError> {
        Self::parse(text)
    }
}

impl fmt::Display for FetchList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, item) in self.items.iter().enumerate() {
            write!(f, "{}{item}", if index > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

/// A field of an event, and where its value is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Name and type in the trace. The type is a number of 1, 2, 4 or 8 bytes with its
    /// natural alignment (with or without labels), an array of bytes, or a string.
    pub field: Field,
    /// Where its value comes from.
    pub fetch: Fetch,
}

/// The way to a value.
///
/// `base` is a number or an address. Each step reads an address: the next one is the
/// 8-byte word at the address before it plus the step. What the last address leads to is
/// read as `load` says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fetch {
    /// Where the way begins.
    pub base: Base,
    /// Offsets in bytes of the words that are read as addresses, in order.
    pub steps: Vec<i64>,
    /// What is read at the end.
    pub load: Load,
}

/// Where the way to a value begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Base {
    /// The `n`th argument of the function, from 0: a register, or a slot of the arguments
    /// of an fentry program.
    Argument(u8),
    /// What the function returns.
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
    /// The kernel's description of the thread (`struct task_struct`).
    Task,
    /// An entry of a process number, whose address is worked out before
    /// ([`Entry`](context::Entry)).
    Entry,
    /// The number of the system call.
    SyscallNumber,
    /// An address that is known when the program is loaded: a variable of the kernel.
    Address(u64),
}

/// What is read at the end of the way.
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
        /// For a bit-field: how far it lies above the lowest bit of what was read, and its
        /// width in bits. It is sign-extended where the field is signed.
        bits: Option<(u8, u8)>,
        /// Whose memory.
        memory: Memory,
    },
    /// `len` bytes of memory, as they are.
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

/// Where a program finds the value of a field while it decides whether the event is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// In registers, in the record, or behind an address.
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
    /// The string behind a locator word (`__data_loc`, `__rel_loc`) of the kernel's record.
    RecordString {
        /// Of the word, from the start of the record, in bytes.
        offset: u32,
        /// It counts from the end of the word, not from the start of the record.
        relative: bool,
    },
    /// Among the values that were kept from the entry of a function.
    Kept {
        /// From the first of them, in bytes.
        offset: u32,
        /// How many bytes it has; of a string, the most, without its terminator.
        len: u32,
        /// Its bit in the mask of those that could not be read, if it can be one of them.
        fault: Option<u8>,
    },
    /// It is not to be had.
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

/// Fields that are fetched by one probe at most: each has a bit in [`FETCH_FAULT`].
pub const MAX_FETCHED: usize = 32;

/// Field that follows fetched ones which are read from memory: bit `i` is set if the value
/// of fetched field `i` could not be read and is recorded as zero or as an empty string.
pub const FETCH_FAULT: &str = "fetch_fault";
