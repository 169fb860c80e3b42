//! A filter that is resolved for an event class: where each value is read, and constants of
//! its type to compare it with.

use crate::probe::filter::syntax::Relation;
use crate::probe::filter::value_type::NumberType;
use crate::trace::FieldPlace;

/// A filter for the events of one class.
#[derive(Clone, Debug)]
pub struct Resolved {
    pub(super) class: u32,
    pub(super) condition: Condition,
}

impl Resolved {
    /// The id of the class.
    #[must_use]
    pub fn class(&self) -> u32 {
        self.class
    }

    /// The condition on an event.
    #[must_use]
    pub fn condition(&self) -> &Condition {
        &self.condition
    }
}

/// A condition on an event of the class.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Condition {
    /// At least one of them.
    Any(Box<[Condition]>),
    /// Each of them.
    All(Box<[Condition]>),
    /// The opposite.
    Not(Box<Condition>),
    /// On a number.
    Number(NumberTest),
    /// On a string.
    Text(TextTest),
}

impl Condition {
    /// Indices of the fields of the class that it reads, with repetitions.
    #[must_use]
    pub fn fields(&self) -> Vec<usize> {
        match self {
            Self::Any(parts) | Self::All(parts) => parts.iter().flat_map(Self::fields).collect(),
            Self::Not(part) => part.fields(),
            Self::Number(test) => match test.source {
                NumberSource::Field { index, .. } => vec![index],
                _ => Vec::new(),
            },
            Self::Text(test) => match test.source {
                TextSource::Field { index, .. } => vec![index],
                TextSource::Comm => Vec::new(),
            },
        }
    }
}

/// Compares a number with a constant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NumberTest {
    /// Source of the number.
    pub source: NumberSource,
    /// What it is.
    pub ty: NumberType,
    /// Only these of its stored bits are compared, and without a sign.
    pub mask: Option<u64>,
    /// Its relation to `value`.
    pub relation: Relation,
    /// Two's complement, sign-extended to 64 bits if signed.
    pub value: u64,
}

impl NumberTest {
    /// Whether the sign of the number counts.
    #[must_use]
    pub const fn is_signed(&self) -> bool {
        self.ty.signed && self.mask.is_none()
    }
}

/// Source of a number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NumberSource {
    /// In the payload.
    Field {
        /// Which of the fields of the class.
        index: usize,
        /// Its location in an event.
        place: FieldPlace,
    },
    /// The thread, from the header.
    Tid,
    /// The process, from the header.
    Pid,
    /// The CPU whose ring the event is from.
    Cpu,
    /// The user of the thread, known only while the event happens.
    Uid,
    /// The cgroup of the thread (version 2), known only while the event happens.
    Cgroup,
}

/// Compares a string with a constant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TextTest {
    /// Source of the string.
    pub source: TextSource,
    /// What is true of it.
    pub check: TextCheck,
}

/// Source of a string.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TextSource {
    /// In the payload.
    Field {
        /// Which of the fields of the class.
        index: usize,
        /// Its location in an event.
        place: FieldPlace,
    },
    /// The thread's name.
    Comm,
}

/// What is true of a string.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TextCheck {
    /// It has these bytes.
    Equal(Box<str>),
    /// It has others.
    NotEqual(Box<str>),
    /// It matches this [pattern](crate::names::glob::matches).
    Glob(Box<str>),
}
