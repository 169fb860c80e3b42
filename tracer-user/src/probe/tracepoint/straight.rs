//! One straight copy of the kernel's record, described by alignments.

use std::sync::Arc;

use tracer_common::ProbeSpec;

use crate::probe::tracepoint::placed::{Location, NUMBER_LEN, Placed};
use crate::trace::event::{Field, FieldType, IntegerType};

/// One copy of the record from `base` to the end of the last field, if alignments can
/// describe where the fields are.
pub(super) fn straight(placed: &[Placed], base: u64) -> Option<(Vec<Field>, ProbeSpec)> {
    let mut fields = Vec::with_capacity(placed.len());
    let mut spec = ProbeSpec {
        payload_offset: base as u32,
        ..ProbeSpec::EMPTY
    };
    // Both in bits from the start of the payload.
    let mut cursor = 0;
    for field in placed {
        let (start, len) = match field.place {
            Location::Fixed { start, len } => (start, len),
            Location::Priority { start } => (start, NUMBER_LEN * 8),
            _ => return None,
        };
        let start = start.checked_sub(base * 8)?;
        if let Location::Priority { .. } = field.place {
            *spec.priorities.get_mut(spec.priority_count as usize)? = (start / 8) as u32;
            spec.priority_count += 1;
        }
        let align = reaching_alignment(cursor, start, &field.ty)?;
        fields.push(Field {
            name: field.name.clone(),
            ty: with_alignment(&field.ty, align),
        });
        cursor = start + len;
    }
    spec.payload_len = cursor.div_ceil(8) as u32;
    Some((fields, spec))
}

/// The alignment in bits with which a reader at `cursor` gets to `start`: the natural one if
/// possible, else the largest below it, else the smallest above it.
fn reaching_alignment(cursor: u64, start: u64, ty: &FieldType) -> Option<u16> {
    let natural = alignment(ty);
    let below = std::iter::successors(Some(natural), |&align| (align > 1).then_some(align / 2));
    let above = [16, 32, 64]
        .into_iter()
        // Each element of an array would be moved, not only the first.
        .filter(|&align| {
            align > natural && matches!(ty, FieldType::Integer(_) | FieldType::Labeled { .. })
        });
    below
        .chain(above)
        // Only bit-fields within a unit are not byte-aligned.
        .filter(|&align| align >= 8 || !start.is_multiple_of(8))
        .find(|&align| cursor.next_multiple_of(u64::from(align)) == start)
}

fn alignment(ty: &FieldType) -> u16 {
    match ty {
        FieldType::Integer(integer)
        | FieldType::Labeled {
            number: integer, ..
        } => integer.align_bits,
        FieldType::Array { element, .. } | FieldType::Sequence { element } => element.align_bits,
        FieldType::String => 8,
    }
}

/// The same type with this alignment.
pub(super) fn with_alignment(ty: &FieldType, align_bits: u16) -> FieldType {
    let aligned = |integer| IntegerType {
        align_bits,
        ..integer
    };
    match *ty {
        FieldType::Integer(integer) => FieldType::Integer(aligned(integer)),
        FieldType::Labeled { number, ref labels } => FieldType::Labeled {
            number: aligned(number),
            labels: Arc::clone(labels),
        },
        FieldType::Array { element, length } => FieldType::Array {
            element: aligned(element),
            length,
        },
        FieldType::Sequence { element } => FieldType::Sequence {
            element: aligned(element),
        },
        FieldType::String => FieldType::String,
    }
}
