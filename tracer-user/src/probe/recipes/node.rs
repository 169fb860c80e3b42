//! Expressions of recipes with all names and types resolved: what programs evaluate.

use crate::probe::recipes::syntax::{Binary, Unary};

/// A number, computed when the tracepoint fires.
///
/// Each value has 64 bits: those of its type in C, zero- or sign-extended. Memory that cannot be
/// read has the value 0.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Node {
    /// Known in advance.
    Constant(i64),
    /// An argument of the tracepoint.
    Argument {
        /// Its position, from 0.
        index: u8,
        /// Its bits.
        bits: u8,
        /// It is sign-extended.
        signed: bool,
    },
    /// A property of the current thread or CPU.
    Current(Current),
    /// A number in memory.
    Load {
        /// An address.
        address: Box<Self>,
        /// From there, in bytes.
        offset: i64,
        /// Bytes that are read: 1, 2, 4 or 8.
        size: u8,
        /// It is sign-extended.
        signed: bool,
        /// For a bit-field: its shift in what was read, and its width in bits.
        bits: Option<(u8, u8)>,
        /// Whether the verifier knows the type at the address: then no helper is needed if it
        /// knows the types of arguments.
        typed: bool,
    },
    /// An operator with one operand.
    Unary(Unary, Box<Self>),
    /// An operator with two operands.
    Binary {
        /// The operator.
        operator: Binary,
        /// The left operand.
        left: Box<Self>,
        /// The right operand.
        right: Box<Self>,
        /// The operands have no sign.
        unsigned: bool,
    },
    /// The lowest bits of a number, extended to 64 again.
    Cut {
        /// The number.
        of: Box<Self>,
        /// How many bits.
        bits: u8,
        /// They are sign-extended.
        signed: bool,
    },
    /// One number or another.
    If {
        /// Not zero: the first.
        condition: Box<Self>,
        /// The first.
        then: Box<Self>,
        /// The second.
        otherwise: Box<Self>,
    },
}

/// Properties of the current thread or CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Current {
    /// Id of the thread.
    Tid,
    /// Id of its process.
    Pid,
    /// Number of the CPU.
    Cpu,
    /// Address of its `struct task_struct`.
    Task,
    /// Ticks of the kernel's clock.
    Jiffies,
}

/// What a field of the payload consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A number.
    Number(Node),
    /// Bytes.
    Bytes(Bytes),
    /// A string that ends with NUL.
    Text(Text),
}

/// Bytes in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bytes {
    /// At an address.
    At {
        /// The address.
        address: Node,
        /// From there, in bytes.
        offset: i64,
        /// As in [`Node::Load`].
        typed: bool,
    },
    /// The name of the current thread.
    Comm,
}

/// A string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    /// At an address; at 0 it is `(null)`, as the kernel records it.
    At(Node),
    /// Known in advance.
    Literal(String),
    /// The name of the current thread.
    Comm,
    /// One string or another.
    If {
        /// Not zero: the first.
        condition: Node,
        /// The first.
        then: Box<Self>,
        /// The second.
        otherwise: Box<Self>,
    },
}

impl Node {
    /// The address `self + offset`.
    #[must_use]
    pub fn plus(self, offset: i64) -> Self {
        match (self, offset) {
            (node, 0) => node,
            (Self::Constant(value), _) => Self::Constant(value.wrapping_add(offset)),
            (node, _) => Self::Binary {
                operator: Binary::Add,
                left: node.into(),
                right: Self::Constant(offset).into(),
                unsigned: true,
            },
        }
    }

    /// The lowest `bits` bits.
    #[must_use]
    pub fn cut(self, bits: u8, signed: bool) -> Self {
        match self {
            node if bits >= 64 => node,
            Self::Constant(value) => {
                let unused = 64 - u32::from(bits);
                let raised = value << unused;
                Self::Constant(if signed {
                    raised >> unused
                } else {
                    (raised as u64 >> unused) as i64
                })
            }
            node => Self::Cut {
                of: node.into(),
                bits,
                signed,
            },
        }
    }

    /// Itself, if only its lowest `bits` bits are used.
    #[must_use]
    pub fn stored_in(self, bits: u8) -> Self {
        match self {
            Self::Cut { of, bits: kept, .. } if kept >= bits => of.stored_in(bits),
            node => node,
        }
    }
}
