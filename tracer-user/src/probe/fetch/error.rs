//! What can be wrong with a fetch list, and where in its text.

use thiserror::Error;

use crate::names::Suggestions;
use crate::names::place::{self, Misplaced};
use crate::probe::fetch::MAX_FETCHED;

/// Why a text is no fetch list, or none for a probe; its place is in the text between the braces.
pub type FetchError = Misplaced<FetchProblem>;

/// The same before the text is known.
pub(super) type Fault = place::Fault<FetchProblem>;

/// What is wrong with a fetch list.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FetchProblem {
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
    /// Two fields are to have one name.
    #[error("two fields are called `{0}`; give one another name")]
    DuplicateName(String),
    /// A field is to have the name of the mask of faults.
    #[error("the recorder adds a field of this name itself; choose another one")]
    ReservedName,
    /// A way begins with a name that there is not.
    #[error("there is no `{name}` here{suggestions}{} there is {names}", .suggestions.separator())]
    NoSuchName {
        /// As typed.
        name: String,
        /// Names that are much like it.
        suggestions: Suggestions,
        /// Those that there are.
        names: String,
    },
    /// A way begins with something that cannot be fetched.
    #[error("`{name}` cannot be fetched: {reason}")]
    LeftOut {
        /// As typed.
        name: String,
        /// Cause.
        reason: String,
    },
    /// A structure has no such member.
    #[error("`{ty}` has no member `{name}`{suggestions}{} it has {names}", .suggestions.separator())]
    NoSuchMember {
        /// The structure.
        ty: String,
        /// As typed.
        name: String,
        /// Members that are much like it.
        suggestions: Suggestions,
        /// Those that it has.
        names: String,
    },
    /// A member of something else than a structure.
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
    /// A structure of which the kernel describes the name only.
    #[error("the kernel does not say what is in `{0}`; cast to a structure that it describes")]
    Forward(String),
    /// A number is followed, or a pointer to what has no size.
    #[error(
        "`{what}` is a `{ty}`, which leads nowhere; cast it to a pointer, as in `*(u64 *){what}`"
    )]
    NotAPointer {
        /// What is to be followed.
        what: String,
        /// Its type.
        ty: String,
    },
    /// An index beyond the end of an array.
    #[error("`{what}` has {length} elements, from 0 on; there is none with index {index}")]
    NoSuchElement {
        /// The array.
        what: String,
        /// As typed.
        index: u32,
        /// How many it has.
        length: u32,
    },
    /// A structure is to be recorded.
    #[error("`{what}` is a `{ty}`, which is not recorded as a whole; name a member: {names}")]
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
        "`{what}` is a `{ty}`, which is not recorded as a whole; name an element, as in \
         `{what}[0]`, or write `{what}:str` if it is text"
    )]
    NeedsElement {
        /// What is to be recorded.
        what: String,
        /// Its type.
        ty: String,
    },
    /// Nothing that has a value.
    #[error("`{what}` is a `{ty}`, which has no value that could be recorded; cast its address")]
    NoValue {
        /// What is to be recorded.
        what: String,
        /// Its type.
        ty: String,
    },
    /// A number or a structure is to be a string.
    #[error(
        "`{what}` is a `{ty}`, and strings are behind pointers or in arrays of characters; leave \
         the format out, or name a member"
    )]
    NoString {
        /// What is to be recorded.
        what: String,
        /// Its type.
        ty: String,
    },
    /// More bits than the value has.
    #[error("`{what}` has {bits} bits, and `{wanted}` takes {wanted_bits}; choose a smaller one")]
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
    /// `&` before what is in no memory.
    #[error("`{0}` has no address: it is a register, a bit-field or an address itself")]
    NoAddress(String),
    /// A structure in registers.
    #[error("this value is in registers; only what is in memory has members and elements")]
    InRegister,
    /// A pointer that the process keeps in its own memory.
    #[error(
        "this pointer lies in the memory of the process, and only one step leads there; fetch \
         the pointer itself"
    )]
    UserPointer,
    /// Further than a program can go in a step.
    #[error("this lies more than 2 GiB behind the start of what it is in")]
    TooFar,
    /// A type that BTF does not have.
    #[error("the kernel has no type `{name}`{suggestions}")]
    NoSuchType {
        /// As typed, without `*`.
        name: String,
        /// The name with another tag.
        suggestions: Suggestions,
    },
    /// A cast without BTF.
    #[error(
        "`{0}` is not known: this kernel does not describe its types (CONFIG_DEBUG_INFO_BTF); \
         leave the cast out"
    )]
    NoTypes(String),
    /// A structure as a value.
    #[error("values cannot be taken for a `{0}`; cast to a pointer: `({0} *)`")]
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
