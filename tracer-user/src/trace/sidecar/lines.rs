//! Lines of the hidden files of a trace: a timestamp, a thread or process id, and more.

use std::fmt::Write as _;
use std::path::Path;
use std::{fs, io};

/// The content of such a file; empty if it does not exist.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    }
}

/// Timestamp, id, and the rest of each well-formed line.
pub(super) fn parse(bytes: &[u8]) -> impl Iterator<Item = (u64, u32, &[u8])> {
    bytes
        .split_inclusive(|&byte| byte == b'\n')
        .filter_map(|line| {
            // a line without its end is incomplete, and so may be its last word
            let line = line.strip_suffix(b"\n")?;
            let mut words = line.splitn(3, |&byte| byte == b' ');
            let mut number = || std::str::from_utf8(words.next()?).ok()?.parse::<u64>().ok();
            let timestamp_ns = number()?;
            let number = u32::try_from(number()?).ok()?;
            Some((timestamp_ns, number, words.next()?))
        })
}

/// Appends `bytes`, with backslashes and bytes that are not printable ASCII as `\xNN`.
pub(super) fn push_escaped(line: &mut String, bytes: &[u8]) {
    for &byte in bytes {
        if matches!(byte, b' '..=b'~') && byte != b'\\' {
            line.push(byte as char);
        } else {
            // writing to a string cannot fail
            let _ = write!(line, "\\x{byte:02x}");
        }
    }
}

/// Reverts [`push_escaped`]; `None` if it cannot have written `text`.
pub(super) fn unescape(mut text: &[u8]) -> Option<Box<[u8]>> {
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
    Some(bytes.into())
}
