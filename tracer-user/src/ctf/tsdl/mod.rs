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

use super::metadata::EnvValue;

pub(super) use types::{Enumeration, Integer, Member, Struct, Type};

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
pub(super) struct Document {
    pub(super) trace: Option<TraceBlock>,
    pub(super) env: Vec<(String, EnvValue)>,
    pub(super) clocks: Vec<ClockBlock>,
    pub(super) streams: Vec<StreamBlock>,
    pub(super) events: Vec<EventBlock>,
}

/// `trace { … }`.
#[derive(Clone, Debug, Default)]
pub(super) struct TraceBlock {
    pub(super) major: u64,
    pub(super) minor: u64,
    pub(super) uuid: Option<[u8; 16]>,
    pub(super) byte_order: Option<String>,
    pub(super) packet_header: Option<Type>,
}

/// `clock { … }`.
#[derive(Clone, Debug, Default)]
pub(super) struct ClockBlock {
    pub(super) uuid: Option<[u8; 16]>,
    /// Ticks per second.
    pub(super) frequency: u64,
    /// Seconds from the epoch to the clock's zero, to be added to `offset`.
    pub(super) offset_s: u64,
    /// Ticks from the epoch to the clock's zero.
    pub(super) offset: u64,
}

/// `stream { … }`.
#[derive(Clone, Debug, Default)]
pub(super) struct StreamBlock {
    pub(super) id: u64,
    pub(super) packet_context: Option<Type>,
    pub(super) event_header: Option<Type>,
    pub(super) event_context: Option<Type>,
}

/// `event { … }`.
#[derive(Clone, Debug, Default)]
pub(super) struct EventBlock {
    pub(super) name: String,
    pub(super) id: u64,
    pub(super) stream_id: u64,
    pub(super) context: Option<Type>,
    pub(super) fields: Option<Type>,
    /// Where the block starts.
    pub(super) line: u32,
}

/// Reads a metadata text.
///
/// # Errors
/// At the first thing that is not TSDL, or not of the part that is supported.
pub(super) fn parse(text: &str) -> Result<Document, TsdlError> {
    parser::Parser::new(text)?.document()
}

/// Reads `be36d771-0210-43b6-9b2c-bfd035152159`.
pub(super) fn parse_uuid(text: &str) -> Option<[u8; 16]> {
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
    use crate::ctf::metadata::format_uuid;

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
