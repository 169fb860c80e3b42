//! Parses the expressions of recipes, a part of C's.

use crate::probe::recipes::syntax::{Binary, Expr, Unary};

/// The deepest nesting of an expression.
const MAX_DEPTH: u32 = 64;

/// Words that begin a type, beside tags and names of types after which a value follows.
const TYPE_WORDS: [&str; 12] = [
    "struct", "union", "enum", "const", "unsigned", "signed", "char", "short", "int", "long",
    "void", "bool",
];

/// Names of types that are common in casts.
const TYPE_NAMES: [&str; 18] = [
    "u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64", "__u8", "__u16", "__u32", "__u64",
    "size_t", "ssize_t", "pid_t", "gfp_t", "dev_t", "sector_t",
];

type Result<T> = std::result::Result<T, String>;

/// Parses an expression.
pub(super) fn parse(text: &str) -> Result<Expr> {
    let mut parser = Parser {
        rest: text.trim(),
        depth: 0,
    };
    let expr = parser.conditional()?;
    if parser.rest.is_empty() {
        Ok(expr)
    } else {
        Err(parser.expected("an operator or the end"))
    }
}

struct Parser<'a> {
    /// Without blanks at its start.
    rest: &'a str,
    depth: u32,
}

impl<'a> Parser<'a> {
    fn expected(&self, what: &str) -> String {
        match self.rest {
            "" => format!("{what} expected at the end"),
            rest => format!("{what} expected at `{rest}`"),
        }
    }

    fn take(&mut self, sign: &str) -> bool {
        match self.rest.strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    fn require(&mut self, sign: &str) -> Result<()> {
        if self.take(sign) {
            Ok(())
        } else {
            Err(self.expected(&format!("`{sign}`")))
        }
    }

    /// The name or number that comes next, without taking it.
    fn peek_word(&self) -> &'a str {
        let len = self
            .rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(self.rest.len());
        &self.rest[..len]
    }

    fn word(&mut self) -> Result<&'a str> {
        let word = self.peek_word();
        if word.is_empty() {
            return Err(self.expected("a name"));
        }
        self.rest = self.rest[word.len()..].trim_start();
        Ok(word)
    }

    fn conditional(&mut self) -> Result<Expr> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("the expression is nested too deeply".to_owned());
        }
        let condition = self.binary(1)?;
        let expr = if self.take("?") {
            let then = self.conditional()?;
            self.require(":")?;
            let otherwise = self.conditional()?;
            Expr::If(condition.into(), then.into(), otherwise.into())
        } else {
            condition
        };
        self.depth -= 1;
        Ok(expr)
    }

    /// Operators that bind at least as tightly as `level`.
    fn binary(&mut self, level: u8) -> Result<Expr> {
        let mut left = self.prefix()?;
        while let Some(&(sign, operator, binds)) = Binary::ALL
            .iter()
            .find(|(sign, ..)| self.rest.starts_with(sign))
            .filter(|(_, _, binds)| *binds >= level)
        {
            self.take(sign);
            let right = self.binary(binds + 1)?;
            left = Expr::Binary(operator, left.into(), right.into());
        }
        Ok(left)
    }

    fn prefix(&mut self) -> Result<Expr> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("the expression is nested too deeply".to_owned());
        }
        let expr = self.prefixed();
        self.depth -= 1;
        expr
    }

    fn prefixed(&mut self) -> Result<Expr> {
        for (sign, operator) in [
            ("-", Unary::Negate),
            ("~", Unary::Invert),
            ("!", Unary::Not),
        ] {
            if self.take(sign) {
                return Ok(Expr::Unary(operator, self.prefix()?.into()));
            }
        }
        if self.take("*") {
            return Ok(Expr::Deref(self.prefix()?.into()));
        }
        if self.take("&") {
            return Ok(Expr::AddressOf(self.prefix()?.into()));
        }
        if let Some(ty) = self.cast() {
            return Ok(Expr::Cast(ty, self.prefix()?.into()));
        }
        self.path()
    }

    /// The type of a cast, if one begins here.
    fn cast(&mut self) -> Option<String> {
        let inner = self.rest.strip_prefix('(')?;
        let (ty, rest) = inner.split_once(')')?;
        let words: Vec<&str> = ty
            .split([' ', '*'])
            .filter(|word| !word.is_empty())
            .collect();
        let first = words.first()?;
        let is_name = |word: &&str| word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let is_type = TYPE_WORDS.contains(first)
            || TYPE_NAMES.contains(first)
            || first.ends_with("_t")
            || ty.trim_end().ends_with('*');
        if !is_type || !words.iter().all(is_name) {
            return None;
        }
        self.rest = rest.trim_start();
        Some(ty.trim().to_owned())
    }

    fn path(&mut self) -> Result<Expr> {
        let mut expr = self.primary()?;
        loop {
            if self.take("->") || self.take(".") {
                expr = Expr::Member(expr.into(), self.word()?.to_owned());
            } else if self.take("[") {
                let index = self.conditional()?;
                self.require("]")?;
                expr = Expr::Element(expr.into(), index.into());
            } else {
                return Ok(expr);
            }
        }
    }

    fn primary(&mut self) -> Result<Expr> {
        if self.take("(") {
            let expr = self.conditional()?;
            self.require(")")?;
            return Ok(expr);
        }
        if self.take("$") {
            return Ok(Expr::Special(self.word()?.to_owned()));
        }
        if self.rest.starts_with('"') {
            self.rest = &self.rest[1..];
            return self.until('"').map(Expr::Text);
        }
        let word = self.word()?;
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            return number(word)
                .map(Expr::Number)
                .ok_or_else(|| format!("`{word}` is not a number"));
        }
        if !self.take("(") {
            return Ok(Expr::Name(word.to_owned()));
        }
        match word {
            "container_of" => {
                let pointer = self.conditional()?;
                self.require(",")?;
                let ty = self.until(',')?;
                let mut members = vec![self.word()?.to_owned()];
                while self.take(".") {
                    members.push(self.word()?.to_owned());
                }
                self.require(")")?;
                Ok(Expr::ContainerOf(pointer.into(), ty, members))
            }
            "sizeof" => Ok(Expr::SizeOf(self.until(')')?)),
            _ => {
                let mut arguments = Vec::new();
                while !self.take(")") {
                    if !arguments.is_empty() {
                        self.require(",")?;
                    }
                    arguments.push(self.conditional()?);
                }
                Ok(Expr::Call(word.to_owned(), arguments))
            }
        }
    }

    /// The text before `end`, which is taken, too.
    fn until(&mut self, end: char) -> Result<String> {
        let (text, rest) = self
            .rest
            .split_once(end)
            .ok_or_else(|| self.expected(&format!("`{end}`")))?;
        self.rest = rest.trim_start();
        Ok(text.trim().to_owned())
    }
}

fn number(word: &str) -> Option<i64> {
    let word = word.trim_end_matches(['u', 'U', 'l', 'L']);
    let value = match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16).ok()?,
        None => word.parse().ok()?,
    };
    Some(value as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> Expr {
        Expr::Name(name.into())
    }

    fn member(of: Expr, name: &str) -> Expr {
        Expr::Member(of.into(), name.into())
    }

    fn binary(operator: Binary, left: Expr, right: Expr) -> Expr {
        Expr::Binary(operator, left.into(), right.into())
    }

    #[test]
    fn operators_bind_as_in_c() {
        let product = binary(Binary::Multiply, name("b"), Expr::Number(16));
        let sum = binary(Binary::Add, name("a"), product);
        assert_eq!(parse("a + b * 0x10").unwrap(), sum);
        let not = Expr::Unary(Unary::Not, name("a").into());
        let equal = binary(Binary::Equal, name("b"), Expr::Number(1));
        let minus = Expr::Unary(Unary::Negate, Expr::Number(1).into());
        let both = binary(Binary::Both, not, equal);
        let test = Expr::If(both.into(), name("c").into(), minus.into());
        assert_eq!(parse("!a && b == 1 ? c : -1").unwrap(), test);
    }

    #[test]
    fn operators_of_equal_strength_are_taken_from_the_left() {
        let left = binary(Binary::Subtract, name("a"), name("b"));
        let all = binary(Binary::Subtract, left, name("c"));
        assert_eq!(parse("a - b - c").unwrap(), all);
    }

    #[test]
    fn steps_bind_before_prefixes() {
        let path = member(member(name("p"), "se"), "vruntime");
        let address = Expr::AddressOf(path.into());
        assert_eq!(parse("&p->se.vruntime").unwrap(), address);
        let cast = |of: Expr| Expr::Cast("struct a *".into(), of.into());
        assert_eq!(
            parse("(struct a *)p->b").unwrap(),
            cast(member(name("p"), "b"))
        );
        assert_eq!(
            parse("((struct a *)p)->b").unwrap(),
            member(cast(name("p")), "b")
        );
    }

    #[test]
    fn parentheses_around_a_value_are_not_a_cast() {
        let product = binary(Binary::Multiply, name("a"), name("b"));
        assert_eq!(parse("(a) * b").unwrap(), product);
    }

    #[test]
    fn functions_take_types_members_and_values() {
        let members = vec!["b".into(), "c".into()];
        let found = Expr::ContainerOf(name("work").into(), "struct a".into(), members);
        assert_eq!(parse("container_of(work, struct a, b.c)").unwrap(), found);
        let arguments = vec![Expr::Special("tid".into()), Expr::Number(1)];
        let call = Expr::Call("bytes".into(), arguments);
        assert_eq!(parse("bytes($tid, 1)").unwrap(), call);
        assert_eq!(parse("\"a b\"").unwrap(), Expr::Text("a b".into()));
    }

    #[test]
    fn what_is_no_expression_is_refused_with_its_place() {
        for (text, expected) in [
            ("", "a name expected at the end"),
            ("p->", "a name expected at the end"),
            ("p q", "an operator or the end expected at `q`"),
            ("(p", "`)` expected at the end"),
            ("a ? b", "`:` expected at the end"),
            ("12x", "`12x` is not a number"),
        ] {
            assert_eq!(parse(text).unwrap_err(), expected, "{text}");
        }
        assert!(parse(&"(".repeat(10_000)).is_err());
        assert!(parse(&"!".repeat(10_000)).is_err());
    }
}
