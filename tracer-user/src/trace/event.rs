//! Event classes: what an event is called and which typed fields its payload has.
//!
//! [`probe`](crate::probe) makes them from the kernel's descriptions, [`ctf`](crate::trace::ctf)
//! writes them as metadata and reads them back. A class says everything that is needed to
//! decode the bytes of an event.

use std::sync::Arc;

/// One kind of event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventClass {
    /// The number in the header of each event of this class.
    pub id: u32,
    /// As users see it: `sched:sched_switch`, `syscall_entry_openat`, `kprobe:vfs_read`.
    pub name: String,
    /// What each event says of the place and the time beside its payload, in order. All of
    /// fixed size; it lies between the header and the payload, and starts at a multiple of 8
    /// bytes. Mostly empty.
    pub context: Vec<Field>,
    /// The payload, in order. The payload starts at a multiple of 8 bytes.
    pub fields: Vec<Field>,
}

/// Field of a system call with strings: bit `i` is set if the string of argument `i` is
/// longer than what was recorded of it.
pub const STRING_CUT: &str = "string_cut";

/// Field of a system call with strings: bit `i` is set if the string of argument `i` could
/// not be read (its page was not in memory) and is recorded as empty.
pub const STRING_FAULT: &str = "string_fault";

/// A named, typed part of a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// As the kernel names it, without a leading underscore of CTF.
    pub name: String,
    /// Its type.
    pub ty: FieldType,
}

/// The type of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// A number, or a character where it has an encoding.
    Integer(IntegerType),
    /// `length` elements.
    Array {
        /// Type of an element.
        element: IntegerType,
        /// Number of elements.
        length: u32,
    },
    /// A `u32` number of elements, aligned as an element, then the elements.
    Sequence {
        /// Type of an element.
        element: IntegerType,
    },
    /// Bytes up to and with a NUL, UTF-8 as far as the kernel keeps to it.
    String,
    /// A number whose values, or whose bits, have names.
    Labeled {
        /// The number.
        number: IntegerType,
        /// The names.
        labels: Arc<Labels>,
    },
}

/// Names of the values of a number, or of its bits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Labels {
    /// What has the names.
    pub kind: LabelKind,
    /// In the order of their source; the first that fits counts.
    pub entries: Vec<Label>,
}

/// What of a number has names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LabelKind {
    /// Its values: a C `enum`, or `__print_symbolic` of a format file.
    Values,
    /// Its bits: `__print_flags` of a format file.
    Bits {
        /// What stands between names, as in `A|B`.
        delimiter: String,
    },
}

/// One name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Label {
    /// The value, sign-extended to 64 bits where the number is signed, or the bits.
    pub value: u64,
    /// Its name.
    pub name: String,
}

/// How a number is stored and shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IntegerType {
    /// Size in bits, `1..=64`.
    pub size_bits: u16,
    /// Alignment in bits, relative to the start of the packet.
    pub align_bits: u16,
    /// Two's complement.
    pub signed: bool,
    /// How it is shown.
    pub display: Display,
}

/// How a number is shown to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Display {
    /// Decimal.
    Decimal,
    /// Hexadecimal: addresses, masks, flags.
    Hexadecimal,
    /// Octal: file modes.
    Octal,
    /// A character of UTF-8 text; an array of them is a string that ends at the first NUL.
    Text,
}

impl IntegerType {
    /// A number of whole bytes, aligned to its own size as C does.
    #[must_use]
    pub const fn natural(size_bytes: u16, signed: bool, display: Display) -> Self {
        Self {
            size_bits: size_bytes * 8,
            align_bits: size_bytes * 8,
            signed,
            display,
        }
    }

    /// The same number at any byte.
    #[must_use]
    pub const fn packed(self) -> Self {
        Self {
            align_bits: 8,
            ..self
        }
    }
}
