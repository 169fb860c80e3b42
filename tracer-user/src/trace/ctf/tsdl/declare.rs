//! Declarations of types.

use std::sync::Arc;

use crate::trace::ctf::labels;
use crate::trace::ctf::schema::{
    Array, Encoding, Enumeration, Float, Integer, Length, MAX_ALIGN_BITS, MAX_ARRAY_LENGTH,
    MAX_MEMBERS, Member, Reference, Selected, Size, Struct, Type, Variant, VariantOption,
};
use crate::trace::ctf::tsdl::lexer::Token;
use crate::trace::ctf::tsdl::parser::{Parser, Result, Scalar};
use crate::trace::event::{Display, IntegerType};

const TOO_LARGE: &str = "a type is nested too deeply or too large";
/// Dimensions of an array.
const MAX_DIMENSIONS: usize = 16;
/// How deep declarations may lie inside each other.
const MAX_DEPTH: u32 = 16;

/// The name of a member that has none.
const DECLARATION: &str = "";

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
        self.declare(name, ty);
        Ok(())
    }

    /// `typedef TYPE NAME`, as in C.
    pub(crate) fn typedef(&mut self) -> Result<()> {
        self.advance()?;
        let Member { name, ty } = self.member()?;
        self.declare(name.to_string(), ty);
        Ok(())
    }

    /// A number whose type is named after a table has the table's names.
    fn with_table(&self, ty: Type, name: &str) -> Type {
        let Type::Integer(integer) = ty else {
            return ty;
        };
        let labels = labels::table_of(name).and_then(|table| match self.lookup(table)? {
            Type::Enumeration(names) => labels::table(table, names),
            _ => None,
        });
        match labels {
            Some(labels) => Type::Labeled(integer, labels),
            None => Type::Integer(integer),
        }
    }

    pub(crate) fn ty(&mut self) -> Result<Type> {
        if let Token::Word(
            "integer" | "enum" | "struct" | "variant" | "string" | "floating_point",
        ) = self.token
        {
            return self.built_in();
        }
        let name = self.words()?;
        self.named(&name)
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
        match self.lookup(name) {
            Some(ty) => Ok(ty.clone()),
            None => self.error(format!("there is no type `{name}`")),
        }
    }

    fn built_in(&mut self) -> Result<Type> {
        if self.depth == MAX_DEPTH {
            return self.error(TOO_LARGE);
        }
        self.depth += 1;
        let ty = match self.word()? {
            "integer" => self.integer().map(Type::Integer),
            "enum" => self.enumeration(),
            "struct" => self.structure(),
            "variant" => self.variant(),
            "floating_point" => self.float().map(Type::Float),
            _ => self.string(),
        };
        self.depth -= 1;
        ty
    }

    /// `{ key = value; … }` after `integer`, `floating_point` or `string`.
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
        let (mut signed, mut clock) = (false, None);
        let mut big_endian = self.big_endian;
        let mut display = Display::Decimal;
        self.attributes(|parser, name, scalar| {
            match (name, scalar) {
                ("size", scalar) => size_bits = parser.unsigned(scalar)?,
                ("align", scalar) => align_bits = Some(parser.unsigned(scalar)?),
                ("signed", Scalar::Word(word)) => signed = word == "true" || word == "TRUE",
                ("signed", scalar) => signed = parser.unsigned(scalar)? != 0,
                ("map", Scalar::Word(word)) => {
                    let name = word.strip_prefix("clock.").unwrap_or(&word);
                    clock = Some(name.strip_suffix(".value").unwrap_or(name).into());
                }
                ("byte_order", scalar) => big_endian = parser.is_big_endian(&scalar)?,
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
        Ok(Integer {
            ty,
            encoding: if big_endian {
                Encoding::BigEndian
            } else {
                Encoding::LittleEndian
            },
            clock,
            role: None,
        })
    }

    fn float(&mut self) -> Result<Float> {
        let (mut exponent, mut mantissa, mut align_bits) = (0, 0, 8);
        let mut big_endian = self.big_endian;
        self.attributes(|parser, name, scalar| {
            match name {
                "exp_dig" => exponent = parser.unsigned(scalar)?,
                "mant_dig" => mantissa = parser.unsigned(scalar)?,
                "align" => align_bits = parser.unsigned(scalar)?,
                "byte_order" => big_endian = parser.is_big_endian(&scalar)?,
                _ => {}
            }
            Ok(())
        })?;
        self.check_align(align_bits)?;
        let size_bits = match (exponent, mantissa) {
            (8, 24) => 32,
            (11, 53) => 64,
            _ => {
                return self.error(format!(
                    "a floating-point number with exponent of {exponent} and mantissa of \
                     {mantissa} bits is not supported"
                ));
            }
        };
        Ok(Float {
            size_bits,
            align_bits: align_bits as u16,
            big_endian,
        })
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

    /// Gives the type its name, if it has one; without a body it is a type declared before.
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
                    self.declare(name, ty.clone());
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
            let size = parser.size_of(&members)?;
            Ok(Type::Struct(Arc::new(Struct {
                members,
                align_bits,
                size,
            })))
        })
    }

    /// `variant NAME <SELECTOR> { TYPE NAME; … }`, the selector and one of the others optional.
    fn variant(&mut self) -> Result<Type> {
        let mut name = None;
        if let Token::Word(word) = self.token {
            self.advance()?;
            name = Some(format!("variant {word}"));
        }
        let mut selector = None;
        if self.accept('<')? {
            selector = Some(Reference::Tsdl(self.path()?.into()));
            self.expect('>')?;
        }
        if self.token != Token::Sign('{') {
            let Some(name) = name else {
                return Err(self.unexpected("`{`"));
            };
            let Type::Variant(declared) = self.named(&name)? else {
                return self.error(format!("`{name}` is not a variant"));
            };
            let declared = (*declared).clone();
            return Ok(Type::Variant(Arc::new(Variant {
                selector: selector.or(declared.selector),
                ..declared
            })));
        }
        let members = self.members()?;
        let size = self.size_of(&members)?;
        let option = |member: Member| VariantOption {
            name: member.name,
            ty: member.ty,
            selected: Selected::ByName,
        };
        let ty = Type::Variant(Arc::new(Variant {
            selector,
            options: members.into_iter().map(option).collect(),
            optional: false,
            size,
        }));
        if let Some(name) = name {
            self.declare(name, ty.clone());
        }
        Ok(ty)
    }

    /// The size of a type of these; types that were declared before count like others.
    fn size_of(&self, members: &[Member]) -> Result<Size> {
        match Size::around(members.iter().map(|member| &member.ty)) {
            Some(size) => Ok(size),
            None => self.error(TOO_LARGE),
        }
    }

    fn members(&mut self) -> Result<Vec<Member>> {
        self.scope(Self::members_in_scope)
    }

    fn members_in_scope(&mut self) -> Result<Vec<Member>> {
        self.expect('{')?;
        let mut members = Vec::new();
        while !self.accept('}')? {
            if self.declaration()? {
                continue;
            }
            if members.len() == MAX_MEMBERS {
                return self.error("a type with too many members");
            }
            let member = self.member()?;
            if &*member.name != DECLARATION {
                members.push(member);
            }
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
            let ty = self.ty()?;
            if self.token == Token::Sign(';') {
                // a type that is declared for the members after it
                return Ok(Member {
                    name: DECLARATION.into(),
                    ty,
                });
            }
            (ty, self.word()?)
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

    /// `[2][len]`: two sequences of `len` elements, the last dimension inside the others.
    fn dimensions(&mut self, mut ty: Type) -> Result<Type> {
        let mut lengths = Vec::new();
        while self.accept('[')? {
            if lengths.len() == MAX_DIMENSIONS {
                return self.error("an array with too many dimensions");
            }
            lengths.push(if let Token::Number(length) = self.token {
                if length > MAX_ARRAY_LENGTH {
                    return self.error(format!("an array cannot have {length} elements"));
                }
                self.advance()?;
                Length::Fixed(length as u32)
            } else {
                Length::Field(Reference::Tsdl(self.path()?.into()))
            });
            self.expect(']')?;
        }
        for length in lengths.into_iter().rev() {
            let Some(size) = Size::of_array(&ty) else {
                return self.error(TOO_LARGE);
            };
            ty = Type::Array(Arc::new(Array {
                element: ty,
                length,
                align_bits: 1,
                size,
            }));
        }
        Ok(ty)
    }

    fn enumeration(&mut self) -> Result<Type> {
        self.define("enum", |parser| {
            let base = if parser.accept(':')? {
                parser.ty()?
            } else {
                parser.named("int")?
            };
            let Type::Integer(base) = base else {
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
