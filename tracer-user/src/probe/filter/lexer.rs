//! Text of a filter to tokens.

use crate::probe::filter::error::{Fault, FilterProblem};
use crate::probe::filter::syntax::{Operator, Relation, Span};
use crate::probe::filter::time::{OutOfRange, Time};

/// The smallest part of a filter that has a meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A name, with dots in it or not.
    Word(&'a str),
    /// A number of at most 64 bits, with a sign or without.
    Number(i128),
    /// A number with a unit of time.
    Time(Time),
    /// A string without quotes and escapes.
    Text(String),
    /// A comparison.
    Operator(Operator),
    /// `&&`.
    And,
    /// `||`.
    Or,
    /// `!`.
    Not,
    /// `&`.
    Bits,
    /// `(`.
    Open,
    /// `)`.
    Close,
    /// The end of the text.
    End,
}

/// Signs, each before those that it begins with.
static SIGNS: [(&str, Token<'static>); 13] = [
    ("&&", Token::And),
    ("||", Token::Or),
    ("==", relation(Relation::Equal)),
    ("!=", relation(Relation::NotEqual)),
    ("<=", relation(Relation::LessOrEqual)),
    (">=", relation(Relation::GreaterOrEqual)),
    ("<", relation(Relation::Less)),
    (">", relation(Relation::Greater)),
    ("~", Token::Operator(Operator::Glob)),
    ("!", Token::Not),
    ("&", Token::Bits),
    ("(", Token::Open),
    (")", Token::Close),
];

const fn relation(relation: Relation) -> Token<'static> {
    Token::Operator(Operator::Relation(relation))
}

/// Cuts a text into tokens, one at a time.
pub(super) struct Lexer<'a> {
    text: &'a str,
    /// Bytes of the text that are cut off.
    position: usize,
}

impl<'a> Lexer<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, position: 0 }
    }

    pub(super) fn next(&mut self) -> Result<(Token<'a>, Span), Fault> {
        let text: &'a str = self.text;
        let tail = &text[self.position..];
        let rest = tail.trim_start();
        self.position += tail.len() - rest.len();
        let (len, token) = self.token(rest)?;
        Ok((token, self.take(len)))
    }

    /// The token that `rest` begins with, and its length in bytes.
    fn token(&self, rest: &'a str) -> Result<(usize, Token<'a>), Fault> {
        let Some(first) = rest.chars().next() else {
            return Ok((0, Token::End));
        };
        let signed = rest.strip_prefix('-');
        let begins_with_digit = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
        if begins_with_digit(signed.unwrap_or(rest)) {
            return self.number(rest);
        }
        if first.is_ascii_alphabetic() || first == '_' {
            let word = &rest[..word_len(rest)];
            return Ok((word.len(), Token::Word(word)));
        }
        if matches!(first, '"' | '\'') {
            return self.string(rest, first);
        }
        let sign = SIGNS.iter().find(|(sign, _)| rest.starts_with(sign));
        match sign {
            Some((sign, token)) => Ok((sign.len(), token.clone())),
            None => Err(self.fault(first.len_utf8(), FilterProblem::Character(first))),
        }
    }

    /// Steps over `len` bytes.
    fn take(&mut self, len: usize) -> Span {
        let start = self.position;
        self.position += len;
        Span {
            start,
            end: self.position,
        }
    }

    /// A problem with the next `len` bytes.
    fn fault(&self, len: usize, problem: FilterProblem) -> Fault {
        let span = Span {
            start: self.position,
            end: self.position + len,
        };
        Fault::new(span, problem)
    }

    fn number(&self, rest: &'a str) -> Result<(usize, Token<'a>), Fault> {
        let (negative, unsigned) = match rest.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, rest),
        };
        let word = &unsigned[..word_len(unsigned)];
        let len = word.len() + usize::from(negative);
        if !negative {
            match Time::parse(word) {
                Some(Ok(time)) => return Ok((len, Token::Time(time))),
                Some(Err(OutOfRange)) => {
                    return Err(self.fault(len, FilterProblem::NumberSize(word.to_owned())));
                }
                None => {}
            }
        }
        let lower = word.to_ascii_lowercase();
        let (digits, radix) = match lower.strip_prefix("0x") {
            Some(digits) => (digits, 16),
            None if lower.len() > 1 && lower.starts_with('0') => (&lower[1..], 8),
            None => (lower.as_str(), 10),
        };
        if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
            return Err(self.fault(len, FilterProblem::Number(rest[..len].to_owned())));
        }
        let number = u64::from_str_radix(digits, radix)
            .ok()
            .map(i128::from)
            .map(|number| if negative { -number } else { number })
            .filter(|&number| number >= i128::from(i64::MIN));
        match number {
            Some(number) => Ok((len, Token::Number(number))),
            None => Err(self.fault(len, FilterProblem::NumberSize(rest[..len].to_owned()))),
        }
    }

    fn string(&self, rest: &str, quote: char) -> Result<(usize, Token<'a>), Fault> {
        let mut content = String::new();
        let mut characters = rest.char_indices().skip(1);
        while let Some((at, c)) = characters.next() {
            if c == quote {
                return Ok((at + 1, Token::Text(content)));
            }
            if c != '\\' {
                content.push(c);
                continue;
            }
            match characters.next() {
                Some((_, escaped @ ('"' | '\'' | '\\'))) => content.push(escaped),
                Some((next, other)) => {
                    let span = Span {
                        start: self.position + at,
                        end: self.position + next + other.len_utf8(),
                    };
                    return Err(Fault::new(span, FilterProblem::Escape));
                }
                None => break,
            }
        }
        Err(self.fault(rest.len(), FilterProblem::OpenString(quote)))
    }
}

/// Bytes of a name or a number. The dot belongs to both, so that `ctx.pid` is one name and
/// `1.5` one thing to complain about.
fn word_len(text: &str) -> usize {
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.')
        .unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> Result<Token<'_>, FilterProblem> {
        match Lexer::new(text).next() {
            Ok((token, span)) => {
                assert_eq!(span.end, text.len(), "one token expected");
                Ok(token)
            }
            Err(fault) => Err(*fault.problem),
        }
    }

    #[test]
    fn numbers_have_the_bases_of_c_and_a_sign() {
        for (text, number) in [
            ("0", 0),
            ("12", 12),
            ("0x1F", 31),
            ("017", 15),
            ("-3", -3),
            ("-0x10", -16),
            ("18446744073709551615", i128::from(u64::MAX)),
            ("-9223372036854775808", i128::from(i64::MIN)),
        ] {
            assert_eq!(token(text), Ok(Token::Number(number)), "{text}");
        }
    }

    #[test]
    fn other_units_fractions_and_wrong_digits_are_refused() {
        for text in [
            "4M", "-2ms", "1.5ms", "1.5", "1e3", "08", "0x", "0xg", "1_000",
        ] {
            assert_eq!(
                token(text),
                Err(FilterProblem::Number(text.into())),
                "{text}"
            );
        }
    }

    #[test]
    fn times_have_a_unit() {
        assert!(matches!(token("200ms"), Ok(Token::Time(time)) if time.ns() == 200_000_000));
        assert_eq!(
            token("9223372037s"),
            Err(FilterProblem::NumberSize("9223372037s".into()))
        );
    }

    #[test]
    fn numbers_beyond_64_bits_are_refused() {
        for text in ["18446744073709551616", "-9223372036854775809"] {
            assert_eq!(token(text), Err(FilterProblem::NumberSize(text.into())));
        }
    }

    #[test]
    fn strings_have_either_quote() {
        assert_eq!(token(r#""it's""#), Ok(Token::Text("it's".into())));
        assert_eq!(token(r#"'a "b"'"#), Ok(Token::Text(r#"a "b""#.into())));
        assert_eq!(token(r#""\"\\\'""#), Ok(Token::Text(r#""\'"#.into())));
    }

    #[test]
    fn strings_without_end_and_unknown_escapes_are_refused() {
        assert_eq!(token("'a"), Err(FilterProblem::OpenString('\'')));
        assert_eq!(token(r#""a\"#), Err(FilterProblem::OpenString('"')));
        assert_eq!(token(r#""\n""#), Err(FilterProblem::Escape));
    }

    #[test]
    fn the_longest_sign_is_taken() {
        assert_eq!(token("&&"), Ok(Token::And));
        assert_eq!(token("<="), Ok(relation(Relation::LessOrEqual)));
        assert_eq!(token("!="), Ok(relation(Relation::NotEqual)));
    }

    #[test]
    fn spans_leave_out_blanks() {
        let mut lexer = Lexer::new("  é");
        let fault = lexer.next().unwrap_err();
        assert_eq!(fault.span, Span { start: 2, end: 4 });
    }
}
