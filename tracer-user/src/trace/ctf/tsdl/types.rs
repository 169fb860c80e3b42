//! The types that metadata declares.

use std::sync::Arc;

use crate::trace::event::{IntegerType, Labels};

/// A type, its aliases resolved. Cheap to copy: what can be large is shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Integer(Integer),
    /// A number with a [table](crate::trace::ctf::labels).
    Labeled(Integer, Arc<Labels>),
    Enumeration(Arc<Enumeration>),
    Struct(Arc<Struct>),
    /// Decided by the field of that name; the reader has no use for the choices.
    Variant(Arc<Struct>),
    Array(Arc<Type>, u32),
    /// The number of elements is in the field of that name.
    Sequence(Arc<Type>, Arc<str>),
    String,
}

impl Type {
    /// How many structures lie inside each other.
    pub(crate) fn depth(&self) -> u32 {
        match self {
            Self::Struct(of) | Self::Variant(of) => of.depth,
            // arrays of arrays are limited where they are declared
            Self::Array(element, _) | Self::Sequence(element, _) => element.depth(),
            _ => 0,
        }
    }
}

/// A number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Integer {
    pub(crate) ty: IntegerType,
    /// It is a time stamp: it has `map = clock.….value`.
    pub(crate) clock: bool,
}

/// Numbers with names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Enumeration {
    pub(crate) base: Integer,
    /// First and last value of each name.
    pub(crate) labels: Vec<(i128, i128, String)>,
}

impl Enumeration {
    /// The first name that `value` has.
    pub(crate) fn label(&self, value: i128) -> Option<&str> {
        self.labels
            .iter()
            .find(|&&(first, last, _)| (first..=last).contains(&value))
            .map(|(_, _, label)| label.as_str())
    }
}

/// Members one behind the other (or beside each other in a variant).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Struct {
    pub(crate) members: Vec<Member>,
    /// Declared alignment in bits; that of the members may be larger.
    pub(crate) align_bits: u64,
    /// How many structures lie inside each other, this one included.
    pub(crate) depth: u32,
}

/// A member of a structure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// As written, with the underscore.
    pub(crate) name: Arc<str>,
    pub(crate) ty: Type,
}
