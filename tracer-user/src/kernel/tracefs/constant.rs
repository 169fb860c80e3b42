//! C constant expressions, as the kernel prints them into its format files.
//!
//! Macros are expanded there, so that a flag is `(( gfp_t)((((1UL))) << (10)))`. Supported
//! are numbers of all bases with suffixes, casts to types that
//! [`ctype`] knows, parentheses, `~` `-` `+` `*` `<<` `>>`
//! `&` `^` `|`. Numbers have the types that C gives them (ISO C11 §6.4.4.1, §6.3.1).

use crate::kernel::tracefs::ctype;

/// Maximum nesting of parentheses and signs.
const MAX_DEPTH: u32 = 64;

/// The value of the whole of `text`, converted to `unsigned long`; `None` if it has parts
/// that are unknown.
#[must_use]
pub(super) fn evaluate(text: &str) -> Option<u64> {
    let mut parser = Parser {
        rest: text.trim_start(),
        depth: 0,
    };
    let value = parser.binary(0)?;
    parser.rest.is_empty().then_some(value.bits)
}

/// A type of C that arithmetic is done in.
#[derive(Clone, Copy)]
struct Type {
    /// 64 bits, not 32.
    long: bool,
    unsigned: bool,
}

impl Type {
    /// That of `a + b`.
    fn common(a: Self, b: Self) -> Self {
        match (a.long, b.long) {
            (true, false) => a,
            (false, true) => b,
            _ => Self {
                unsigned: a.unsigned || b.unsigned,
                ..a
            },
        }
    }
}

#[derive(Clone, Copy)]
struct Value {
    /// Extended to 64 bits according to its type.
    bits: u64,
    ty: Type,
}

impl Value {
    fn new(bits: u64, ty: Type) -> Self {
        let bits = match (ty.long, ty.unsigned) {
            (true, _) => bits,
            (false, true) => u64::from(bits as u32),
            (false, false) => i64::from(bits as i32) as u64,
        };
        Self { bits, ty }
    }
}

/// Operators of two operands, by how tightly they bind, the loosest first.
const LEVELS: [&[&str]; 6] = [&["|"], &["^"], &["&"], &["<<", ">>"], &["+", "-"], &["*"]];

fn apply(operator: &str, left: Value, right: Value) -> Option<Value> {
    if let "<<" | ">>" = operator {
        let count = u32::try_from(right.bits).ok()?;
        if count >= if left.ty.long { 64 } else { 32 } {
            return None;
        }
        let bits = match operator {
            "<<" => left.bits << count,
            _ if left.ty.unsigned => left.bits >> count,
            _ => ((left.bits as i64) >> count) as u64,
        };
        return Some(Value::new(bits, left.ty));
    }
    let ty = Type::common(left.ty, right.ty);
    let (a, b) = (
        Value::new(left.bits, ty).bits,
        Value::new(right.bits, ty).bits,
    );
    let bits = match operator {
        "|" => a | b,
        "^" => a ^ b,
        "&" => a & b,
        "+" => a.wrapping_add(b),
        "-" => a.wrapping_sub(b),
        _ => a.wrapping_mul(b),
    };
    Some(Value::new(bits, ty))
}

struct Parser<'a> {
    /// Without blanks before it.
    rest: &'a str,
    depth: u32,
}

impl<'a> Parser<'a> {
    fn accept(&mut self, sign: &str) -> bool {
        match self.rest.strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    fn word(&mut self) -> Option<&'a str> {
        let end = self
            .rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start();
        (!word.is_empty()).then_some(word)
    }

    /// Operators of `level` and tighter ones.
    fn binary(&mut self, level: usize) -> Option<Value> {
        let Some(operators) = LEVELS.get(level) else {
            return self.unary();
        };
        let mut left = self.binary(level + 1)?;
        while let Some(operator) = operators.iter().find(|operator| self.accept(operator)) {
            let right = self.binary(level + 1)?;
            left = apply(operator, left, right)?;
        }
        Some(left)
    }

    fn unary(&mut self) -> Option<Value> {
        if self.depth == MAX_DEPTH {
            return None;
        }
        self.depth += 1;
        let value = if self.accept("~") {
            let value = self.unary()?;
            Value::new(!value.bits, value.ty)
        } else if self.accept("-") {
            let value = self.unary()?;
            Value::new(value.bits.wrapping_neg(), value.ty)
        } else if self.accept("+") {
            self.unary()?
        } else if self.accept("(") {
            self.parenthesis()?
        } else {
            number(self.word()?)?
        };
        self.depth -= 1;
        Some(value)
    }

    /// After `(`: a cast or an expression.
    fn parenthesis(&mut self) -> Option<Value> {
        if self
            .rest
            .starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        {
            let (name, rest) = self.rest.split_once(')')?;
            self.rest = rest.trim_start();
            let ty = ctype::lookup(name.trim_end())?;
            return Some(cast(self.unary()?, ty));
        }
        let value = self.binary(0)?;
        self.accept(")").then_some(value)
    }
}

fn cast(value: Value, to: ctype::CType) -> Value {
    let unused = 64 - u32::from(to.size) * 8;
    let high = value.bits << unused;
    let bits = if to.signed {
        ((high as i64) >> unused) as u64
    } else {
        high >> unused
    };
    let ty = Type {
        long: to.size == 8,
        // smaller ones become `int`
        unsigned: to.size >= 4 && !to.signed,
    };
    Value::new(bits, ty)
}

/// A number of C: in the first type that has it (§6.4.4.1).
fn number(word: &str) -> Option<Value> {
    let digits = word.trim_end_matches(['u', 'U', 'l', 'L']);
    let suffix = &word[digits.len()..];
    let (digits, radix) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&digits[2..], 16),
        [b'0', _, ..] => (&digits[1..], 8),
        _ => (digits, 10),
    };
    let bits = u64::from_str_radix(digits, radix).ok()?;
    let long = suffix.contains(['l', 'L']);
    let unsigned = suffix.contains(['u', 'U']);
    let types = [(false, false), (false, true), (true, false), (true, true)];
    types
        .into_iter()
        .map(|(long, unsigned)| Type { long, unsigned })
        .filter(|ty| ty.long || !long)
        // without a suffix, decimal numbers are never unsigned, the others may be
        .filter(|ty| ty.unsigned || !unsigned)
        .filter(|ty| !ty.unsigned || unsigned || radix != 10)
        .find(|ty| {
            let most = u64::MAX >> (if ty.long { 0 } else { 32 } + u32::from(!ty.unsigned));
            bits <= most
        })
        .map(|ty| Value { bits, ty })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_the_kernel_have_their_values() {
        for (text, value) in [
            ("0x00000080", 0x80),
            ("010", 8),
            ("0", 0),
            ("(1 << 3)", 8),
            ("( unsigned long)(( gfp_t)((((1UL))) << (10)))", 0x400),
            (
                "(( gfp_t)(((((1UL))) << (10))|((((1UL))) << (11)))) & ~(( gfp_t)((((1UL))) << (10)))",
                0x800,
            ),
            ("2 + 3 * 4 - 1", 13),
            ("1 | 2 ^ 3 & 1 << 1", 1),
            ("((u32)((((1UL))) << (31)))", 0x8000_0000),
            (" 4 ", 4),
        ] {
            assert_eq!(evaluate(text), Some(value), "{text}");
        }
    }

    #[test]
    fn signs_are_those_of_the_types() {
        for (text, value) in [
            ("-2", -2i64 as u64),
            ("-2U", 0xffff_fffe),
            ("1 << 31", 0xffff_ffff_8000_0000),
            ("1U << 31", 0x8000_0000),
            ("0x80000000", 0x8000_0000),
            ("-1 >> 1", u64::MAX),
            ("~0", u64::MAX),
            ("~0U", 0xffff_ffff),
            ("(u8)-1", 0xff),
            ("(s8)0x80", -128i64 as u64),
            ("(unsigned long)-1", u64::MAX),
            ("-1 + 0U", 0xffff_ffff),
        ] {
            assert_eq!(evaluate(text), Some(value), "{text}");
        }
    }

    #[test]
    fn what_is_not_known_has_no_value() {
        for text in [
            "",
            "I_DIRTY",
            "sizeof(int)",
            "(1",
            "1)",
            "1 << 32",
            "1 << -1",
            "(struct x)1",
            "1 ? 2 : 3",
            "((void *)vmemmap)",
            "08",
            "0x",
            "1 2",
            "99999999999999999999",
            "1 &&  1",
            "é",
        ] {
            assert_eq!(evaluate(text), None, "{text}");
        }
        assert_eq!(evaluate(&"(".repeat(100_000)), None);
        assert_eq!(evaluate(&"-".repeat(100_000)), None);
    }
}
