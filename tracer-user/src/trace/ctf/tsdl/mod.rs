//! Metadata text back to what it means: the part of TSDL (CTF 1.8, appendix C) that
//! `tracer` and LTTng write.
//!
//! [`parse`] gives the blocks of the text with every type resolved; whether a trace laid
//! out that way can be decoded is for its reader to say. Metadata is input from
//! elsewhere: sizes, counts and nesting are limited, and nothing here panics.

mod declare;
mod lexer;
mod parser;
mod types;

use thiserror::Error;

use crate::trace::ctf::metadata::EnvValue;

pub(crate) use types::{Enumeration, Integer, Member, Struct, Type};

/// Why metadata cannot be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("line {line}: {what}")]
pub struct TsdlError {
    /// Counted from 1.
    pub line: u32,
    /// What is wrong there.
    pub what: String,
}

/// All blocks of a metadata text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Document {
    pub(crate) trace: Option<TraceBlock>,
    pub(crate) env: Vec<(String, EnvValue)>,
    pub(crate) clocks: Vec<ClockBlock>,
    pub(crate) streams: Vec<StreamBlock>,
    pub(crate) events: Vec<EventBlock>,
}

/// `trace { … }`.
#[derive(Clone, Debug, Default)]
pub(crate) struct TraceBlock {
    pub(crate) major: u64,
    pub(crate) minor: u64,
    pub(crate) uuid: Option<[u8; 16]>,
    pub(crate) byte_order: Option<String>,
    pub(crate) packet_header: Option<Type>,
}

/// `clock { … }`.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClockBlock {
    pub(crate) uuid: Option<[u8; 16]>,
    /// Ticks per second.
    pub(crate) frequency: u64,
    /// Seconds from the epoch to the clock's zero, to be added to `offset`.
    pub(crate) offset_s: u64,
    /// Ticks from the epoch to the clock's zero.
    pub(crate) offset: u64,
}

/// `stream { … }`.
#[derive(Clone, Debug, Default)]
pub(crate) struct StreamBlock {
    pub(crate) id: u64,
    pub(crate) packet_context: Option<Type>,
    pub(crate) event_header: Option<Type>,
    pub(crate) event_context: Option<Type>,
}

/// `event { … }`.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventBlock {
    pub(crate) name: String,
    pub(crate) id: u64,
    pub(crate) stream_id: u64,
    pub(crate) context: Option<Type>,
    pub(crate) fields: Option<Type>,
    /// Where the block starts.
    pub(crate) line: u32,
}

/// Reads a metadata text.
///
/// # Errors
/// At the first thing that is not TSDL, or not of the part that is supported.
pub(crate) fn parse(text: &str) -> Result<Document, TsdlError> {
    parser::Parser::new(text)?.document()
}

/// Reads `be36d771-0210-43b6-9b2c-bfd035152159`.
pub(crate) fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|&c| c != '-')
        .map(|c| c.to_digit(16).map(|digit| digit as u8))
        .collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::ctf::metadata::format_uuid;

    #[test]
    fn a_formatted_uuid_reads_back() {
        let uuid = *b"\0\x10\xff3456789abcdef";
        assert_eq!(parse_uuid(&format_uuid(&uuid)), Some(uuid));
    }

    #[test]
    fn structures_that_were_declared_before_do_not_lie_deeper_than_others() {
        let chain = |length: u32| {
            let first = "struct s0 { integer { size = 8; } a; };".to_owned();
            let others = (1..length).map(|n| {
                let before = n - 1;
                format!("struct s{n} {{ struct s{before} a; struct s{before} b[2]; }};")
            });
            let text: String = std::iter::once(first).chain(others).collect();
            parse(&text).map(|_| ()).map_err(|error| error.what)
        };
        assert_eq!(chain(16), Ok(()));
        // Each is dropped inside the one before it, which takes a stack of their number.
        let too_deep = Err("types lie too deep inside each other".to_owned());
        assert_eq!(chain(17), too_deep);
        assert_eq!(chain(100_000), too_deep);
    }

    #[test]
    fn a_uuid_of_another_length_is_refused() {
        assert_eq!(parse_uuid("00-11"), None);
        assert_eq!(parse_uuid("g"), None);
        assert_eq!(parse_uuid(""), None);
    }
}
