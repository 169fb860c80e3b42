//! Bytes of a line of output. Numbers are formatted here because `format!` would take most of the
//! time of a report.

use std::borrow::Cow;
use std::io::Write as _;

/// A buffer of text to append to.
#[derive(Debug, Default)]
pub(super) struct Line(pub(super) Vec<u8>);

impl Line {
    pub(super) fn text(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(super) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    /// Appends spaces until `width` bytes follow `start`.
    pub(super) fn pad_to(&mut self, start: usize, width: usize) {
        let len = (start + width).max(self.0.len());
        self.0.resize(len, b' ');
    }

    pub(super) fn decimal(&mut self, number: u64) {
        self.digits(number, 10, 1);
    }

    pub(super) fn signed(&mut self, number: i64) {
        if number < 0 {
            self.byte(b'-');
        }
        self.decimal(number.unsigned_abs());
    }

    /// The shortest decimal number that is nearer to this one than to any other.
    pub(super) fn float(&mut self, number: f64) {
        // writing to a vector cannot fail
        let _ = write!(self.0, "{number}");
    }

    /// Pads with zeros to `width` digits.
    pub(super) fn decimal_padded(&mut self, number: u64, width: usize) {
        self.digits(number, 10, width);
    }

    pub(super) fn hexadecimal(&mut self, number: u64) {
        self.text("0x");
        self.digits(number, 16, 1);
    }

    /// Right-aligned in 16 columns, as in `perf script`.
    pub(super) fn address(&mut self, address: u64) {
        let width = address.checked_ilog(16).unwrap_or(0) as usize + 1;
        let start = self.0.len();
        self.pad_to(start, 16 - width);
        self.digits(address, 16, 1);
    }

    pub(super) fn octal(&mut self, number: u64) {
        self.byte(b'0');
        if number != 0 {
            self.digits(number, 8, 1);
        }
    }

    fn digits(&mut self, mut number: u64, base: u64, width: usize) {
        // 64 bits have at most 22 digits, in octal
        let mut digits = [b'0'; 24];
        let mut start = digits.len();
        while number > 0 {
            start -= 1;
            digits[start] = b"0123456789abcdef"[(number % base) as usize];
            number /= base;
        }
        start = start.min(digits.len() - width.min(digits.len()));
        self.0.extend_from_slice(&digits[start..]);
    }

    /// Untrusted text that a terminal may show: control characters and invalid UTF-8 are escaped.
    /// Quoted if its end would be ambiguous.
    pub(super) fn string(&mut self, bytes: &[u8]) {
        let bare = |byte: &u8| matches!(byte, b'!'..=b'~') && !matches!(byte, b'"' | b'\\');
        if !bytes.is_empty() && bytes.iter().all(bare) {
            self.0.extend_from_slice(bytes);
            return;
        }
        self.byte(b'"');
        self.escaped(bytes, true);
        self.byte(b'"');
    }

    /// Like [`string`](Self::string), but never quoted.
    pub(super) fn bare(&mut self, bytes: &[u8]) {
        if bytes.iter().all(|byte| matches!(byte, b' '..=b'~')) {
            self.0.extend_from_slice(bytes);
        } else {
            self.escaped(bytes, false);
        }
    }

    fn escaped(&mut self, bytes: &[u8], quoted: bool) {
        for chunk in bytes.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\n' => self.text("\\n"),
                    '\t' => self.text("\\t"),
                    '\r' => self.text("\\r"),
                    '"' | '\\' if quoted => {
                        self.byte(b'\\');
                        self.byte(c as u8);
                    }
                    c if c.is_ascii_control() => self.escape_byte(c as u8),
                    c if c.is_control() || changes_direction(c) => {
                        self.text(&c.escape_unicode().to_string());
                    }
                    c => self.text(c.encode_utf8(&mut [0; 4])),
                }
            }
            for &byte in chunk.invalid() {
                self.escape_byte(byte);
            }
        }
    }

    fn escape_byte(&mut self, byte: u8) {
        self.text("\\x");
        self.digits(u64::from(byte), 16, 2);
    }

    /// The key of a further member of a JSON object, in plain ASCII.
    pub(super) fn key(&mut self, key: &str) {
        self.text(",\"");
        self.text(key);
        self.text("\":");
    }

    /// The key of a member of the JSON object whose members so far are the whole line.
    pub(super) fn member(&mut self, key: &[u8]) {
        if !self.0.is_empty() {
            self.byte(b',');
        }
        self.0.extend_from_slice(key);
    }

    /// A JSON string of two digits for each byte.
    pub(super) fn hexadecimal_string(&mut self, bytes: &[u8]) {
        self.byte(b'"');
        for &byte in bytes {
            self.digits(u64::from(byte), 16, 2);
        }
        self.byte(b'"');
    }

    /// A JSON string; invalid UTF-8 is replaced.
    pub(super) fn json(&mut self, bytes: &[u8]) {
        let plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        if bytes.iter().all(plain) {
            self.byte(b'"');
            self.0.extend_from_slice(bytes);
            self.byte(b'"');
            return;
        }
        let text: Cow<'_, str> = String::from_utf8_lossy(bytes);
        // DEL and the C1 control characters are valid in JSON but can harm terminals
        let encoded = serde_json::Value::from(text).to_string();
        for c in encoded.chars() {
            if c.is_control() || changes_direction(c) {
                self.text("\\u");
                self.digits(u64::from(u32::from(c)), 16, 4);
            } else {
                self.text(c.encode_utf8(&mut [0; 4]));
            }
        }
    }
}

/// Invisible characters that can make text look like other text.
const fn changes_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Line)) -> String {
        let mut line = Line::default();
        write(&mut line);
        String::from_utf8(line.0).unwrap()
    }

    #[test]
    fn numbers_of_all_bases() {
        assert_eq!(written(|l| l.decimal(0)), "0");
        assert_eq!(written(|l| l.signed(i64::MIN)), "-9223372036854775808");
        assert_eq!(written(|l| l.decimal_padded(42, 6)), "000042");
        assert_eq!(written(|l| l.decimal_padded(1234567, 6)), "1234567");
        assert_eq!(
            written(|l| l.hexadecimal(u64::MAX)),
            format!("{:#x}", u64::MAX)
        );
        assert_eq!(written(|l| l.octal(0o755)), "0755");
        assert_eq!(written(|l| l.octal(0)), "0");
    }

    #[test]
    fn simple_strings_are_bare() {
        assert_eq!(written(|l| l.string(b"/etc/passwd")), "/etc/passwd");
    }

    #[test]
    fn other_strings_are_quoted_and_escaped() {
        assert_eq!(written(|l| l.string(b"")), r#""""#);
        assert_eq!(written(|l| l.string(b"a b\"\\")), r#""a b\"\\""#);
        assert_eq!(
            written(|l| l.string(b"\x1b[31m\xff\n")),
            r#""\x1b[31m\xff\n""#
        );
        assert_eq!(
            written(|l| l.string("é\u{9b}\u{202e}".as_bytes())),
            "\"é\\u{9b}\\u{202e}\""
        );
    }

    #[test]
    fn json_has_no_raw_control_characters() {
        let text = "a\"\u{1b}\u{7f}\u{9b}é";
        let encoded = written(|l| l.json(text.as_bytes()));
        assert!(!encoded.chars().any(char::is_control));
        assert_eq!(serde_json::from_str::<String>(&encoded).unwrap(), text);
    }
}
