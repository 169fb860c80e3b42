//! Event classes as read from metadata: each field with how to read it.

use std::sync::Arc;

use crate::trace::ctf::labels::UNNAMED;
use crate::trace::ctf::metadata::sequence_length_type;
use crate::trace::ctf::tsdl::Enumeration;
use crate::trace::event::{FieldType, IntegerType, Labels};
use crate::trace::value::{Cursor, Number, Value, ValueLabel};

/// An event class as read from metadata.
#[derive(Clone, Debug)]
pub struct Class {
    /// Position in [`Trace::classes`](crate::trace::folder::Trace::classes).
    pub index: usize,
    /// The number in the header of each event.
    pub id: u32,
    /// The name in the metadata.
    pub name: String,
    /// Context fields, in order; often none.
    pub context: Vec<ClassField>,
    /// Payload fields, in order; lengths of sequences are part of the sequence.
    pub fields: Vec<ClassField>,
    pub(crate) context_extent: Extent,
    pub(crate) payload_extent: Extent,
}

/// Size and alignment of the context or the payload of an event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) align_bits: u64,
    /// Size in bits, if it is the same in all events.
    pub(crate) fixed_bits: Option<u64>,
}

impl Extent {
    /// The extent of `fields` in a structure of this alignment.
    pub(crate) fn of(fields: &[ClassField], align_bits: u64) -> Self {
        Self {
            align_bits,
            fixed_bits: fields
                .iter()
                .try_fold(0, |end, field| field.kind.end_bits(end)),
        }
    }
}

/// A field of a [`Class`].
#[derive(Clone, Debug)]
pub struct ClassField {
    /// The name without the leading underscore of the metadata.
    pub name: String,
    pub(crate) kind: Kind,
}

/// The type of a field, as the reader needs it.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Number(IntegerType),
    Labeled(IntegerType, Arc<Labels>),
    Enumeration(Arc<Enumeration>),
    Array {
        element: IntegerType,
        length: u32,
    },
    Sequence {
        length: IntegerType,
        element: IntegerType,
    },
    String,
}

impl From<&FieldType> for Kind {
    /// The kind of a field of this type, without labels.
    fn from(ty: &FieldType) -> Self {
        match *ty {
            FieldType::Integer(ty) | FieldType::Labeled { number: ty, .. } => Self::Number(ty),
            FieldType::Array { element, length } => Self::Array { element, length },
            FieldType::Sequence { element } => Self::Sequence {
                length: sequence_length_type(element),
                element,
            },
            FieldType::String => Self::String,
        }
    }
}

impl Kind {
    /// Reads the field at `cursor`; `None` if the content ends before it does.
    pub(crate) fn read<'a>(&'a self, cursor: &mut Cursor<'a>) -> Option<Value<'a>> {
        match self {
            Self::Number(ty) => {
                let raw = cursor.number(*ty)?;
                Some(Value::Number(Number { raw, ty: *ty }))
            }
            Self::Labeled(ty, labels) => {
                let raw = cursor.number(*ty)?;
                let number = Number { raw, ty: *ty };
                Some(match ValueLabel::of_number(number, labels) {
                    Some(label) => Value::Labeled(number, label),
                    None => Value::Number(number),
                })
            }
            Self::Enumeration(names) => {
                let ty = names.base.ty;
                let number = Number {
                    raw: cursor.number(ty)?,
                    ty,
                };
                let value = if ty.signed {
                    i128::from(number.raw as i64)
                } else {
                    i128::from(number.raw)
                };
                let label = names.label(value).filter(|label| *label != UNNAMED);
                Some(match label {
                    Some(label) => Value::Labeled(number, ValueLabel::Value(label)),
                    None => Value::Number(number),
                })
            }
            Self::Array { element, length } => cursor.elements(*element, *length),
            Self::Sequence { length, element } => {
                let length = u32::try_from(cursor.number(*length)?).ok()?;
                cursor.elements(*element, length)
            }
            Self::String => cursor.string().map(Value::Text),
        }
    }

    /// Alignment in bits.
    fn align_bits(&self) -> u64 {
        let bits = match self {
            Self::Number(ty) | Self::Labeled(ty, _) => ty.align_bits,
            Self::Enumeration(names) => names.base.ty.align_bits,
            Self::Array { element, .. } => element.align_bits,
            Self::Sequence { length, element } => length.align_bits.max(element.align_bits),
            Self::String => 8,
        };
        u64::from(bits)
    }

    /// End of a field that starts at bit `start` or at the next one with its alignment; `None`
    /// if that depends on the event.
    pub(crate) fn end_bits(&self, start: u64) -> Option<u64> {
        let start = start.next_multiple_of(self.align_bits());
        match self {
            Self::Number(ty) | Self::Labeled(ty, _) => Some(start + u64::from(ty.size_bits)),
            Self::Enumeration(names) => Some(start + u64::from(names.base.ty.size_bits)),
            Self::Array { length: 0, .. } => Some(start),
            Self::Array { element, length } => {
                let size = u64::from(element.size_bits);
                let stride = size.next_multiple_of(u64::from(element.align_bits));
                Some(start + u64::from(length - 1) * stride + size)
            }
            Self::Sequence { .. } | Self::String => None,
        }
    }
}
