//! Event classes: the name of an event and the typed fields of its payload.
//!
//! [`probe`](crate::probe) derives them from the kernel's descriptions, [`ctf`](crate::trace::ctf)
//! writes them as metadata and reads them back. A class has all that is needed to decode the
//! bytes of an event.

use std::sync::Arc;

/// A class of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventClass {
    /// The number in the header of each event of this class.
    pub id: u32,
    /// The name shown to users: `sched:sched_switch`, `syscall_entry_openat`, `kprobe:vfs_read`.
    pub name: String,
    /// Context fields, in order, all of fixed size. They lie between header and payload, from a
    /// multiple of 8 bytes on. Often empty.
    pub context: Vec<Field>,
    /// Payload fields, in order. The payload starts at a multiple of 8 bytes.
    pub fields: Vec<Field>,
}

/// Field of system calls with strings: bit `i` is set if the string of argument `i` was
/// truncated.
pub const STRING_CUT: &str = "string_cut";

/// Field of system calls with strings: bit `i` is set if the string of argument `i` could
/// not be read (its page was not in memory) and is recorded as empty.
pub const STRING_FAULT: &str = "string_fault";

/// Field of whole system calls: 1 if the call had not returned when its event was recorded.
pub const UNFINISHED: &str = "unfinished";

/// A named, typed part of a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The kernel's name, without the leading underscore of CTF.
    pub name: String,
    /// Its type.
    pub ty: FieldType,
}

/// The type of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// A number, or a character if its display is [`Display::Text`].
    Integer(IntegerType),
    /// `length` elements.
    Array {
        /// Type of an element.
        element: IntegerType,
        /// Number of elements.
        length: u32,
    },
    /// A `u32` count, aligned as an element, then that many elements.
    Sequence {
        /// Type of an element.
        element: IntegerType,
    },
    /// Bytes up to and including a NUL; usually UTF-8, which the kernel does not guarantee.
    String,
    /// A number with labels for its values or bits.
    Labeled {
        /// The number.
        number: IntegerType,
        /// The names.
        labels: Arc<Labels>,
    },
}

/// Labels of the values of a number, or of its bits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Labels {
    /// What the labels name.
    pub kind: LabelKind,
    /// In the order of their source; the first match counts.
    pub entries: Vec<Label>,
}

/// What labels name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LabelKind {
    /// Values: a C `enum`, or `__print_symbolic` in a format file.
    Values,
    /// Bits: `__print_flags` in a format file.
    Bits {
        /// Separator of names, as in `A|B`.
        delimiter: String,
    },
}

/// The name of a value or of bits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Label {
    /// The value, sign-extended to 64 bits if the number is signed, or the bits.
    pub value: u64,
    /// Its name.
    pub name: String,
}

/// How a number is stored and displayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IntegerType {
    /// Size in bits, `1..=64`.
    pub size_bits: u16,
    /// Alignment in bits, relative to the start of the packet.
    pub align_bits: u16,
    /// Two's complement.
    pub signed: bool,
    /// How it is displayed.
    pub display: Display,
}

/// The format in which a number is displayed.
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
    /// A number of whole bytes with natural alignment, as in C.
    #[must_use]
    pub const fn natural(size_bytes: u16, signed: bool, display: Display) -> Self {
        Self {
            size_bits: size_bytes * 8,
            align_bits: size_bytes * 8,
            signed,
            display,
        }
    }

    /// The same type with byte alignment.
    #[must_use]
    pub const fn packed(self) -> Self {
        Self {
            align_bits: 8,
            ..self
        }
    }
}
