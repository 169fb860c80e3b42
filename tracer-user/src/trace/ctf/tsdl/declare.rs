//! Declarations of types.

use std::sync::Arc;

use crate::trace::ctf::labels;
use crate::trace::ctf::tsdl::lexer::Token;
use crate::trace::ctf::tsdl::parser::{Parser, Result, Scalar};
use crate::trace::ctf::tsdl::types::{Enumeration, Integer, Member, Struct, Type};
use crate::trace::event::{Display, IntegerType};

/// How deep types may lie inside each other.
const MAX_DEPTH: u32 = 16;
const TOO_DEEP: &str = "types lie too deep inside each other";
/// Members of one structure, labels of one enumeration.
const MAX_MEMBERS: usize = labels::MAX_LABELS;
/// Elements of an array.
const MAX_ARRAY_LENGTH: u64 = 1 << 20;
/// The largest alignment in bits: that of a page.
const MAX_ALIGN_BITS: u64 = 4096 * 8;

impl Parser<'_> {
    /// `typealias TYPE := NAME…`.
    pub(crate) fn typealias(&mut self) -> Result<()> {
        self.advance()?;
        let ty = self.ty()?;
        if self.token != Token::Assign {
            return Err(self.unexpected("`:=`"));
        }
        self.advance()?;
        let name = self.words()?;
        let ty = self.with_table(ty, &name);
        self.names.insert(name, ty);
        Ok(())
    }

    /// A number whose type is called after a table has its names.
    fn with_table(&self, ty: Type, name: &str) -> Type {
        let Type::Integer(integer) = ty else {
            return ty;
        };
        let labels = labels::table_of(name).and_then(|table| match self.names.get(table)? {
            Type::Enumeration(names) => labels::table(table, names),
            _ => None,
        });
        labels.map_or(ty, |labels| Type::Labeled(integer, labels))
    }

    pub(crate) fn ty(&mut self) -> Result<Type> {
        match self.token {
            Token::Word("integer" | "enum" | "struct" | "variant" | "string") => self.built_in(),
            Token::Word("floating_point") => self.error("`floating_point` is not supported"),
            _ => {
                let name = self.words()?;
                self.named(&name)
            }
        }
    }

    /// `unsigned long`.
    fn words(&mut self) -> Result<String> {
        let mut words = self.word()?.to_owned();
        while let Token::Word(word) = self.token {
            words.push(' ');
            words.push_str(word);
            self.advance()?;
        }
        Ok(words)
    }

    fn named(&self, name: &str) -> Result<Type> {
        match self.names.get(name) {
            Some(ty) => Ok(ty.clone()),
            None => self.error(format!("no type is called `{name}`")),
        }
    }

    fn built_in(&mut self) -> Result<Type> {
        if self.depth == MAX_DEPTH {
            return self.error(TOO_DEEP);
        }
        self.depth += 1;
        let ty = match self.word()? {
            "integer" => self.integer().map(Type::Integer),
            "enum" => self.enumeration(),
            "struct" => self.structure(),
            "variant" => self.variant(),
            _ => self.string(),
        };
        self.depth -= 1;
        ty
    }

    /// `{ key = value; … }` behind `integer` or `string`.
    fn attributes(
        &mut self,
        mut take: impl FnMut(&Self, &str, Scalar) -> Result<()>,
    ) -> Result<()> {
        self.expect('{')?;
        while !self.accept('}')? {
            let name = self.word()?;
            self.expect('=')?;
            let scalar = self.scalar()?;
            take(self, name, scalar)?;
            self.expect(';')?;
        }
        Ok(())
    }

    fn integer(&mut self) -> Result<Integer> {
        let (mut size_bits, mut align_bits) = (0, None);
        let (mut signed, mut clock) = (false, false);
        let mut display = Display::Decimal;
        self.attributes(|parser, name, scalar| {
            match (name, scalar) {
                ("size", scalar) => size_bits = parser.unsigned(scalar)?,
                ("align", scalar) => align_bits = Some(parser.unsigned(scalar)?),
                ("signed", Scalar::Word(word)) => signed = word == "true" || word == "TRUE",
                ("signed", scalar) => signed = parser.unsigned(scalar)? != 0,
                ("map", _) => clock = true,
                ("byte_order", Scalar::Word(word)) if word == "be" || word == "network" => {
                    return parser.error("big-endian numbers are not supported");
                }
                ("encoding", Scalar::Word(word)) if word != "none" => display = Display::Text,
                ("base", scalar) if display != Display::Text => display = base(&scalar),
                _ => {}
            }
            Ok(())
        })?;
        if !(1..=64).contains(&size_bits) {
            return self.error(format!("an integer cannot have {size_bits} bits"));
        }
        // CTF 1.8 §4.1.2: whole bytes by default, single bits where it is not of whole bytes
        let default = if size_bits % 8 == 0 { 8 } else { 1 };
        let align_bits = align_bits.unwrap_or(default);
        self.check_align(align_bits)?;
        let ty = IntegerType {
            size_bits: size_bits as u16,
            align_bits: align_bits as u16,
            signed,
            display,
        };
        Ok(Integer { ty, clock })
    }

    fn check_align(&self, align_bits: u64) -> Result<()> {
        if align_bits.is_power_of_two() && align_bits <= MAX_ALIGN_BITS {
            Ok(())
        } else {
            self.error(format!("nothing can be aligned to {align_bits} bits"))
        }
    }

    fn string(&mut self) -> Result<Type> {
        if self.token == Token::Sign('{') {
            self.attributes(|_, _, _| Ok(()))?;
        }
        Ok(Type::String)
    }

    /// Gives the type a name where it has one; without a body it is a type known already.
    fn define(&mut self, kind: &str, body: impl FnOnce(&mut Self) -> Result<Type>) -> Result<Type> {
        let name = match self.token {
            Token::Word(word) => {
                self.advance()?;
                Some(format!("{kind} {word}"))
            }
            _ => None,
        };
        match name {
            Some(name) if !matches!(self.token, Token::Sign('{' | ':' | '<')) => self.named(&name),
            name => {
                let ty = body(self)?;
                if let Some(name) = name {
                    self.names.insert(name, ty.clone());
                }
                Ok(ty)
            }
        }
    }

    fn structure(&mut self) -> Result<Type> {
        self.define("struct", |parser| {
            let members = parser.members()?;
            let mut align_bits = 1;
            if parser.token == Token::Word("align") {
                parser.advance()?;
                parser.expect('(')?;
                let number = parser.number()?;
                align_bits = parser.unsigned(Scalar::Number(number))?;
                parser.check_align(align_bits)?;
                parser.expect(')')?;
            }
            let depth = parser.depth_of(&members)?;
            Ok(Type::Struct(Arc::new(Struct {
                members,
                align_bits,
                depth,
            })))
        })
    }

    fn variant(&mut self) -> Result<Type> {
        self.define("variant", |parser| {
            if parser.accept('<')? {
                parser.path()?;
                parser.expect('>')?;
            }
            let members = parser.members()?;
            let depth = parser.depth_of(&members)?;
            Ok(Type::Variant(Arc::new(Struct {
                members,
                align_bits: 1,
                depth,
            })))
        })
    }

    /// That of a structure of these; types that were declared before count like others.
    fn depth_of(&self, members: &[Member]) -> Result<u32> {
        let inner = members.iter().map(|member| member.ty.depth()).max();
        match inner.unwrap_or(0) {
            MAX_DEPTH.. => self.error(TOO_DEEP),
            inner => Ok(inner + 1),
        }
    }

    fn members(&mut self) -> Result<Vec<Member>> {
        self.expect('{')?;
        let mut members = Vec::new();
        while !self.accept('}')? {
            if members.len() == MAX_MEMBERS {
                return self.error("a type with too many members");
            }
            members.push(self.member()?);
            self.expect(';')?;
        }
        Ok(members)
    }

    /// `TYPE NAME[LENGTH]…`.
    fn member(&mut self) -> Result<Member> {
        let known = matches!(
            self.token,
            Token::Word("integer" | "enum" | "struct" | "variant" | "string" | "floating_point")
        );
        let (ty, name) = if known {
            (self.ty()?, self.word()?)
        } else {
            // the last of the words is the member's name
            let mut name = self.word()?;
            let mut ty = String::new();
            while let Token::Word(word) = self.token {
                if !ty.is_empty() {
                    ty.push(' ');
                }
                ty.push_str(name);
                name = word;
                self.advance()?;
            }
            if ty.is_empty() {
                return Err(self.unexpected("a name"));
            }
            (self.named(&ty)?, name)
        };
        let ty = self.dimensions(ty)?;
        Ok(Member {
            name: name.into(),
            ty,
        })
    }

    fn dimensions(&mut self, mut ty: Type) -> Result<Type> {
        let mut count = 0;
        while self.accept('[')? {
            count += 1;
            if count == MAX_DEPTH {
                return self.error("an array with too many dimensions");
            }
            ty = if let Token::Number(length) = self.token {
                if length > MAX_ARRAY_LENGTH {
                    return self.error(format!("an array cannot have {length} elements"));
                }
                self.advance()?;
                Type::Array(Arc::new(ty), length as u32)
            } else {
                Type::Sequence(Arc::new(ty), self.path()?.into())
            };
            self.expect(']')?;
        }
        Ok(ty)
    }

    fn enumeration(&mut self) -> Result<Type> {
        self.define("enum", |parser| {
            parser.expect(':')?;
            let Type::Integer(base) = parser.ty()? else {
                return parser.error("an enumeration must be of integers");
            };
            parser.expect('{')?;
            let mut labels = Vec::new();
            let mut next = 0;
            while !parser.accept('}')? {
                if labels.len() == MAX_MEMBERS {
                    return parser.error("an enumeration with too many names");
                }
                let label = match parser.scalar()? {
                    Scalar::Text(text) | Scalar::Word(text) => text,
                    Scalar::Number(_) => return Err(parser.unexpected("a name")),
                };
                let (mut first, mut last) = (next, next);
                if parser.accept('=')? {
                    first = parser.number()?;
                    last = first;
                    if parser.token == Token::Ellipsis {
                        parser.advance()?;
                        last = parser.number()?;
                    }
                }
                labels.push((first, last, label));
                next = last + 1;
                if !parser.accept(',')? && parser.token != Token::Sign('}') {
                    return Err(parser.unexpected("`,`"));
                }
            }
            Ok(Type::Enumeration(Arc::new(Enumeration { base, labels })))
        })
    }
}

fn base(scalar: &Scalar) -> Display {
    match scalar {
        Scalar::Number(16) => Display::Hexadecimal,
        Scalar::Number(8) => Display::Octal,
        Scalar::Word(word) if matches!(word.as_str(), "hex" | "hexadecimal" | "x" | "X" | "p") => {
            Display::Hexadecimal
        }
        Scalar::Word(word) if matches!(word.as_str(), "oct" | "octal" | "o") => Display::Octal,
        _ => Display::Decimal,
    }
}
