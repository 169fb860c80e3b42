//! Parses the tokens of a fetch list.
//!
//! ```text
//! list    = item { "," item }
//! item    = [ NAME "=" ] ( prefix [ ":" FORMAT ] | "str" "(" prefix ")" )
//! prefix  = "*" prefix | "&" prefix | "(" type ")" prefix | path
//! path    = ( NAME | "(" prefix ")" ) { "->" NAME | "." NAME | "[" NUMBER "]" }
//! type    = { QUALIFIER } ( TAG NAME | NAME { NAME } ) { "*" | QUALIFIER }
//! ```

use crate::names::place::{Span, Spanned};
use crate::probe::fetch::error::{Fault, FetchProblem};
use crate::probe::fetch::lexer::{Token, tokens};
use crate::probe::fetch::syntax::{Expr, Format, Item, Tag, TypeName};
use crate::probe::fetch::value::{MAX_FETCHED, Memory};

/// Maximum number of steps in an expression.
pub(super) const MAX_DEPTH: u32 = 64;

/// Qualifiers, which are ignored.
const QUALIFIERS: [&str; 5] = ["const", "volatile", "restrict", "__rcu", "__percpu"];

/// Marks pointers into a process's memory in the kernel's sources.
const USER: &str = "__user";

/// Words of C's basic types.
const C_WORDS: [&str; 9] = [
    "signed", "unsigned", "short", "long", "int", "char", "_Bool", "bool", "void",
];

type Result<T> = std::result::Result<T, Fault>;

/// Parses the text between the braces.
pub(super) fn parse(text: &str) -> Result<Vec<Item>> {
    let mut parser = Parser {
        text,
        tokens: tokens(text)?,
        at: 0,
        depth: 0,
    };
    if parser.token() == Token::End {
        return Err(Fault::new(Span::default(), FetchProblem::Empty));
    }
    let mut items = vec![parser.item()?];
    while parser.token() != Token::End {
        if parser.token() != Token::Comma {
            return Err(parser.expected("`,`, a step such as `->` or the end"));
        }
        parser.advance();
        if items.len() == MAX_FETCHED {
            return Err(parser.fault(FetchProblem::TooMany));
        }
        items.push(parser.item()?);
    }
    Ok(items)
}

/// Parses the name of a type, as the kernel writes it: `const struct file *`.
pub(super) fn type_name(text: &str) -> Result<TypeName> {
    let mut parser = Parser {
        text,
        tokens: tokens(text)?,
        at: 0,
        depth: 0,
    };
    let name = parser.type_name()?;
    match parser.token() {
        Token::End => Ok(name),
        _ => Err(parser.expected("the end")),
    }
}

struct Parser<'a> {
    text: &'a str,
    /// Ends with the end.
    tokens: Vec<Spanned<Token<'a>>>,
    /// The next token.
    at: usize,
    /// Steps of the item so far.
    depth: u32,
}

impl<'a> Parser<'a> {
    fn token(&self) -> Token<'a> {
        self.ahead(0)
    }

    /// The token `distance` after the next one.
    fn ahead(&self, distance: usize) -> Token<'a> {
        self.tokens
            .get(self.at + distance)
            .map_or(Token::End, |token| token.value)
    }

    fn span(&self) -> Span {
        self.tokens[self.at].span
    }

    /// Takes the token; the end stays.
    fn advance(&mut self) -> Span {
        let span = self.span();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        span
    }

    fn fault(&self, problem: FetchProblem) -> Fault {
        Fault::new(self.span(), problem)
    }

    fn expected(&self, expected: &'static str) -> Fault {
        let span = self.span();
        self.fault(FetchProblem::Expected {
            expected,
            found: match self.token() {
                Token::End => "the end".to_owned(),
                _ => format!("`{}`", &self.text[span.start..span.end]),
            },
        })
    }

    /// Counts one more step.
    fn deeper(&mut self) -> Result<()> {
        if self.depth == MAX_DEPTH {
            return Err(self.fault(FetchProblem::TooDeep(MAX_DEPTH)));
        }
        self.depth += 1;
        Ok(())
    }

    fn item(&mut self) -> Result<Item> {
        self.depth = 0;
        let name = match (self.token(), self.ahead(1)) {
            (Token::Word(word), Token::Equals) => {
                let span = self.advance();
                self.advance();
                Some(Spanned {
                    value: word.to_owned(),
                    span,
                })
            }
            _ => None,
        };
        if let (Token::Word("str"), Token::Open) = (self.token(), self.ahead(1)) {
            let span = self.advance();
            let expr = self.parenthesis()?;
            let value = Format::String(Memory::Kernel);
            return Ok(Item {
                name,
                expr,
                format: Some(Spanned { value, span }),
            });
        }
        let expr = self.prefix()?;
        let format = self.format()?;
        Ok(Item { name, expr, format })
    }

    fn format(&mut self) -> Result<Option<Spanned<Format>>> {
        if self.token() != Token::Colon {
            return Ok(None);
        }
        self.advance();
        let Token::Word(word) = self.token() else {
            return Err(self.expected("a format such as `str` or `x32`"));
        };
        let value =
            Format::parse(word).ok_or_else(|| self.fault(FetchProblem::Format(word.to_owned())))?;
        let span = self.advance();
        Ok(Some(Spanned { value, span }))
    }

    fn prefix(&mut self) -> Result<Expr> {
        match self.token() {
            Token::Star => {
                self.deeper()?;
                let sign = self.sign();
                let of = Box::new(self.prefix()?);
                Ok(Expr::Deref { of, sign })
            }
            Token::And => {
                self.deeper()?;
                let sign = self.sign();
                let of = Box::new(self.prefix()?);
                Ok(Expr::AddressOf { of, sign })
            }
            Token::Open if self.is_cast() => {
                self.deeper()?;
                let ty = self.cast()?;
                let of = Box::new(self.prefix()?);
                Ok(Expr::Cast { ty, of })
            }
            _ => self.path(),
        }
    }

    fn sign(&mut self) -> Spanned<()> {
        let span = self.advance();
        Spanned { value: (), span }
    }

    /// Whether a type is in the parentheses that begin here. A name alone is one if a
    /// value follows.
    fn is_cast(&self) -> bool {
        let Token::Word(word) = self.ahead(1) else {
            return false;
        };
        if is_type_word(word) {
            return true;
        }
        match self.ahead(2) {
            Token::Star | Token::Word(_) => true,
            Token::Close => matches!(
                self.ahead(3),
                Token::Word(_) | Token::Open | Token::Star | Token::And
            ),
            _ => false,
        }
    }

    fn cast(&mut self) -> Result<Spanned<TypeName>> {
        let open = self.advance();
        let value = self.type_name()?;
        if self.token() != Token::Close {
            return Err(self.expected("`*` or `)`"));
        }
        let span = open.to(self.advance());
        Ok(Spanned { value, span })
    }

    fn type_name(&mut self) -> Result<TypeName> {
        let mut words: Vec<&str> = Vec::new();
        let (mut tag, mut user, mut pointers) = (Tag::Plain, false, 0_u8);
        let start = self.span();
        loop {
            match self.token() {
                Token::Word(word) if QUALIFIERS.contains(&word) => {}
                Token::Word(USER) => user = true,
                Token::Word(word) if pointers == 0 => match tag_of(word) {
                    Some(found) if words.is_empty() && tag == Tag::Plain => tag = found,
                    _ => words.push(word),
                },
                Token::Star if pointers < 8 => pointers += 1,
                _ => break,
            }
            self.advance();
        }
        let name = match (tag, words.as_slice()) {
            (_, [name]) if !C_WORDS.contains(name) => Some((*name).to_owned()),
            (Tag::Plain, words) => c_type(words),
            _ => None,
        };
        let span = start.to(self.tokens[self.at.saturating_sub(1)].span);
        match name {
            Some(name) => Ok(TypeName {
                tag,
                name,
                pointers,
                user,
            }),
            None if words.is_empty() => Err(self.expected("the name of a type")),
            None => Err(Fault::new(span, FetchProblem::TypeWords)),
        }
    }

    fn path(&mut self) -> Result<Expr> {
        let mut expr = match self.token() {
            Token::Word(word) => {
                let span = self.advance();
                Expr::Name(Spanned {
                    value: word.to_owned(),
                    span,
                })
            }
            Token::Open => self.parenthesis()?,
            _ => return Err(self.expected("a name such as `arg0`, or `*`, `&`, `(`")),
        };
        loop {
            expr = match self.token() {
                Token::Step { arrow } => {
                    self.deeper()?;
                    self.advance();
                    let Token::Word(word) = self.token() else {
                        return Err(self.expected("the name of a member"));
                    };
                    let name = Spanned {
                        value: word.to_owned(),
                        span: self.advance(),
                    };
                    let of = Box::new(expr);
                    Expr::Member { of, arrow, name }
                }
                Token::OpenBracket => {
                    self.deeper()?;
                    let index = self.index()?;
                    let of = Box::new(expr);
                    Expr::Index { of, index }
                }
                _ => return Ok(expr),
            };
        }
    }

    /// `[ NUMBER ]`.
    fn index(&mut self) -> Result<Spanned<u32>> {
        let open = self.advance();
        let Token::Number(value) = self.token() else {
            return Err(self.expected("a number"));
        };
        self.advance();
        if self.token() != Token::CloseBracket {
            return Err(self.expected("`]`"));
        }
        let span = open.to(self.advance());
        Ok(Spanned { value, span })
    }

    /// `( prefix )`.
    fn parenthesis(&mut self) -> Result<Expr> {
        self.deeper()?;
        let open = self.advance();
        let expr = self.prefix()?;
        match self.token() {
            Token::Close => {
                self.advance();
                Ok(expr)
            }
            Token::End => Err(Fault::new(open, FetchProblem::Unclosed)),
            _ => Err(self.expected("`)` or a step such as `->`")),
        }
    }
}

fn tag_of(word: &str) -> Option<Tag> {
    match word {
        "struct" => Some(Tag::Struct),
        "union" => Some(Tag::Union),
        "enum" => Some(Tag::Enum),
        _ => None,
    }
}

fn is_type_word(word: &str) -> bool {
    tag_of(word).is_some() || word == USER || QUALIFIERS.contains(&word) || C_WORDS.contains(&word)
}

/// C's own types, which have their words in any order, as BTF names them.
fn c_type(words: &[&str]) -> Option<String> {
    if !words.iter().all(|word| C_WORDS.contains(word)) {
        return None;
    }
    let count = |word: &str| words.iter().filter(|&&other| other == word).count();
    if let [word @ ("void" | "_Bool" | "bool")] = words {
        return Some((if *word == "bool" { "_Bool" } else { word }).to_owned());
    }
    let (unsigned, signed) = (count("unsigned"), count("signed"));
    let (long, short, char) = (count("long"), count("short"), count("char"));
    let plain = unsigned + signed <= 1
        && count("int") <= 1
        && count("void") + count("bool") + count("_Bool") == 0;
    let name = match (plain, long, short, char) {
        (true, 0, 0, 0) if unsigned == 1 => "unsigned int",
        (true, 0, 0, 0) if !words.is_empty() => "int",
        (true, 1, 0, 0) if unsigned == 1 => "long unsigned int",
        (true, 1, 0, 0) => "long int",
        (true, 2, 0, 0) if unsigned == 1 => "long long unsigned int",
        (true, 2, 0, 0) => "long long int",
        (true, 0, 1, 0) if unsigned == 1 => "short unsigned int",
        (true, 0, 1, 0) => "short int",
        (true, 0, 0, 1) if count("int") > 0 => return None,
        (true, 0, 0, 1) if unsigned == 1 => "unsigned char",
        (true, 0, 0, 1) if signed == 1 => "signed char",
        (true, 0, 0, 1) => "char",
        _ => return None,
    };
    Some(name.to_owned())
}

#[cfg(test)]
#[path = "parser_tests.rs"]
mod tests;
