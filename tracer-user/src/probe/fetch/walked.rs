//! How far an expression was evaluated, and what is read at its end.

use crate::names::place::{Span, Spanned};
use crate::probe::fetch::error::{Fault, FetchProblem, listed};
use crate::probe::fetch::scope::{Scope, Value};
use crate::probe::fetch::syntax::{Expr, Format, Item, Style};
use crate::probe::fetch::types::{CType, Shape};
use crate::probe::fetch::value::{Base, Fetch, Load, MAX_FETCHED_STRING, Memory};
use crate::trace::event::{Display, FieldType, IntegerType};

type Result<T> = std::result::Result<T, Fault>;

/// An expression, evaluated so far.
#[derive(Clone, Debug)]
pub(super) struct Walked<'a> {
    pub(super) base: Base,
    /// Words that are read as addresses.
    steps: Vec<i64>,
    pub(super) at: At,
    pub(super) ty: CType<'a>,
}

/// Where the value of an expression is.
#[derive(Clone, Copy, Debug)]
pub(super) enum At {
    /// It is the base.
    Base,
    /// In memory, `offset` bytes from the last address.
    Memory {
        offset: i64,
        /// Of a bit-field: bits below it in the byte at `offset`, and its width.
        bits: Option<(u8, u8)>,
        memory: Memory,
    },
    /// It is the last address plus `offset`.
    Address { offset: i64 },
}

impl<'a> Walked<'a> {
    pub(super) fn begin(value: &Value<'a>) -> Self {
        Self {
            base: value.base,
            steps: Vec::new(),
            at: At::Base,
            ty: value.ty,
        }
    }

    /// Follows a pointer; the target is taken to be kernel memory.
    pub(super) fn read_address(mut self, scope: &Scope<'_>, span: Span) -> Result<Self> {
        let offset = match self.at {
            At::Base => 0,
            At::Address { offset } => offset,
            At::Memory { memory, .. } if memory == Memory::User && !scope.user => {
                return Err(Fault::new(span, FetchProblem::UserPointer));
            }
            At::Memory { offset, .. } => {
                self.steps.push(offset);
                0
            }
        };
        self.at = At::Memory {
            offset,
            bits: None,
            memory: Memory::Kernel,
        };
        Ok(self)
    }

    /// Adds `distance` bytes. Programs add at most 32 bits.
    pub(super) fn advance(&mut self, distance: u64, span: Span) -> Result<()> {
        let At::Memory { offset, bits, .. } = &mut self.at else {
            return Err(Fault::new(span, FetchProblem::InRegister));
        };
        *bits = None;
        *offset = i64::try_from(distance)
            .ok()
            .and_then(|distance| offset.checked_add(distance))
            .filter(|offset| *offset <= i64::from(i32::MAX))
            .ok_or_else(|| Fault::new(span, FetchProblem::TooFar))?;
        Ok(())
    }

    pub(super) fn address(self, expr: &Expr, span: Span) -> Result<Self> {
        let At::Memory {
            offset,
            bits,
            memory,
        } = self.at
        else {
            return Err(Fault::new(span, FetchProblem::NoAddress(expr.to_string())));
        };
        let ty = self.ty.pointed_to(memory).filter(|_| bits.is_none());
        let ty = ty.ok_or_else(|| Fault::new(span, FetchProblem::NoAddress(expr.to_string())))?;
        Ok(Self {
            at: At::Address { offset },
            ty,
            ..self
        })
    }

    /// Reads the value in the format of the item.
    pub(super) fn end(self, scope: &Scope<'_>, item: &Item) -> Result<(FieldType, Fetch)> {
        match item.format {
            Some(Spanned {
                value: Format::String(memory),
                ..
            }) => self.string(scope, memory, item),
            Some(Spanned {
                value: Format::Number { style, bits },
                span,
            }) => self.formatted(style, bits, item, span),
            None => self.unformatted(scope, item),
        }
    }

    fn unformatted(self, scope: &Scope<'_>, item: &Item) -> Result<(FieldType, Fetch)> {
        match (self.ty.shape(), self.at) {
            (Shape::Pointer { to, memory }, _) if to.is_char() && scope.strings => {
                self.string(scope, memory, item)
            }
            (Shape::Array { element, length }, At::Memory { offset, memory, .. }) => {
                let display = if element.is_char() {
                    Display::Text
                } else {
                    Display::Hexadecimal
                };
                if element.size() != Some(1)
                    || element.shape().as_number().is_none()
                    || length == 0
                    || length as usize > MAX_FETCHED_STRING
                {
                    return Err(Fault::new(
                        item.expr.span(),
                        needs_part(&item.expr, self.ty),
                    ));
                }
                let ty = FieldType::Array {
                    element: IntegerType::natural(1, false, display),
                    length,
                };
                let load = Load::Bytes {
                    offset,
                    len: length,
                    memory,
                };
                Ok((ty, self.fetch(load)))
            }
            (shape, _) => match shape.field_type() {
                Some(ty) => {
                    let load = self.number(&ty);
                    Ok((ty, self.fetch(load)))
                }
                None => Err(Fault::new(
                    item.expr.span(),
                    needs_part(&item.expr, self.ty),
                )),
            },
        }
    }

    fn formatted(
        self,
        style: Style,
        bits: Option<u8>,
        item: &Item,
        span: Span,
    ) -> Result<(FieldType, Fetch)> {
        let number = self.ty.shape().as_number();
        let number =
            number.ok_or_else(|| Fault::new(item.expr.span(), needs_part(&item.expr, self.ty)))?;
        let size_bits = bits.map_or(number.size_bits, u16::from);
        if size_bits > number.size_bits {
            let problem = FetchProblem::Wider {
                what: item.expr.to_string(),
                bits: number.size_bits,
                wanted: item.format.map(|f| f.to_string()).unwrap_or_default(),
                wanted_bits: size_bits,
            };
            return Err(Fault::new(span, problem));
        }
        let display = match style {
            Style::Signed | Style::Unsigned => Display::Decimal,
            Style::Hexadecimal => Display::Hexadecimal,
            Style::Octal => Display::Octal,
        };
        let signed = style == Style::Signed;
        let ty = FieldType::Integer(IntegerType::natural(size_bits / 8, signed, display));
        let load = self.number(&ty);
        Ok((ty, self.fetch(load)))
    }

    /// The value as a number of the size of `ty`.
    fn number(&self, ty: &FieldType) -> Load {
        let size = match ty {
            FieldType::Integer(number) | FieldType::Labeled { number, .. } => number.size_bits / 8,
            _ => 8,
        };
        match self.at {
            At::Base => Load::Itself,
            At::Address { offset } => Load::AddressOf { offset },
            At::Memory {
                offset,
                bits,
                memory,
            } => Load::Number {
                offset,
                size: match bits {
                    Some((shift, width)) => bytes_with(shift, width),
                    None => size as u8,
                },
                bits,
                memory,
            },
        }
    }

    /// The string that a pointer or a number points to, or an array of characters.
    fn string(self, scope: &Scope<'_>, memory: Memory, item: &Item) -> Result<(FieldType, Fetch)> {
        let memory = if scope.user { Memory::User } else { memory };
        let span = item.expr.span();
        let walked = match (self.ty.shape(), self.at) {
            (Shape::Array { element, .. }, At::Memory { .. }) if element.size() == Some(1) => self,
            (shape, _)
                if shape
                    .as_number()
                    .is_some_and(|number| number.size_bits == 64) =>
            {
                let mut walked = self.read_address(scope, span)?;
                if let At::Memory { memory: of, .. } = &mut walked.at {
                    *of = memory;
                }
                walked
            }
            _ => {
                let problem = FetchProblem::NoString {
                    what: item.expr.to_string(),
                    ty: self.ty.to_string(),
                };
                return Err(Fault::new(span, problem));
            }
        };
        let At::Memory { offset, memory, .. } = walked.at else {
            return Err(Fault::new(span, FetchProblem::InRegister));
        };
        let load = Load::String { offset, memory };
        Ok((FieldType::String, walked.fetch(load)))
    }

    fn fetch(self, load: Load) -> Fetch {
        Fetch {
            base: self.base,
            steps: self.steps,
            load,
        }
    }
}

/// Bytes to read for a bit-field: 1, 2, 4 or 8. Bits in a ninth byte are cut.
fn bytes_with(shift: u8, width: u8) -> u8 {
    (shift.saturating_add(width))
        .div_ceil(8)
        .next_power_of_two()
        .min(8)
}

/// The problem with a value that has several parts, or none.
pub(super) fn needs_part(expr: &Expr, ty: CType<'_>) -> FetchProblem {
    let (what, ty_text) = (expr.to_string(), ty.to_string());
    match ty.shape() {
        Shape::Composite(composite) => FetchProblem::NeedsMember {
            what,
            ty: ty_text,
            names: listed(composite.unfolded().map(|member| member.name)),
        },
        Shape::Array { .. } => FetchProblem::NeedsElement { what, ty: ty_text },
        _ => FetchProblem::NoValue { what, ty: ty_text },
    }
}
