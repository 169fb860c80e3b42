//! Errors in filters, with their position in the text.

use thiserror::Error;

use crate::names::Suggestions;
use crate::names::place::{self, Misplaced};
use crate::probe::filter::value_type::ValueType;

/// Why a filter is invalid; its position is in the text of the filter.
pub type FilterError = Misplaced<FilterProblem>;

/// The same before the text is known.
pub(super) type Fault = place::Fault<FilterProblem>;

/// What is wrong with a filter.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FilterProblem {
    /// Nothing but blanks.
    #[error("the filter is empty; write a condition such as `pid == 1`")]
    Empty,
    /// An unexpected character.
    #[error("unexpected character `{}`{}", .0.escape_debug(), instead(*.0))]
    Character(char),
    /// Digits that are not a number.
    #[error(
        "`{0}` is not a number; use a whole number without a unit: decimal (`12`), hexadecimal \
        (`0x1f`) or octal (`017`)"
    )]
    Number(String),
    /// A number that no field can have.
    #[error("`{0}` does not fit into 64 bits")]
    NumberSize(String),
    /// A string that is not terminated.
    #[error("unterminated string; close it with `{0}`")]
    OpenString(char),
    /// A backslash that is followed by neither a quote nor a backslash.
    #[error(
        "invalid escape: a backslash can only precede a quote or another backslash; write `\\\\` \
        for one"
    )]
    Escape,
    /// Something else was expected.
    #[error("expected {expected}{after}, found {found}", after = following(.after.as_deref()))]
    Expected {
        /// What was expected.
        expected: &'static str,
        /// What was typed right before.
        after: Option<String>,
        /// What was found.
        found: String,
    },
    /// A parenthesis that is not closed.
    #[error("unclosed parenthesis; add a `)`")]
    Unclosed,
    /// A parenthesis that was not opened.
    #[error("unmatched `)`; add a `(` before it, or remove it")]
    Unopened,
    /// The result of a comparison in another comparison.
    #[error(
        "comparisons cannot be chained; join two with `&&`, as in `pid > 1 && pid < 9` \
         for `1 < pid < 9`"
    )]
    Chained,
    /// A name without comparison.
    #[error(
        "`{0}` alone is not a condition; compare it, as in `{0} != 0`, or test bits, as in \
         `{0} & 0x1`"
    )]
    NameAlone(String),
    /// A name where a literal should be.
    #[error(
        "`{0}` is a name, but values are compared with literals; use a number, or a string in \
        quotes: `\"{0}\"`"
    )]
    NameOnTheRight(String),
    /// A literal where a name should be.
    #[error("a comparison starts with a name, not with `{0}`; write `pid > 1` for `1 < pid`")]
    LiteralOnTheLeft(String),
    /// `a & 3 == 1`, which C parses as `a & (3 == 1)`.
    #[error("ambiguous `&`; use parentheses, as in `(flags & 0x3) == 1`")]
    BareMask,
    /// `!a == 1`, which C parses as `(!a) == 1`.
    #[error("`!` needs a parenthesis, as in `!(pid == 1)`")]
    BareNot,
    /// Parentheses and `!` within each other.
    #[error("conditions are nested more than {0} levels deep; remove parentheses")]
    TooDeep(u32),
    /// Neither a field nor a context.
    #[error(
        "`{class}` has no field `{name}`{suggestions}{} it has {fields}; every event has {contexts}",
        .suggestions.separator()
    )]
    NoSuchField {
        /// As typed.
        name: String,
        /// The event class.
        class: String,
        /// Similar fields and context fields.
        suggestions: Suggestions,
        /// Those that can be used.
        fields: String,
        /// The contexts.
        contexts: String,
    },
    /// Not a context field.
    #[error(
        "unknown context field `{name}`{suggestions}{} every event has {contexts}",
        .suggestions.separator()
    )]
    NoSuchContext {
        /// As typed, without `ctx.`.
        name: String,
        /// Similar context fields.
        suggestions: Suggestions,
        /// The available ones.
        contexts: String,
    },
    /// A field that has many values.
    #[error("cannot compare `{name}`: it is {ty}; only strings and single numbers can be compared")]
    ManyValues {
        /// The field.
        name: String,
        /// What it is.
        ty: ValueType,
    },
    /// A string with a number or a number with a string.
    #[error("cannot compare `{name}`, {ty}, with `{literal}`, {literal_ty}; {hint}")]
    Mismatch {
        /// What is compared.
        name: String,
        /// Its type.
        ty: ValueType,
        /// As typed.
        literal: String,
        /// Its type.
        literal_ty: &'static str,
        /// How to fix it.
        hint: &'static str,
    },
    /// A time with something that is not a duration.
    #[error(
        "cannot compare `{name}` with the time `{literal}`: units are for `duration` of calls; remove \
        the unit"
    )]
    NotADuration {
        /// What is compared.
        name: String,
        /// As typed.
        literal: String,
    },
    /// An operator that the type does not have.
    #[error("`{operator}` is for {needs}, but `{name}` is {ty}; use {instead}")]
    Operator {
        /// The operator.
        operator: &'static str,
        /// What it is for.
        needs: &'static str,
        /// What it should compare.
        name: String,
        /// Its type.
        ty: ValueType,
        /// Operators that the type has.
        instead: &'static str,
    },
    /// A number that the value cannot have.
    #[error("`{number}` is out of range for `{name}`, {ty}: {min} to {max}")]
    Range {
        /// The number.
        number: i128,
        /// What it is compared with.
        name: String,
        /// Its type.
        ty: ValueType,
        /// The smallest number that it can have.
        min: i128,
        /// The largest.
        max: i128,
    },
    /// A string that the field cannot hold.
    #[error(
        "the string is {len} bytes long, but `{name}` holds at most {max}; use a pattern: `{name} \
        ~ {pattern}`"
    )]
    TextLength {
        /// Of the literal, in bytes.
        len: usize,
        /// The field.
        name: String,
        /// What it holds, in bytes.
        max: u32,
        /// What may have been meant.
        pattern: String,
    },
}

/// What may have been meant by an unexpected character.
fn instead(character: char) -> &'static str {
    match character {
        '=' => "; write `==` for equal, `~` for a pattern",
        '|' => "; write `||` for or",
        '‘' | '’' | '“' | '”' | '`' => "; use straight quotes for strings",
        _ => "",
    }
}

fn following(before: Option<&str>) -> String {
    before.map_or_else(String::new, |before| format!(" after `{before}`"))
}
