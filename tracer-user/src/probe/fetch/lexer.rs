//! Splits the text of a fetch list into tokens.

use crate::names::place::{Span, Spanned};
use crate::probe::fetch::error::{Fault, FetchProblem};

/// A token of a fetch list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A name.
    Word(&'a str),
    /// An index.
    Number(u32),
    /// `->` or `.`.
    Step {
        /// `->`.
        arrow: bool,
    },
    /// `*`.
    Star,
    /// `&`.
    And,
    /// `(`.
    Open,
    /// `)`.
    Close,
    /// `[`.
    OpenBracket,
    /// `]`.
    CloseBracket,
    /// `:`.
    Colon,
    /// `=`.
    Equals,
    /// `,`.
    Comma,
    /// The end of the text.
    End,
}

const SIGNS: [(&str, Token<'static>); 11] = [
    ("->", Token::Step { arrow: true }),
    (".", Token::Step { arrow: false }),
    ("*", Token::Star),
    ("&", Token::And),
    ("(", Token::Open),
    (")", Token::Close),
    ("[", Token::OpenBracket),
    ("]", Token::CloseBracket),
    (":", Token::Colon),
    ("=", Token::Equals),
    (",", Token::Comma),
];

/// All tokens of a text; the last one is its end.
pub(super) fn tokens(text: &str) -> Result<Vec<Spanned<Token<'_>>>, Fault> {
    let mut tokens = Vec::new();
    let mut position = 0;
    loop {
        let tail = &text[position..];
        let rest = tail.trim_start();
        position += tail.len() - rest.len();
        let (len, token) = token(rest, position)?;
        let span = Span {
            start: position,
            end: position + len,
        };
        tokens.push(Spanned { value: token, span });
        if token == Token::End {
            return Ok(tokens);
        }
        position += len;
    }
}

/// The token that `rest` begins with, and its length in bytes.
fn token(rest: &str, position: usize) -> Result<(usize, Token<'_>), Fault> {
    let Some(first) = rest.chars().next() else {
        return Ok((0, Token::End));
    };
    let fault = |len: usize, problem| {
        let span = Span {
            start: position,
            end: position + len,
        };
        Err(Fault::new(span, problem))
    };
    let word = &rest[..word_len(rest)];
    if first.is_ascii_digit() {
        return match number(word) {
            Some(number) => Ok((word.len(), Token::Number(number))),
            None => fault(word.len(), FetchProblem::Number(word.to_owned())),
        };
    }
    if !word.is_empty() {
        return Ok((word.len(), Token::Word(word)));
    }
    match SIGNS.iter().find(|(sign, _)| rest.starts_with(sign)) {
        Some(&(sign, token)) => Ok((sign.len(), token)),
        None => fault(first.len_utf8(), FetchProblem::Character(first)),
    }
}

fn word_len(text: &str) -> usize {
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(text.len())
}

fn number(word: &str) -> Option<u32> {
    match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    }
}
