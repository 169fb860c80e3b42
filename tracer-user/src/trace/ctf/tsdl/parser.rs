//! Tokens to blocks.

use std::collections::HashMap;

use crate::trace::ctf::metadata::EnvValue;
use crate::trace::ctf::schema::{ClockBlock, Document, EventBlock, StreamBlock, Type};
use crate::trace::ctf::tsdl::lexer::{Lexer, Token};
use crate::trace::ctf::tsdl::{TsdlError, parse_uuid};

pub(crate) type Result<T> = std::result::Result<T, TsdlError>;

/// What follows `=`.
pub(crate) enum Scalar {
    Text(String),
    Number(i128),
    /// `le`, `true`, `clock.monotonic.value`.
    Word(String),
}

/// A statement of a block: `name = scalar;` or `name := type;`.
enum Entry {
    Scalar(String, Scalar),
    Type(String, Type),
}

pub(crate) struct Parser<'a> {
    lexer: Lexer<'a>,
    /// The token to be looked at next, and its line.
    pub(crate) token: Token<'a>,
    line: u32,
    /// Types by what refers to them: `uint8_t`, `unsigned long`, `struct event_header`.
    names: HashMap<String, Type>,
    /// The types that names of the blocks being read had outside of them.
    hidden: Vec<(String, Option<Type>)>,
    /// How many types the one that is being read lies in.
    pub(crate) depth: u32,
    /// The byte order of types that declare none.
    pub(crate) big_endian: bool,
}

/// `trace { … }`.
#[derive(Default)]
struct TraceBlock {
    version: (u64, u64),
    uuid: Option<[u8; 16]>,
    big_endian: bool,
    packet_header: Option<Type>,
}

impl<'a> Parser<'a> {
    pub(crate) fn new(text: &'a str, big_endian: bool) -> Result<Self> {
        let mut parser = Self {
            lexer: Lexer::new(text),
            token: Token::End,
            line: 1,
            names: HashMap::new(),
            hidden: Vec::new(),
            depth: 0,
            big_endian,
        };
        parser.advance()?;
        Ok(parser)
    }

    /// The whole text, and whether the trace's byte order is big-endian.
    pub(crate) fn document(mut self) -> Result<(Document, bool)> {
        let mut document = Document::default();
        let mut trace = None;
        while self.token != Token::End {
            let line = self.line;
            match self.token {
                Token::Word("trace") => trace = Some(self.trace()?),
                Token::Word("env") => self.env(&mut document.env)?,
                Token::Word("clock") => document.clocks.push(self.clock()?),
                Token::Word("stream") => document.streams.push(self.stream()?),
                Token::Word("event") => {
                    let event = self.event()?;
                    document.events.push(EventBlock { line, ..event });
                }
                Token::Word("callsite") => self.block(|_, _| Ok(()))?,
                Token::Word("typealias") => self.typealias()?,
                Token::Word("typedef") => self.typedef()?,
                Token::Word("struct" | "enum" | "variant") => {
                    self.ty()?;
                }
                Token::Sign(';') => {}
                _ => return Err(self.unexpected("a block")),
            }
            self.expect(';')?;
        }
        let Some(trace) = trace else {
            return self.error("there is no `trace` block");
        };
        if trace.version != (1, 8) {
            let (major, minor) = trace.version;
            return self.error(format!(
                "CTF {major}.{minor} is not supported, only 1.8 and 2"
            ));
        }
        document.uuid = trace.uuid;
        document.packet_header = trace.packet_header;
        Ok((document, trace.big_endian))
    }

    /// The type of this name.
    pub(crate) fn lookup(&self, name: &str) -> Option<&Type> {
        self.names.get(name)
    }

    /// Gives `ty` a name until the block ends.
    pub(crate) fn declare(&mut self, name: String, ty: Type) {
        let before = self.names.insert(name.clone(), ty);
        self.hidden.push((name, before));
    }

    /// Reads a block: names declared in it are forgotten at its end (CTF 1.8 §7.3.1).
    pub(crate) fn scope<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let outside = self.hidden.len();
        let result = read(self);
        for (name, before) in self.hidden.drain(outside..).rev() {
            match before {
                Some(ty) => self.names.insert(name, ty),
                None => self.names.remove(&name),
            };
        }
        result
    }

    pub(crate) fn error<T>(&self, what: impl Into<String>) -> Result<T> {
        Err(TsdlError {
            line: self.line,
            what: what.into(),
        })
    }

    pub(crate) fn unexpected(&self, expected: &str) -> TsdlError {
        TsdlError {
            line: self.line,
            what: format!("expected {expected}, found {}", self.token),
        }
    }

    pub(crate) fn advance(&mut self) -> Result<Token<'a>> {
        let next = self.lexer.next()?;
        self.line = self.lexer.line;
        Ok(std::mem::replace(&mut self.token, next))
    }

    pub(crate) fn accept(&mut self, sign: char) -> Result<bool> {
        let found = self.token == Token::Sign(sign);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    pub(crate) fn expect(&mut self, sign: char) -> Result<()> {
        if self.accept(sign)? {
            Ok(())
        } else {
            Err(self.unexpected(&format!("`{sign}`")))
        }
    }

    pub(crate) fn word(&mut self) -> Result<&'a str> {
        match self.token {
            Token::Word(word) => {
                self.advance()?;
                Ok(word)
            }
            _ => Err(self.unexpected("a name")),
        }
    }

    pub(crate) fn number(&mut self) -> Result<i128> {
        let negative = self.accept('-')?;
        match self.token {
            Token::Number(number) => {
                self.advance()?;
                let number = i128::from(number);
                Ok(if negative { -number } else { number })
            }
            _ => Err(self.unexpected("a number")),
        }
    }

    /// `a.b.c`.
    pub(crate) fn path(&mut self) -> Result<String> {
        let mut path = self.word()?.to_owned();
        while self.accept('.')? {
            path.push('.');
            path.push_str(self.word()?);
        }
        Ok(path)
    }

    pub(crate) fn scalar(&mut self) -> Result<Scalar> {
        match &mut self.token {
            Token::Text(text) => {
                let text = std::mem::take(text);
                self.advance()?;
                Ok(Scalar::Text(text))
            }
            Token::Word(_) => self.path().map(Scalar::Word),
            _ => self.number().map(Scalar::Number),
        }
    }

    /// A declaration of types between others, if there is one.
    pub(crate) fn declaration(&mut self) -> Result<bool> {
        match self.token {
            Token::Word("typealias") => self.typealias()?,
            Token::Word("typedef") => self.typedef()?,
            _ => return Ok(false),
        }
        self.expect(';')?;
        Ok(true)
    }

    /// `WORD { entry; … }`, each entry given to `take`.
    fn block(&mut self, take: impl FnMut(&Self, Entry) -> Result<()>) -> Result<()> {
        self.scope(|parser| parser.entries(take))
    }

    fn entries(&mut self, mut take: impl FnMut(&Self, Entry) -> Result<()>) -> Result<()> {
        self.advance()?;
        self.expect('{')?;
        while !self.accept('}')? {
            if self.declaration()? {
                continue;
            }
            if matches!(self.token, Token::Word("struct" | "enum" | "variant")) {
                self.ty()?;
                self.expect(';')?;
                continue;
            }
            let name = self.path()?;
            let entry = if self.token == Token::Assign {
                self.advance()?;
                Entry::Type(name, self.ty()?)
            } else {
                self.expect('=')?;
                Entry::Scalar(name, self.scalar()?)
            };
            take(self, entry)?;
            self.expect(';')?;
        }
        Ok(())
    }

    fn trace(&mut self) -> Result<TraceBlock> {
        let mut trace = TraceBlock::default();
        self.block(|parser, entry| {
            match entry {
                Entry::Type(name, ty) if name == "packet.header" => {
                    trace.packet_header = Some(ty);
                }
                Entry::Scalar(name, scalar) => match name.as_str() {
                    "major" => trace.version.0 = parser.unsigned(scalar)?,
                    "minor" => trace.version.1 = parser.unsigned(scalar)?,
                    "uuid" => trace.uuid = Some(parser.uuid(scalar)?),
                    "byte_order" => trace.big_endian = parser.is_big_endian(&scalar)?,
                    _ => {}
                },
                Entry::Type(..) => {}
            }
            Ok(())
        })?;
        Ok(trace)
    }

    fn env(&mut self, env: &mut Vec<(String, EnvValue)>) -> Result<()> {
        self.block(|parser, entry| {
            if let Entry::Scalar(name, scalar) = entry {
                let value = match scalar {
                    Scalar::Number(number) => {
                        i64::try_from(number).map(EnvValue::Number).or_else(|_| {
                            parser.error(format!("`{number}` is not a number of 64 bits"))
                        })?
                    }
                    Scalar::Text(text) | Scalar::Word(text) => EnvValue::Text(text),
                };
                env.push((name, value));
            }
            Ok(())
        })
    }

    fn clock(&mut self) -> Result<ClockBlock> {
        let mut clock = ClockBlock {
            frequency: 1_000_000_000,
            ..ClockBlock::default()
        };
        self.block(|parser, entry| {
            if let Entry::Scalar(name, scalar) = entry {
                match name.as_str() {
                    "uuid" => clock.uuid = Some(parser.uuid(scalar)?),
                    "freq" => clock.frequency = parser.unsigned(scalar)?,
                    "name" => clock.name = parser.text(scalar)?,
                    "offset" => clock.offset = parser.signed(scalar)?,
                    "offset_s" => clock.offset_s = parser.signed(scalar)?,
                    _ => {}
                }
            }
            Ok(())
        })?;
        Ok(clock)
    }

    fn stream(&mut self) -> Result<StreamBlock> {
        let mut stream = StreamBlock::default();
        self.block(|parser, entry| {
            match entry {
                Entry::Scalar(name, scalar) if name == "id" => {
                    stream.id = parser.unsigned(scalar)?;
                }
                Entry::Scalar(..) => {}
                Entry::Type(name, ty) => match name.as_str() {
                    "packet.context" => stream.packet_context = Some(ty),
                    "event.header" => stream.event_header = Some(ty),
                    "event.context" => stream.event_context = Some(ty),
                    _ => {}
                },
            }
            Ok(())
        })?;
        Ok(stream)
    }

    fn event(&mut self) -> Result<EventBlock> {
        let mut event = EventBlock::default();
        self.block(|parser, entry| {
            match entry {
                Entry::Scalar(name, scalar) => match name.as_str() {
                    "name" => event.name = parser.text(scalar)?,
                    "id" => event.id = parser.unsigned(scalar)?,
                    "stream_id" => event.stream_id = parser.unsigned(scalar)?,
                    _ => {}
                },
                Entry::Type(name, ty) => match name.as_str() {
                    "fields" => event.fields = Some(ty),
                    "context" => event.context = Some(ty),
                    _ => {}
                },
            }
            Ok(())
        })?;
        Ok(event)
    }

    pub(crate) fn unsigned(&self, scalar: Scalar) -> Result<u64> {
        match scalar {
            Scalar::Number(number) => u64::try_from(number)
                .or_else(|_| self.error(format!("`{number}` must not be negative"))),
            Scalar::Text(text) | Scalar::Word(text) => {
                self.error(format!("expected a number, found `{text}`"))
            }
        }
    }

    fn signed(&self, scalar: Scalar) -> Result<i64> {
        match scalar {
            Scalar::Number(number) => i64::try_from(number)
                .or_else(|_| self.error(format!("`{number}` is not a signed number of 64 bits"))),
            Scalar::Text(text) | Scalar::Word(text) => {
                self.error(format!("expected a number, found `{text}`"))
            }
        }
    }

    pub(crate) fn is_big_endian(&self, scalar: &Scalar) -> Result<bool> {
        match scalar {
            Scalar::Word(word) => match word.as_str() {
                "le" => Ok(false),
                "be" | "network" => Ok(true),
                "native" => Ok(self.big_endian),
                _ => self.error(format!("`{word}` is not a byte order")),
            },
            _ => self.error("expected a byte order"),
        }
    }

    fn text(&self, scalar: Scalar) -> Result<String> {
        match scalar {
            Scalar::Text(text) | Scalar::Word(text) => Ok(text),
            Scalar::Number(number) => self.error(format!("expected a text, found `{number}`")),
        }
    }

    fn uuid(&self, scalar: Scalar) -> Result<[u8; 16]> {
        let text = self.text(scalar)?;
        match parse_uuid(&text) {
            Some(uuid) => Ok(uuid),
            None => self.error(format!("`{text}` is not a uuid")),
        }
    }
}
