//! TSDL text to tokens.

use crate::trace::ctf::tsdl::TsdlError;

/// The smallest part of metadata that has a meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// A word: keyword, name, `true`.
    Word(&'a str),
    /// A number; negative ones have a `-` of their own before them.
    Number(u64),
    /// A string literal, without quotes and escapes.
    Text(String),
    /// `:=`.
    Assign,
    /// `...`.
    Ellipsis,
    /// Any other sign.
    Sign(char),
    /// The end of the text.
    End,
}

impl std::fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Word(word) => write!(f, "`{word}`"),
            Self::Number(number) => write!(f, "`{number}`"),
            Self::Text(_) => f.write_str("a string"),
            Self::Assign => f.write_str("`:=`"),
            Self::Ellipsis => f.write_str("`...`"),
            Self::Sign(sign) => write!(f, "`{}`", sign.escape_default()),
            Self::End => f.write_str("the end of the text"),
        }
    }
}

/// Cuts a text into tokens, one at a time.
pub(crate) struct Lexer<'a> {
    rest: &'a str,
    /// The line that `rest` starts in, counted from 1.
    pub(crate) line: u32,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            rest: text,
            line: 1,
        }
    }

    pub(crate) fn next(&mut self) -> Result<Token<'a>, TsdlError> {
        self.skip_blank()?;
        let Some(first) = self.rest.chars().next() else {
            return Ok(Token::End);
        };
        Ok(match first {
            '"' => Token::Text(self.string()?),
            c if c.is_ascii_alphabetic() || c == '_' => Token::Word(self.word()),
            c if c.is_ascii_digit() => Token::Number(self.number()?),
            _ if self.rest.starts_with(":=") => {
                self.take(2);
                Token::Assign
            }
            _ if self.rest.starts_with("...") => {
                self.take(3);
                Token::Ellipsis
            }
            sign => {
                self.take(sign.len_utf8());
                Token::Sign(sign)
            }
        })
    }

    fn error(&self, what: impl Into<String>) -> TsdlError {
        TsdlError {
            line: self.line,
            what: what.into(),
        }
    }

    /// Steps over `len` bytes, which must end at a character's end.
    fn take(&mut self, len: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(len);
        self.rest = rest;
        self.line += taken.bytes().filter(|&byte| byte == b'\n').count() as u32;
        taken
    }

    fn skip_blank(&mut self) -> Result<(), TsdlError> {
        loop {
            let blank = self.rest.len() - self.rest.trim_start().len();
            self.take(blank);
            if self.rest.starts_with("/*") {
                let end = self.rest[2..]
                    .find("*/")
                    .ok_or_else(|| self.error("a comment without end"))?;
                self.take(end + 4);
            } else if self.rest.starts_with("//") {
                self.take(self.rest.find('\n').unwrap_or(self.rest.len()));
            } else {
                return Ok(());
            }
        }
    }

    fn word(&mut self) -> &'a str {
        let end = self
            .rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(self.rest.len());
        self.take(end)
    }

    fn number(&mut self) -> Result<u64, TsdlError> {
        let text = self.word();
        let lower = text.to_ascii_lowercase();
        let digits = lower.trim_end_matches(['u', 'l']);
        let parsed = match digits.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16),
            None if digits.len() > 1 && digits.starts_with('0') => u64::from_str_radix(digits, 8),
            None => digits.parse(),
        };
        parsed.map_err(|_| self.error(format!("`{text}` is not a number of 64 bits")))
    }

    fn string(&mut self) -> Result<String, TsdlError> {
        let mut bytes = Vec::new();
        let source = self.rest.as_bytes();
        let mut at = 1;
        loop {
            match source.get(at) {
                None => return Err(self.error("a string without end")),
                Some(b'"') => break,
                Some(b'\\') => at = unescape(source, at + 1, &mut bytes),
                Some(&byte) => {
                    bytes.push(byte);
                    at += 1;
                }
            }
        }
        self.take(at + 1);
        Ok(String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }
}

/// Reads the escape whose character after the backslash is at `at` and returns its end. Unknown
/// escapes stand for themselves.
fn unescape(source: &[u8], at: usize, bytes: &mut Vec<u8>) -> usize {
    let digits = |from: usize, most: usize, radix: u32| {
        let digits = source[from..].iter().take(most);
        digits
            .map_while(|&byte| (byte as char).to_digit(radix))
            .fold((0u32, from), |(value, end), digit| {
                (value * radix + digit, end + 1)
            })
    };
    match source.get(at) {
        None => at,
        Some(b'0'..=b'7') => {
            let (value, end) = digits(at, 3, 8);
            bytes.push(value as u8);
            end
        }
        Some(b'x') => {
            let (value, end) = digits(at + 1, 2, 16);
            bytes.push(value as u8);
            end
        }
        Some(&letter) => {
            bytes.push(match letter {
                b'n' => b'\n',
                b't' => b'\t',
                b'r' => b'\r',
                b'a' => 7,
                b'b' => 8,
                b'v' => 11,
                b'f' => 12,
                other => other,
            });
            at + 1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<Token<'_>> {
        let mut lexer = Lexer::new(text);
        let mut tokens = Vec::new();
        loop {
            match lexer.next().unwrap() {
                Token::End => return tokens,
                token => tokens.push(token),
            }
        }
    }

    #[test]
    fn numbers_have_three_bases_and_suffixes() {
        let numbers = [10, 16, 8, 3].map(Token::Number);
        assert_eq!(tokens("10 0x10 010 3UL"), numbers);
    }

    #[test]
    fn comments_are_blank() {
        assert_eq!(
            tokens("a /* b\n*/ // c\nd"),
            [Token::Word("a"), Token::Word("d")]
        );
    }

    #[test]
    fn escapes_of_strings_are_undone() {
        assert_eq!(
            tokens(r#""a\"\\\0331\n\xc3\xa9é""#),
            [Token::Text("a\"\\\u{1b}1\néé".into())]
        );
    }

    #[test]
    fn an_error_names_its_line() {
        let mut lexer = Lexer::new("\n\n \"open");
        assert_eq!(lexer.next().unwrap_err().line, 3);
    }

    #[test]
    fn signs_are_told_apart() {
        assert_eq!(
            tokens(":= ... :."),
            [
                Token::Assign,
                Token::Ellipsis,
                Token::Sign(':'),
                Token::Sign('.')
            ]
        );
    }
}
