//! What can be wrong with a filter, and where in its text.

use thiserror::Error;

use crate::names::Suggestions;
use crate::names::place::{self, Misplaced};
use crate::probe::filter::value_type::ValueType;

/// Why a text is no filter, or none for an event class; its place is in the filter.
pub type FilterError = Misplaced<FilterProblem>;

/// The same before the text is known.
pub(super) type Fault = place::Fault<FilterProblem>;

/// What is wrong with a filter.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FilterProblem {
    /// Nothing but blanks.
    #[error("the filter is empty; write a condition such as `pid == 1`")]
    Empty,
    /// A character that no part of a filter starts with.
    #[error("`{}` means nothing in a filter{}", .0.escape_debug(), instead(*.0))]
    Character(char),
    /// Digits that are no number.
    #[error(
        "`{0}` is not a number; write whole numbers without units, decimal (`12`), hexadecimal \
         (`0x1f`) or octal (`017`)"
    )]
    Number(String),
    /// A number that no field can have.
    #[error("`{0}` does not fit into 64 bits")]
    NumberSize(String),
    /// A string without end.
    #[error("the string has no end; close it with `{0}`")]
    OpenString(char),
    /// A backslash before something else than a quote or a backslash.
    #[error("a backslash stands before a quote or another backslash only; write `\\\\` for one")]
    Escape,
    /// Something else should stand here.
    #[error("expected {expected}{after}, found {found}", after = behind(.after.as_deref()))]
    Expected {
        /// What should.
        expected: &'static str,
        /// What was typed right before.
        after: Option<String>,
        /// What does.
        found: String,
    },
    /// A parenthesis that is not closed.
    #[error("the parenthesis is never closed; add a `)`")]
    Unclosed,
    /// A parenthesis that was not opened.
    #[error("the parenthesis closes none; add a `(` before, or leave it out")]
    Unopened,
    /// The result of a comparison in another comparison.
    #[error(
        "a comparison cannot be compared again; join two with `&&`, as in `pid > 1 && pid < 9` \
         for `1 < pid < 9`"
    )]
    Chained,
    /// A name without comparison.
    #[error(
        "`{0}` alone is no condition; compare it, as in `{0} != 0`, or test bits, as in \
         `{0} & 0x1`"
    )]
    NameAlone(String),
    /// A name where a literal should be.
    #[error(
        "`{0}` is a name, and values are compared with literals; write a number, or a string in \
         quotes: `\"{0}\"`"
    )]
    NameOnTheRight(String),
    /// A literal where a name should be.
    #[error("`{0}` stands on the left; a comparison begins with a name: `pid > 1` for `1 < pid`")]
    LiteralOnTheLeft(String),
    /// `a & 3 == 1`, which C reads in a way that nobody means.
    #[error("it is not clear what `&` belongs to; write `(flags & 0x3) == 1`")]
    BareMask,
    /// `!a == 1`, which C reads in a way that nobody means.
    #[error("`!` stands before a parenthesis; write `!(pid == 1)`")]
    BareNot,
    /// Parentheses and `!` within each other.
    #[error("the conditions are nested more than {0} deep; leave out parentheses")]
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
        /// Fields and contexts that are much like it.
        suggestions: Suggestions,
        /// Those that can be used.
        fields: String,
        /// The contexts.
        contexts: String,
    },
    /// No context.
    #[error("there is no context `{name}`{suggestions}{} every event has {contexts}", .suggestions.separator())]
    NoSuchContext {
        /// As typed, without `ctx.`.
        name: String,
        /// Contexts that are much like it.
        suggestions: Suggestions,
        /// Those that there are.
        contexts: String,
    },
    /// A field that has many values.
    #[error("cannot compare `{name}`: it is {ty}, and only strings and single numbers can be")]
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
        /// The way out.
        hint: &'static str,
    },
    /// An operator that the type has not.
    #[error("`{operator}` is for {needs}, and `{name}` is {ty}; use {instead}")]
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
    #[error("`{number}` does not fit `{name}`, {ty}: {min} to {max}")]
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
        "the string has {len} bytes, and `{name}` at most {max}; compare it with a pattern: `{name} ~ {pattern}`"
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

/// What to write for a character that means nothing.
fn instead(character: char) -> &'static str {
    match character {
        '=' => "; write `==` for equal, `~` for a pattern",
        '|' => "; write `||` for or",
        '‘' | '’' | '“' | '”' | '`' => "; strings have straight quotes",
        _ => "",
    }
}

fn behind(before: Option<&str>) -> String {
    before.map_or_else(String::new, |before| format!(" after `{before}`"))
}
