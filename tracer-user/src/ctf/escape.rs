//! Bytes of unknown origin in lines of text.

use std::fmt::Write as _;

/// Appends `bytes`; those that are not printable ASCII, and backslashes, as `\xNN`.
pub(super) fn push(line: &mut String, bytes: &[u8]) {
    for &byte in bytes {
        if matches!(byte, b' '..=b'~') && byte != b'\\' {
            line.push(byte as char);
        } else {
            // writing to a string cannot fail
            let _ = write!(line, "\\x{byte:02x}");
        }
    }
}

/// The bytes that [`push`] wrote; `None` for other text.
pub(super) fn undo(mut text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    while let Some((&first, rest)) = text.split_first() {
        text = rest;
        if first == b'\\' {
            let digits = rest.strip_prefix(b"x")?.get(..2)?;
            let digits = std::str::from_utf8(digits).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            text = &rest[3..];
        } else {
            bytes.push(first);
        }
    }
    Some(bytes)
}
