//! Positions in text that a user typed, and messages that point at them.

use std::fmt;

/// Bytes `start..end` of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// From the start of `self` to the end of `last`.
    #[must_use]
    pub const fn to(self, last: Self) -> Self {
        Self {
            start: self.start,
            end: last.end,
        }
    }
}

/// A part of a text and where it was typed. The span is ignored in comparisons: two texts that
/// differ only in blanks are equal.
#[derive(Clone, Copy, Debug)]
pub struct Spanned<T> {
    /// The part.
    pub value: T,
    /// Where it was typed; empty for a default.
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

/// An error in text that a user typed, and where. Displays as the cause, then the text on the
/// next line, then a line of marks below the span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misplaced<P> {
    text: Box<str>,
    fault: Fault<P>,
}

/// A problem and where it is, before the text is added to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault<P> {
    /// Where in the text.
    pub span: Span,
    /// What is wrong there.
    pub problem: Box<P>,
}

impl<P> Fault<P> {
    /// `problem` at `span`.
    pub fn new(span: Span, problem: P) -> Self {
        Self {
            span,
            problem: Box::new(problem),
        }
    }
}

impl<P> Misplaced<P> {
    /// A fault in `text`.
    #[must_use]
    pub fn new(text: &str, fault: Fault<P>) -> Self {
        Self {
            text: text.into(),
            fault,
        }
    }

    /// Where in the text.
    #[must_use]
    pub fn span(&self) -> Span {
        self.fault.span
    }

    /// What is wrong there.
    #[must_use]
    pub fn problem(&self) -> &P {
        &self.fault.problem
    }
}

impl<P: fmt::Display> fmt::Display for Misplaced<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cause = one_line(&self.problem().to_string());
        let marks = marks(&self.text, self.span());
        write!(f, "{cause}\n  {}\n  {marks}", one_line(&self.text))
    }
}

impl<P: fmt::Display + fmt::Debug> std::error::Error for Misplaced<P> {}

/// Replaces control characters such as line breaks and tabs by blanks, so that the marks below
/// line up.
fn one_line(text: &str) -> String {
    let blank = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(blank).collect()
}

/// A line with marks below `span` of `text`.
fn marks(text: &str, span: Span) -> String {
    let columns = |bytes: &str| bytes.chars().count();
    let before = columns(text.get(..span.start).unwrap_or(text));
    let marked = columns(text.get(span.start..span.end).unwrap_or_default()).max(1);
    format!("{:before$}{:^<marked$}", "", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str, start: usize, end: usize) -> Misplaced<&'static str> {
        Misplaced::new(text, Fault::new(Span { start, end }, "no"))
    }

    fn lines(error: &Misplaced<&str>) -> Vec<String> {
        let shown = error.to_string();
        shown.lines().skip(1).map(ToOwned::to_owned).collect()
    }

    #[test]
    fn the_span_is_marked_below_the_text() {
        let error = error("a < b <= c", 6, 8);
        assert_eq!(lines(&error), ["  a < b <= c", "        ^^"]);
    }

    #[test]
    fn a_line_break_in_the_text_does_not_break_the_cause() {
        let error = Misplaced::new("x", Fault::new(Span::default(), "`a\nb` is not a name"));
        assert_eq!(error.to_string().lines().count(), 3);
    }

    #[test]
    fn the_end_of_the_text_has_a_mark_too() {
        assert_eq!(lines(&error("ab", 2, 2)), ["  ab", "    ^"]);
    }

    #[test]
    fn the_mark_counts_characters_and_lines_do_not_break() {
        assert_eq!(lines(&error("é\n\tx", 4, 5)), ["  é  x", "     ^"]);
    }
}
