//! Metadata text of CTF 1.8 (TSDL, appendix C of its specification) to a [`Document`].
//!
//! Whether a trace laid out that way can be decoded is for [`layout`](super::layout) to
//! decide. Metadata is untrusted input: sizes, counts and nesting are limited, and nothing
//! here panics.

mod declare;
mod lexer;
mod parser;

use thiserror::Error;

use crate::trace::ctf::schema::Document;

/// Why metadata cannot be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("line {line}: {what}")]
pub struct TsdlError {
    /// Counted from 1.
    pub line: u32,
    /// What is wrong there.
    pub what: String,
}

/// Parses a metadata text.
///
/// # Errors
/// At the first thing that is not TSDL, or not of the part that is supported.
pub(crate) fn parse(text: &str) -> Result<Document, TsdlError> {
    // Types without a byte order have the trace's, which is declared after some of them.
    let (document, big_endian) = parser::Parser::new(text, false)?.document()?;
    if big_endian {
        return Ok(parser::Parser::new(text, true)?.document()?.0);
    }
    Ok(document)
}

/// Parses `be36d771-0210-43b6-9b2c-bfd035152159`.
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
    fn structures_declared_before_nest_no_deeper_than_others() {
        let chain = |length: u32| {
            let first = "struct s0 { integer { size = 8; } a; };".to_owned();
            let others = (1..length).map(|n| {
                let before = n - 1;
                format!("struct s{n} {{ struct s{before} a[2]; }};")
            });
            let trace = "trace { major = 1; minor = 8; };".to_owned();
            let text: String = [trace, first].into_iter().chain(others).collect();
            parse(&text).map(|_| ()).map_err(|error| error.what)
        };
        assert_eq!(chain(16), Ok(()));
        // Each is dropped inside the one before it, which takes a stack of their number.
        let too_deep = Err("a type is nested too deeply or too large".to_owned());
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
