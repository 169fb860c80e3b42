//! The tree of a filter: what was typed, before any event class is asked.
//!
//! Its `Display` is a filter again, which parses to an equal tree.

use std::cmp::Ordering;
use std::fmt;

use crate::probe::filter::time::Time;

pub use crate::names::place::{Span, Spanned};

/// A condition on an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expr {
    /// `a || b || …`, at least two.
    Any(Vec<Expr>),
    /// `a && b && …`, at least two.
    All(Vec<Expr>),
    /// `!a`.
    Not(Box<Expr>),
    /// A look at one value.
    Test(Test),
}

/// A look at one value of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// `flags & 0x40`: whether any of the bits is set.
    Bits {
        /// The value.
        name: Spanned<Name>,
        /// The bits.
        mask: Spanned<i128>,
    },
    /// `pid == 1`, `comm ~ "k*"`, `(flags & 3) == 1`.
    Compare {
        /// The value.
        name: Spanned<Name>,
        /// The bits of it that are compared.
        mask: Option<Spanned<i128>>,
        /// How.
        operator: Spanned<Operator>,
        /// With what.
        literal: Spanned<Literal>,
    },
}

/// What a value is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// `prev_pid`: a field, else a context field.
    Plain(String),
    /// `ctx.pid`: a context, whatever fields there are.
    Context(String),
}

/// Compares a value (left) with a literal (right).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// Equal, less, and so on.
    Relation(Relation),
    /// `~`: a string with a pattern.
    Glob,
}

/// How two values may stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Relation {
    /// `==`.
    Equal,
    /// `!=`.
    NotEqual,
    /// `<`.
    Less,
    /// `<=`.
    LessOrEqual,
    /// `>`.
    Greater,
    /// `>=`.
    GreaterOrEqual,
}

/// A value that was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal {
    /// A number that fits into 64 bits, with a sign or without.
    Number(i128),
    /// A number with a unit of time.
    Time(Time),
    /// A string or a pattern.
    Text(String),
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any(parts) => joined(f, parts, " || ", |part| matches!(part, Self::Any(_))),
            Self::All(parts) => joined(f, parts, " && ", Self::is_joined),
            Self::Not(part) if matches!(**part, Self::Not(_)) => write!(f, "!{part}"),
            Self::Not(part) => write!(f, "!({part})"),
            Self::Test(test) => write!(f, "{test}"),
        }
    }
}

impl Expr {
    fn is_joined(&self) -> bool {
        matches!(self, Self::Any(_) | Self::All(_))
    }
}

fn joined(
    f: &mut fmt::Formatter<'_>,
    parts: &[Expr],
    separator: &str,
    in_parentheses: impl Fn(&Expr) -> bool,
) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            f.write_str(separator)?;
        }
        if in_parentheses(part) {
            write!(f, "({part})")?;
        } else {
            write!(f, "{part}")?;
        }
    }
    Ok(())
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bits { name, mask } => write!(f, "{name} & {}", Mask(mask.value)),
            Self::Compare {
                name,
                mask: None,
                operator,
                literal,
            } => write!(f, "{name} {operator} {literal}"),
            Self::Compare {
                name,
                mask: Some(mask),
                operator,
                literal,
            } => write!(f, "({name} & {}) {operator} {literal}", Mask(mask.value)),
        }
    }
}

struct Mask(i128);

impl fmt::Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 0 {
            write!(f, "{}", self.0)
        } else {
            write!(f, "{:#x}", self.0)
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(name) => f.write_str(name),
            Self::Context(name) => write!(f, "ctx.{name}"),
        }
    }
}

impl Operator {
    /// As it is typed.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Relation(Relation::Equal) => "==",
            Self::Relation(Relation::NotEqual) => "!=",
            Self::Relation(Relation::Less) => "<",
            Self::Relation(Relation::LessOrEqual) => "<=",
            Self::Relation(Relation::Greater) => ">",
            Self::Relation(Relation::GreaterOrEqual) => ">=",
            Self::Glob => "~",
        }
    }
}

impl Relation {
    /// Whether it holds where the left value is `ordering` than the right one.
    #[must_use]
    pub const fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::NotEqual => ordering.is_ne(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Time(time) => write!(f, "{time}"),
            Self::Text(text) => {
                let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
                write!(f, "\"{escaped}\"")
            }
        }
    }
}
