//! The position of a field in the events of a class. An event has the same bytes in the ring as
//! in a packet, so this needs no trace.

use tracer_common::EVENT_HEADER_LEN;

use crate::trace::class::Kind;
use crate::trace::event::{EventClass, Field};
use crate::trace::value::{Cursor, Slots, Value, View};

/// Context and payload start at multiples of this.
const PART_ALIGN_BITS: u64 = 64;

const HEADER_BITS: u64 = EVENT_HEADER_LEN as u64 * 8;

/// Bits from the start of an event of `class` to its payload. The context before it is of
/// fixed size.
fn payload_start_bits(class: &EventClass) -> Option<u64> {
    let end = class.context.iter().try_fold(HEADER_BITS, |end, field| {
        Kind::from(&field.ty).end_bits(end)
    })?;
    Some(end.next_multiple_of(PART_ALIGN_BITS))
}

/// How to find a field in an event.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldPlace {
    /// Bits from the start of the event to the first field whose position depends on the event,
    /// or to the field itself.
    start_bits: u64,
    /// Fields to be read between there and the field.
    between: Box<[Kind]>,
    kind: Kind,
}

impl FieldPlace {
    /// Locates the field at `index` of the payload of `class`; `None` if there is no such field.
    #[must_use]
    pub fn of(class: &EventClass, index: usize) -> Option<Self> {
        Self::after(payload_start_bits(class)?, &class.fields, index)
    }

    /// Locates the field at `index` of the context of `class`; `None` if there is no such field.
    #[must_use]
    pub fn of_context(class: &EventClass, index: usize) -> Option<Self> {
        Self::after(HEADER_BITS, &class.context, index)
    }

    /// Locates the field at `index` of `fields`, which start at bit `start_bits` of the event.
    fn after(mut start_bits: u64, fields: &[Field], index: usize) -> Option<Self> {
        let (before, rest) = fields.split_at_checked(index)?;
        let kind = Kind::from(&rest.first()?.ty);
        let mut between = Vec::new();
        for kind in before.iter().map(|field| Kind::from(&field.ty)) {
            let end = if between.is_empty() {
                kind.end_bits(start_bits)
            } else {
                None
            };
            match end {
                Some(end) => start_bits = end,
                None => between.push(kind),
            }
        }
        Some(Self {
            start_bits,
            between: between.into(),
            kind,
        })
    }

    /// Reads the field from `event`, which includes the header; `None` if the event ends before
    /// the field does.
    #[must_use]
    pub fn read<'a>(&'a self, event: &'a [u8]) -> Option<Value<'a>> {
        // No alignment is larger than that of an event in its packet, 8 bytes.
        let mut cursor = Cursor::new(event, self.start_bits, event.len() as u64 * 8);
        // none of these refers to another
        let mut view = View::Event(&Slots::EMPTY);
        for kind in &self.between {
            kind.skip(&mut cursor, &mut view)?;
        }
        self.kind.read(&mut cursor, &mut view)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::event::{Display, FieldType, IntegerType};

    const U32: IntegerType = IntegerType::natural(4, false, Display::Decimal);

    fn fields(types: &[FieldType]) -> Vec<Field> {
        let field = |ty: &FieldType| Field {
            name: String::new(),
            ty: ty.clone(),
        };
        types.iter().map(field).collect()
    }

    fn class(context: &[FieldType], payload: &[FieldType]) -> EventClass {
        EventClass {
            id: 0,
            name: String::new(),
            context: fields(context),
            fields: fields(payload),
        }
    }

    fn event(payload: &[u8]) -> Vec<u8> {
        [&[0; EVENT_HEADER_LEN], payload].concat()
    }

    fn number(place: &FieldPlace, event: &[u8]) -> Option<u64> {
        match place.read(event)? {
            Value::Number(number) => Some(number.raw),
            value => panic!("a number expected: {value:?}"),
        }
    }

    #[test]
    fn fields_of_fixed_size_are_skipped_at_once() {
        let array = FieldType::Array {
            element: U32,
            length: 3,
        };
        let class = class(
            &[],
            &[FieldType::Integer(U32), array, FieldType::Integer(U32)],
        );
        let place = FieldPlace::of(&class, 2).unwrap();
        assert_eq!((place.start_bits, place.between.len()), ((24 + 16) * 8, 0));
    }

    #[test]
    fn a_field_after_a_string_is_aligned() {
        let class = class(&[], &[FieldType::String, FieldType::Integer(U32)]);
        let place = FieldPlace::of(&class, 1).unwrap();
        assert_eq!(number(&place, &event(b"abc\0\x07\0\0\0")), Some(7));
        assert_eq!(number(&place, &event(b"abcd\0\0\0\0\x08\0\0\0")), Some(8));
    }

    #[test]
    fn a_sequence_is_skipped_by_its_length() {
        let sequence = FieldType::Sequence { element: U32 };
        let class = class(&[], &[sequence, FieldType::Integer(U32.packed())]);
        let place = FieldPlace::of(&class, 1).unwrap();
        let words = |words: &[u32]| {
            event(
                &words
                    .iter()
                    .flat_map(|w| w.to_le_bytes())
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(number(&place, &words(&[0, 5])), Some(5));
        assert_eq!(number(&place, &words(&[2, 1, 1, 6])), Some(6));
        assert_eq!(number(&place, &words(&[u32::MAX, 1, 1, 6])), None);
    }

    #[test]
    fn a_field_past_the_end_has_no_value() {
        let class = class(&[], &[FieldType::Integer(U32)]);
        let place = FieldPlace::of(&class, 0).unwrap();
        assert_eq!(number(&place, &event(&[1, 0, 0])), None);
        assert_eq!(number(&place, &[]), None);
        assert!(FieldPlace::of(&class, 1).is_none());
    }

    #[test]
    fn a_payload_starts_at_the_word_after_the_context() {
        let comm = FieldType::Array {
            element: IntegerType::natural(1, false, Display::Text),
            length: 9,
        };
        let class = class(&[FieldType::Integer(U32), comm], &[FieldType::Integer(U32)]);
        let event = event(b"\x05\0\0\0worker\0\0\0\xdd\xdd\xdd\x06\0\0\0");
        let context = |index| FieldPlace::of_context(&class, index).unwrap();
        assert_eq!(number(&context(0), &event), Some(5));
        assert!(matches!(
            context(1).read(&event),
            Some(Value::Text(b"worker"))
        ));
        assert_eq!(number(&FieldPlace::of(&class, 0).unwrap(), &event), Some(6));
        assert!(FieldPlace::of_context(&class, 2).is_none());
    }
}
