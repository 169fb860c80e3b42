//! Tokens of a filter to its tree.
//!
//! ```text
//! any  = all { "||" all }
//! all  = one { "&&" one }
//! one  = "!" one | "(" any ")" | test           after "!" no bare test
//! test = NAME operator literal
//!      | NAME "&" NUMBER
//!      | "(" NAME "&" NUMBER ")" operator literal
//! ```

use crate::probe::filter::error::{Fault, FilterProblem};
use crate::probe::filter::lexer::{Lexer, Token};
use crate::probe::filter::syntax::{Expr, Literal, Name, Operator, Span, Spanned, Test};

/// How many parentheses and `!` a condition may lie in.
pub(super) const MAX_DEPTH: u32 = 64;

/// What begins names that are contexts whatever fields there are.
const CONTEXT_PREFIX: &str = "ctx.";

type Result<T> = std::result::Result<T, Fault>;

/// Reads a whole filter.
pub(super) fn parse(text: &str) -> Result<Expr> {
    if text.trim().is_empty() {
        return Err(Fault::new(Span::default(), FilterProblem::Empty));
    }
    let mut parser = Parser {
        text,
        lexer: Lexer::new(text),
        token: Token::End,
        span: Span::default(),
        before: Span::default(),
        depth: 0,
    };
    parser.advance()?;
    let expr = parser.any()?;
    match parser.token {
        Token::End => Ok(expr),
        Token::Close => Err(parser.fault(FilterProblem::Unopened)),
        _ => Err(parser.expected("`&&`, `||` or the end")),
    }
}

struct Parser<'a> {
    text: &'a str,
    lexer: Lexer<'a>,
    /// The token to be looked at next.
    token: Token<'a>,
    span: Span,
    /// Position of the token before it.
    before: Span,
    depth: u32,
}

impl<'a> Parser<'a> {
    /// Takes the token.
    fn advance(&mut self) -> Result<Spanned<Token<'a>>> {
        let (next, next_span) = self.lexer.next()?;
        let span = std::mem::replace(&mut self.span, next_span);
        self.before = span;
        Ok(Spanned {
            value: std::mem::replace(&mut self.token, next),
            span,
        })
    }

    /// A problem with the token.
    fn fault(&self, problem: FilterProblem) -> Fault {
        Fault::new(self.span, problem)
    }

    fn expected(&self, expected: &'static str) -> Fault {
        let typed = |span: Span| self.text[span.start..span.end].to_owned();
        self.fault(FilterProblem::Expected {
            expected,
            after: (self.before != Span::default()).then(|| typed(self.before)),
            found: match self.token {
                Token::End => "the end".to_owned(),
                _ => format!("`{}`", typed(self.span)),
            },
        })
    }

    fn any(&mut self) -> Result<Expr> {
        self.joined(&Token::Or, Self::all, Expr::Any)
    }

    fn all(&mut self) -> Result<Expr> {
        self.joined(&Token::And, Self::one, Expr::All)
    }

    fn joined(
        &mut self,
        separator: &Token<'_>,
        part: impl Fn(&mut Self) -> Result<Expr>,
        join: impl Fn(Vec<Expr>) -> Expr,
    ) -> Result<Expr> {
        let first = part(self)?;
        if self.token != *separator {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.token == *separator {
            self.advance()?;
            parts.push(part(self)?);
        }
        Ok(join(parts))
    }

    fn one(&mut self) -> Result<Expr> {
        match self.token {
            Token::Not => self.deeper(Self::not),
            Token::Open => self.deeper(|parser| {
                let inner = parser.parenthesis()?;
                parser.compared(inner)
            }),
            _ => self.test().map(Expr::Test),
        }
    }

    /// Reads one more level.
    fn deeper(&mut self, read: impl FnOnce(&mut Self) -> Result<Expr>) -> Result<Expr> {
        if self.depth == MAX_DEPTH {
            return Err(self.fault(FilterProblem::TooDeep(MAX_DEPTH)));
        }
        self.depth += 1;
        let expr = read(self)?;
        self.depth -= 1;
        Ok(expr)
    }

    fn not(&mut self) -> Result<Expr> {
        self.advance()?;
        let inner = match self.token {
            Token::Not => self.one()?,
            // Its parenthesis is not a level: a negated condition is shown with
            // one, and what is shown must not be deeper than what was typed.
            Token::Open => self.parenthesis()?,
            Token::Word(_) => return Err(self.fault(FilterProblem::BareNot)),
            _ => return Err(self.expected("`(`")),
        };
        self.not_compared()?;
        Ok(Expr::Not(Box::new(inner)))
    }

    /// `( any )`.
    fn parenthesis(&mut self) -> Result<Expr> {
        let open = self.advance()?.span;
        let inner = self.any()?;
        match self.token {
            Token::Close => {
                self.advance()?;
                Ok(inner)
            }
            Token::End => Err(Fault::new(open, FilterProblem::Unclosed)),
            _ => Err(self.expected("`)`, `&&` or `||`")),
        }
    }

    /// What was in parentheses, with the comparison after them if they contain bits.
    fn compared(&mut self, inner: Expr) -> Result<Expr> {
        match (inner, &self.token) {
            (Expr::Test(Test::Bits { name, mask }), Token::Operator(operator)) => {
                let operator = *operator;
                self.comparison(name, Some(mask), operator).map(Expr::Test)
            }
            (inner, _) => {
                self.not_compared()?;
                Ok(inner)
            }
        }
    }

    fn test(&mut self) -> Result<Test> {
        let name = self.name()?;
        match self.token {
            Token::Operator(operator) => self.comparison(name, None, operator),
            Token::Bits => {
                self.advance()?;
                let Token::Number(mask) = self.token else {
                    return Err(self.expected("a number"));
                };
                let span = self.advance()?.span;
                if matches!(self.token, Token::Operator(_)) {
                    return Err(Fault::new(name.span.to(self.span), FilterProblem::BareMask));
                }
                let mask = Spanned { value: mask, span };
                Ok(Test::Bits { name, mask })
            }
            Token::End | Token::And | Token::Or | Token::Close => Err(Fault::new(
                name.span,
                FilterProblem::NameAlone(name.value.to_string()),
            )),
            _ => Err(self.expected("a comparison")),
        }
    }

    fn name(&mut self) -> Result<Spanned<Name>> {
        let word = match self.token {
            Token::Word(word) => word,
            Token::Number(_) | Token::Time(_) | Token::Text(_) => {
                let typed = self.text[self.span.start..self.span.end].to_owned();
                return Err(self.fault(FilterProblem::LiteralOnTheLeft(typed)));
            }
            _ => return Err(self.expected("a condition")),
        };
        let span = self.advance()?.span;
        let value = match word.strip_prefix(CONTEXT_PREFIX) {
            Some(context) => Name::Context(context.to_owned()),
            None => Name::Plain(word.to_owned()),
        };
        Ok(Spanned { value, span })
    }

    /// From the operator on.
    fn comparison(
        &mut self,
        name: Spanned<Name>,
        mask: Option<Spanned<i128>>,
        operator: Operator,
    ) -> Result<Test> {
        let operator = Spanned {
            value: operator,
            span: self.advance()?.span,
        };
        let literal = match &mut self.token {
            Token::Number(number) => Literal::Number(*number),
            Token::Time(time) => Literal::Time(*time),
            Token::Text(text) => Literal::Text(std::mem::take(text)),
            Token::Word(word) => {
                let problem = FilterProblem::NameOnTheRight((*word).to_owned());
                let span = self.advance()?.span;
                self.not_compared()?;
                return Err(Fault::new(span, problem));
            }
            _ => return Err(self.expected("a number or a string")),
        };
        let span = self.advance()?.span;
        if self.token == Token::Bits {
            return Err(Fault::new(name.span.to(self.span), FilterProblem::BareMask));
        }
        self.not_compared()?;
        Ok(Test::Compare {
            name,
            mask,
            operator,
            literal: Spanned {
                value: literal,
                span,
            },
        })
    }

    /// The result of a comparison cannot be compared.
    fn not_compared(&self) -> Result<()> {
        match self.token {
            Token::Operator(_) => Err(self.fault(FilterProblem::Chained)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
#[path = "parser_tests.rs"]
mod tests;
