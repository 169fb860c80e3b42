//! Tokens to blocks.

use std::collections::HashMap;

use crate::trace::ctf::tsdl::lexer::{Lexer, Token};
use crate::trace::ctf::tsdl::types::Type;
use crate::trace::ctf::tsdl::{
    ClockBlock, Document, EnvValue, EventBlock, StreamBlock, TraceBlock, TsdlError, parse_uuid,
};

pub(crate) type Result<T> = std::result::Result<T, TsdlError>;

/// What stands behind `=`.
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
    pub(crate) names: HashMap<String, Type>,
    /// How many types the one that is being read lies in.
    pub(crate) depth: u32,
}

impl<'a> Parser<'a> {
    pub(crate) fn new(text: &'a str) -> Result<Self> {
        let mut parser = Self {
            lexer: Lexer::new(text),
            token: Token::End,
            line: 1,
            names: HashMap::new(),
            depth: 0,
        };
        parser.advance()?;
        Ok(parser)
    }

    pub(crate) fn document(mut self) -> Result<Document> {
        let mut document = Document::default();
        while self.token != Token::End {
            let line = self.line;
            match self.token {
                Token::Word("trace") => document.trace = Some(self.trace()?),
                Token::Word("env") => self.env(&mut document.env)?,
                Token::Word("clock") => document.clocks.push(self.clock()?),
                Token::Word("stream") => document.streams.push(self.stream()?),
                Token::Word("event") => {
                    let event = self.event()?;
                    document.events.push(EventBlock { line, ..event });
                }
                Token::Word("callsite") => self.block(|_, _| Ok(()))?,
                Token::Word("typealias") => self.typealias()?,
                Token::Word("struct" | "enum" | "variant") => {
                    self.ty()?;
                }
                Token::Sign(';') => {}
                _ => return Err(self.unexpected("a block")),
            }
            self.expect(';')?;
        }
        Ok(document)
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

    /// `WORD { entry; … }`, each entry given to `take`.
    fn block(&mut self, mut take: impl FnMut(&Self, Entry) -> Result<()>) -> Result<()> {
        self.advance()?;
        self.expect('{')?;
        while !self.accept('}')? {
            if matches!(self.token, Token::Word("typealias")) {
                self.typealias()?;
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
                    "major" => trace.major = parser.unsigned(scalar)?,
                    "minor" => trace.minor = parser.unsigned(scalar)?,
                    "uuid" => trace.uuid = Some(parser.uuid(scalar)?),
                    "byte_order" => trace.byte_order = Some(parser.text(scalar)?),
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
                    "offset" => clock.offset = parser.unsigned(scalar)?,
                    "offset_s" => clock.offset_s = parser.unsigned(scalar)?,
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
