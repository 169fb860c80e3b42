//! Where a field lies in the events of a class. An event has the same bytes in the ring
//! as in a packet, so this needs no trace.

use tracer_common::EVENT_HEADER_LEN;

use super::class::Kind;
use super::value::{Cursor, Value};
use crate::event::Field;

/// The way to one field of an event.
#[derive(Clone, Debug)]
pub struct FieldPlace {
    /// Bits from the start of the event to the first field whose place depends on the
    /// event, or to the field itself.
    start_bits: u64,
    /// Fields to be read to come from there to the field.
    between: Box<[Kind]>,
    kind: Kind,
}

impl FieldPlace {
    /// The way to the field at `index` of a payload; `None` where there is no such field.
    #[must_use]
    pub fn of(payload: &[Field], index: usize) -> Option<Self> {
        let (before, rest) = payload.split_at_checked(index)?;
        let kind = Kind::from(&rest.first()?.ty);
        let mut start_bits = EVENT_HEADER_LEN as u64 * 8;
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

    /// The field's value in an event, header included, which ends where `event` ends;
    /// `None` where the field is not within it.
    #[must_use]
    pub fn read<'a>(&'a self, event: &'a [u8]) -> Option<Value<'a>> {
        // All alignments divide that of an event in its packet, which is 8 bytes.
        let mut cursor = Cursor::new(event, self.start_bits, event.len() as u64 * 8);
        for kind in &self.between {
            kind.read(&mut cursor)?;
        }
        self.kind.read(&mut cursor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Display, FieldType, IntegerType};

    const U32: IntegerType = IntegerType::natural(4, false, Display::Decimal);

    fn fields(types: &[FieldType]) -> Vec<Field> {
        let field = |ty: &FieldType| Field {
            name: String::new(),
            ty: ty.clone(),
        };
        types.iter().map(field).collect()
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
    fn fields_of_fixed_size_are_not_read_on_the_way() {
        let array = FieldType::Array {
            element: U32,
            length: 3,
        };
        let fields = fields(&[FieldType::Integer(U32), array, FieldType::Integer(U32)]);
        let place = FieldPlace::of(&fields, 2).unwrap();
        assert_eq!((place.start_bits, place.between.len()), ((24 + 16) * 8, 0));
    }

    #[test]
    fn a_field_behind_a_string_is_aligned_anew() {
        let fields = fields(&[FieldType::String, FieldType::Integer(U32)]);
        let place = FieldPlace::of(&fields, 1).unwrap();
        assert_eq!(number(&place, &event(b"abc\0\x07\0\0\0")), Some(7));
        assert_eq!(number(&place, &event(b"abcd\0\0\0\0\x08\0\0\0")), Some(8));
    }

    #[test]
    fn a_sequence_is_stepped_over_by_its_length() {
        let sequence = FieldType::Sequence { element: U32 };
        let fields = fields(&[sequence, FieldType::Integer(U32.packed())]);
        let place = FieldPlace::of(&fields, 1).unwrap();
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
        let fields = fields(&[FieldType::Integer(U32)]);
        let place = FieldPlace::of(&fields, 0).unwrap();
        assert_eq!(number(&place, &event(&[1, 0, 0])), None);
        assert_eq!(number(&place, &[]), None);
        assert!(FieldPlace::of(&fields, 1).is_none());
    }
}
