//! What can be wrong with a fetch list, and where in its text.

use thiserror::Error;

use super::MAX_FETCHED;
use crate::names::place::{Span, marks, one_line};

/// Why a text is no fetch list, or none for a probe. Displays as the cause, then the text
/// between the braces in a line of its own, then a line that marks the place in it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{}\n  {}\n  {}", one_line(&problem.to_string()), one_line(text), marks(text, *span))]
pub struct FetchError {
    text: Box<str>,
    span: Span,
    problem: Box<Problem>,
}

impl FetchError {
    pub(super) fn new(text: &str, fault: Fault) -> Self {
        Self {
            text: text.into(),
            span: fault.span,
            problem: fault.problem,
        }
    }

    /// Where in the text between the braces.
    #[must_use]
    pub fn span(&self) -> Span {
        self.span
    }

    /// What is wrong there.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        &self.problem
    }
}

/// A problem before the text that it is in is put beside it.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) span: Span,
    pub(super) problem: Box<Problem>,
}

impl Fault {
    pub(super) fn new(span: Span, problem: Problem) -> Self {
        Self {
            span,
            problem: Box::new(problem),
        }
    }
}

/// What is wrong with a fetch list.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Problem {
    /// Nothing between the braces.
    #[error("nothing to fetch between the braces; name a value, or leave the braces out")]
    Empty,
    /// More than a program can fetch.
    #[error("at most {MAX_FETCHED} values can be fetched by one probe; leave some out")]
    TooMany,
    /// A character that no part of an expression starts with.
    #[error("`{}` means nothing in an expression", .0.escape_debug())]
    Character(char),
    /// Digits that are no index.
    #[error(
        "`{0}` is not an index; write a whole number, decimal (`12`) or hexadecimal (`0xc`), \
         below 4294967296"
    )]
    Number(String),
    /// Something else should stand here.
    #[error("expected {expected}, found {found}")]
    Expected {
        /// What should.
        expected: &'static str,
        /// What does.
        found: String,
    },
    /// A parenthesis that is not closed.
    #[error("the parenthesis is never closed; add a `)`")]
    Unclosed,
    /// Too long a way.
    #[error("the way to the value has more than {0} steps; begin nearer, with a cast")]
    TooDeep(u32),
    /// Words that are no type together.
    #[error("these words are no type; write one such as `struct sock *`, `u32` or `unsigned long`")]
    TypeWords,
    /// No such format.
    #[error(
        "there is no format `{0}`; write `str` or `ustr` (a string of the kernel or of the \
         process), or `d`, `u`, `x`, `o` with a size or without, as in `x32` (`s32` is `d32`)"
    )]
    Format(String),
}
