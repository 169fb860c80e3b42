//! Places in what users typed, and how messages point at them.

use std::fmt;

/// Bytes `start..end` of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// Byte behind the last.
    pub end: usize,
}

impl Span {
    /// From the start of `self` to the end of `last`.
    pub(crate) const fn to(self, last: Self) -> Self {
        Self {
            start: self.start,
            end: last.end,
        }
    }
}

/// A part of a text and where it was typed. Equal to any other with the same value: two
/// texts that differ in blanks only are the same.
#[derive(Clone, Copy, Debug)]
pub struct Spanned<T> {
    /// What.
    pub value: T,
    /// Where; empty for what was not typed.
    pub span: Span,
}

impl<T: PartialEq> PartialEq for Spanned<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Spanned<T> {}

impl<T> From<T> for Spanned<T> {
    fn from(value: T) -> Self {
        Self {
            value,
            span: Span::default(),
        }
    }
}

impl<T: fmt::Display> fmt::Display for Spanned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.value, f)
    }
}

/// The text without line breaks, and with tabs as wide as other characters, so that marks
/// can stand below it.
pub(crate) fn one_line(text: &str) -> String {
    let blank = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(blank).collect()
}

/// A line that marks the place in the line above it.
pub(crate) fn marks(text: &str, span: Span) -> String {
    let columns = |bytes: &str| bytes.chars().count();
    let before = columns(text.get(..span.start).unwrap_or(text));
    let marked = columns(text.get(span.start..span.end).unwrap_or_default()).max(1);
    format!("{:before$}{:^<marked$}", "", "")
}
