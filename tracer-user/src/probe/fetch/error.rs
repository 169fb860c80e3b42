//! Errors in fetch lists, with their position in the text.

use thiserror::Error;

use crate::names::Suggestions;
use crate::names::place::{self, Misplaced};
use crate::probe::fetch::value::MAX_FETCHED;

/// Why a fetch list is invalid; its position is in the text between the braces.
pub type FetchError = Misplaced<FetchProblem>;

/// The same before the text is known.
pub(super) type Fault = place::Fault<FetchProblem>;

/// What is wrong with a fetch list.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FetchProblem {
    /// Nothing between the braces.
    #[error("nothing to fetch between the braces; name a value, or remove the braces")]
    Empty,
    /// More than a program can fetch.
    #[error("one probe can fetch at most {MAX_FETCHED} values; remove some")]
    TooMany,
    /// An unexpected character.
    #[error("unexpected character `{}`", .0.escape_debug())]
    Character(char),
    /// Digits that are not an index.
    #[error(
        "`{0}` is not an index; use a whole number, decimal (`12`) or hexadecimal (`0xc`), \
         below 4294967296"
    )]
    Number(String),
    /// Something else was expected.
    #[error("expected {expected}, found {found}")]
    Expected {
        /// What was expected.
        expected: &'static str,
        /// What was found.
        found: String,
    },
    /// A parenthesis that is not closed.
    #[error("unclosed parenthesis; add a `)`")]
    Unclosed,
    /// Too many steps to a value.
    #[error("more than {0} steps to the value; start closer to it, with a cast")]
    TooDeep(u32),
    /// Words that are not a type.
    #[error("not a type; use one such as `struct sock *`, `u32` or `unsigned long`")]
    TypeWords,
    /// No such format.
    #[error(
        "unknown format `{0}`; use `str` or `ustr` (a string in memory of the kernel or of the \
        process), or `d`, `u`, `x`, `o`, optionally with a size, as in `x32` (`d32` for `s32`)"
    )]
    Format(String),
    /// Two fields with the same name.
    #[error("two fields are named `{0}`; give one of them another name")]
    DuplicateName(String),
    /// A field with the name of the mask of faults.
    #[error("this name is reserved for a field that tracer adds; choose another one")]
    ReservedName,
    /// An expression starts with an unknown name.
    #[error(
        "no value is named `{name}` here{suggestions}{} available: {names}",
        .suggestions.separator()
    )]
    NoSuchName {
        /// As typed.
        name: String,
        /// Similar names.
        suggestions: Suggestions,
        /// Available names.
        names: String,
    },
    /// An expression starts with something that cannot be fetched.
    #[error("cannot fetch `{name}`: {reason}")]
    LeftOut {
        /// As typed.
        name: String,
        /// Cause.
        reason: String,
    },
    /// A structure has no such member.
    #[error(
        "`{ty}` has no member `{name}`{suggestions}{} it has {names}",
        .suggestions.separator()
    )]
    NoSuchMember {
        /// The structure.
        ty: String,
        /// As typed.
        name: String,
        /// Similar members.
        suggestions: Suggestions,
        /// Its members.
        names: String,
    },
    /// A member of something that is not a structure.
    #[error(
        "`{what}` is a `{ty}`, which has no members; cast it to a pointer to a structure: \
         `((struct NAME *){what})->{name}`"
    )]
    NoMembers {
        /// What was typed before the step.
        what: String,
        /// Its type.
        ty: String,
        /// The member.
        name: String,
    },
    /// A structure that BTF declares but does not define.
    #[error("`{0}` is declared but not defined in the kernel's BTF; cast to a structure that is")]
    Forward(String),
    /// A number is dereferenced, or a pointer to a type without size.
    #[error("`{what}` is a `{ty}`, not a pointer; cast it, as in `*(u64 *){what}`")]
    NotAPointer {
        /// What is dereferenced.
        what: String,
        /// Its type.
        ty: String,
    },
    /// An index beyond the end of an array.
    #[error("index {index} is out of range: `{what}` has {length} elements")]
    NoSuchElement {
        /// The array.
        what: String,
        /// As typed.
        index: u32,
        /// How many it has.
        length: u32,
    },
    /// A structure is to be recorded.
    #[error("`{what}` is a `{ty}`, which cannot be recorded as a whole; choose a member: {names}")]
    NeedsMember {
        /// What is to be recorded.
        what: String,
        /// Its type.
        ty: String,
        /// Its members.
        names: String,
    },
    /// An array is to be recorded.
    #[error(
        "`{what}` is a `{ty}`, which cannot be recorded as a whole; choose an element, as in \
        `{what}[0]`, or use `{what}:str` for text"
    )]
    NeedsElement {
        /// What is to be recorded.
        what: String,
        /// Its type.
        ty: String,
    },
    /// It has no value.
    #[error("`{what}` is a `{ty}`, which has no value to record; cast its address")]
    NoValue {
        /// What is to be recorded.
        what: String,
        /// Its type.
        ty: String,
    },
    /// A number or a structure is to be a string.
    #[error(
        "`{what}` is a `{ty}`, not a pointer or an array of characters; remove the format, or \
        choose a member"
    )]
    NoString {
        /// What is to be recorded.
        what: String,
        /// Its type.
        ty: String,
    },
    /// More bits than the value has.
    #[error("`{wanted}` has {wanted_bits} bits, but `{what}` only {bits}; use a smaller size")]
    Wider {
        /// What is to be recorded or cast.
        what: String,
        /// How many it has.
        bits: u16,
        /// The format or the type.
        wanted: String,
        /// How many that has.
        wanted_bits: u16,
    },
    /// `&` before a value that is not in memory.
    #[error("`{0}` has no address: it is in a register, is a bit-field, or is an address itself")]
    NoAddress(String),
    /// A structure in registers.
    #[error("this value is in registers; only values in memory have members and elements")]
    InRegister,
    /// A pointer in the memory of the process.
    #[error(
        "this pointer is in the process's memory, where only one step can be read; fetch the \
        pointer itself"
    )]
    UserPointer,
    /// Further than a program can go in one step.
    #[error("the offset is larger than 2 GiB")]
    TooFar,
    /// A type that BTF does not have.
    #[error("unknown type `{name}`{suggestions}")]
    NoSuchType {
        /// As typed, without `*`.
        name: String,
        /// The name with another tag.
        suggestions: Suggestions,
    },
    /// A cast without BTF.
    #[error("unknown type `{0}`: the kernel has no BTF (CONFIG_DEBUG_INFO_BTF); remove the cast")]
    NoTypes(String),
    /// A structure as a value.
    #[error("cannot cast to `{0}`; cast to a pointer instead: `({0} *)`")]
    CastToStructure(String),
}

/// The most names in a message.
const MAX_LISTED: usize = 12;

/// `a`, `b` and 3 more.
pub(super) fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<&str> = names.collect();
    let shown: Vec<String> = names
        .iter()
        .take(MAX_LISTED)
        .map(|name| format!("`{name}`"))
        .collect();
    match names.len().saturating_sub(MAX_LISTED) {
        0 if shown.is_empty() => "none".to_owned(),
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
