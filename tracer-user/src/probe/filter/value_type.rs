//! Types of the values that a filter looks at.

use std::fmt;

use crate::trace::event::{Display, FieldType, IntegerType};

/// What a value is, as far as comparing it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// One number.
    Number(NumberType),
    /// Text up to the first NUL, and the most bytes that it has, if that is known.
    Text(Option<u32>),
    /// Elements of an array or a sequence.
    Numbers(NumberType),
}

/// How a number is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NumberType {
    /// Size in bits, `1..=64`.
    pub size_bits: u16,
    /// Two's complement.
    pub signed: bool,
}

impl NumberType {
    /// Thread ids, process ids, numbers of CPUs.
    pub(super) const ID: Self = Self {
        size_bits: 32,
        signed: false,
    };

    /// The number of a cgroup.
    pub(super) const CGROUP: Self = Self {
        size_bits: 64,
        signed: false,
    };

    /// All bits that the number has.
    #[must_use]
    pub const fn all_bits(self) -> u64 {
        u64::MAX >> (64 - self.size_bits)
    }

    /// The smallest and the largest number.
    #[must_use]
    pub const fn range(self) -> (i128, i128) {
        let all = self.all_bits() as i128;
        if self.signed {
            (-(all / 2) - 1, all / 2)
        } else {
            (0, all)
        }
    }
}

impl From<IntegerType> for NumberType {
    fn from(ty: IntegerType) -> Self {
        Self {
            size_bits: ty.size_bits,
            signed: ty.signed,
        }
    }
}

impl From<&FieldType> for ValueType {
    fn from(ty: &FieldType) -> Self {
        match *ty {
            FieldType::Integer(ty) | FieldType::Labeled { number: ty, .. } => {
                Self::Number(ty.into())
            }
            FieldType::Array { element, length } if is_character(element) => {
                Self::Text(Some(length))
            }
            FieldType::Sequence { element } if is_character(element) => Self::Text(None),
            FieldType::Array { element, .. } | FieldType::Sequence { element } => {
                Self::Numbers(element.into())
            }
            FieldType::String => Self::Text(None),
        }
    }
}

/// A byte of text, next to the one before it.
fn is_character(element: IntegerType) -> bool {
    element.display == Display::Text && element.size_bits == 8 && element.align_bits <= 8
}

impl fmt::Display for NumberType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.signed { "signed" } else { "unsigned" };
        write!(f, "{sign} {}-bit", self.size_bits)
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(ty) if ty.signed => write!(f, "a {ty} number"),
            Self::Number(ty) => write!(f, "an {ty} number"),
            Self::Text(_) => f.write_str("a string"),
            Self::Numbers(ty) => write!(f, "an array of {ty} numbers"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(size_bits: u16, signed: bool) -> (i128, i128) {
        NumberType { size_bits, signed }.range()
    }

    #[test]
    fn ranges_are_those_of_the_machine() {
        assert_eq!(range(8, true), (i8::MIN.into(), i8::MAX.into()));
        assert_eq!(range(32, false), (0, u32::MAX.into()));
        assert_eq!(range(64, true), (i64::MIN.into(), i64::MAX.into()));
        assert_eq!(range(64, false), (0, u64::MAX.into()));
    }

    #[test]
    fn single_bits_have_ranges() {
        assert_eq!(range(1, false), (0, 1));
        assert_eq!(range(1, true), (-1, 0));
    }
}
