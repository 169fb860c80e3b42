//! Locations of the fields in the kernel's record.

use std::collections::HashSet;

use tracer_common::PieceKind;

use crate::kernel::tracefs::format::{Format, FormatField, Shape};
use crate::kernel::tracefs::labels::{self, labeled};
use crate::kernel::tracefs::print_fmt;
use crate::names::unique;
use crate::probe::fetch::{Base, Fetch, FieldSource, Load};
use crate::probe::tracepoint::types::{dynamic_type, fixed_type};
use crate::trace::event::{Display, FieldType};

/// A field and its location in the record.
pub(super) struct Placed {
    pub(super) name: String,
    /// With natural alignment.
    pub(super) ty: FieldType,
    pub(super) place: Location,
}

pub(super) enum Location {
    /// In the record itself, in bits.
    Fixed { start: u64, len: u64 },
    /// Where the locator word at `offset` points to.
    Dynamic {
        kind: PieceKind,
        offset: u32,
        element_len: u32,
    },
    /// A [`PieceKind::Priority`] in the record itself, in bits.
    Priority { start: u64 },
    /// Computed by a piece of another kind from `len` bytes at `offset`.
    Computed {
        kind: PieceKind,
        offset: u32,
        len: u32,
    },
}

impl Placed {
    pub(super) fn end_byte(&self) -> u64 {
        match self.place {
            Location::Fixed { start, len } => (start + len).div_ceil(8),
            Location::Dynamic { offset, .. } => u64::from(offset) + LOCATOR_LEN,
            Location::Priority { start } => start / 8 + NUMBER_LEN,
            Location::Computed { offset, len, .. } => u64::from(offset) + u64::from(len),
        }
    }

    pub(super) fn source(&self) -> FieldSource {
        match (&self.place, &self.ty) {
            (Location::Fixed { start, len }, FieldType::Array { element, .. })
                if element.display == Display::Text =>
            {
                FieldSource::RecordText {
                    offset: (start / 8) as u32,
                    len: (len / 8) as u32,
                }
            }
            (
                Location::Fixed { start, len },
                FieldType::Integer(number) | FieldType::Labeled { number, .. },
            ) => number_source(*start, *len, number.signed),
            // As the kernel counts it.
            (Location::Priority { start }, _) => number_source(*start, NUMBER_LEN * 8, true),
            (
                Location::Dynamic {
                    kind: kind @ (PieceKind::String | PieceKind::RelativeString),
                    offset,
                    ..
                },
                _,
            ) => FieldSource::RecordString {
                offset: *offset,
                relative: *kind == PieceKind::RelativeString,
            },
            _ => FieldSource::Nowhere,
        }
    }
}

/// A number of `len` bits that starts at bit `start` of the record.
fn number_source(start: u64, len: u64, signed: bool) -> FieldSource {
    let offset = (start / 8) as u32;
    if let (0, size @ (8 | 16 | 32 | 64)) = (start % 8, len) {
        return FieldSource::Fetch(Fetch {
            base: Base::Record {
                offset,
                size: (size / 8) as u8,
                signed,
            },
            steps: Vec::new(),
            load: Load::Itself,
        });
    }
    // Bit-fields lie within a unit of their type, which is aligned to its size.
    [8, 16, 32, 64]
        .into_iter()
        .find(|unit| start / unit == (start + len - 1) / unit)
        .map_or(FieldSource::Nowhere, |unit| FieldSource::RecordBits {
            offset: (start / unit * unit / 8) as u32,
            size: (unit / 8) as u8,
            shift: (start % unit) as u8,
            bits: len as u8,
        })
}

/// Size in bytes of a computed number, and of a priority.
pub(super) const NUMBER_LEN: u64 = 4;

/// Bytes of a `__data_loc` or `__rel_loc` word.
const LOCATOR_LEN: u64 = 4;

/// The fields of a record, in order.
pub(super) fn place_fields(format: &Format) -> Vec<Placed> {
    let displays = print_fmt::displays(&format.print_fmt);
    let labels = labels::labels(&format.print_fmt);
    let mut names = HashSet::new();
    let mut unit = BitUnit::default();
    let mut placed = Vec::with_capacity(format.fields.len());
    for field in format.fields.iter().filter(|field| field.size > 0) {
        let display = displays.get(field.name.as_str()).copied();
        let (start, len) = match field.shape {
            Shape::DataLoc | Shape::RelLoc if u64::from(field.size) == LOCATOR_LEN => {
                placed.push(dynamic(field, &format.print_fmt, &mut names));
                continue;
            }
            Shape::BitField(bits) => unit.place(field, bits),
            _ => (u64::from(field.offset) * 8, u64::from(field.size) * 8),
        };
        let ty = match (
            fixed_type(field, len, display),
            labels.get(field.name.as_str()),
        ) {
            (FieldType::Integer(number), Some(labels)) => labeled(number, labels),
            (ty, _) => ty,
        };
        placed.push(Placed {
            name: unique(&field.name, &mut names),
            ty,
            place: Location::Fixed { start, len },
        });
    }
    placed
}

/// The storage unit that consecutive bit-fields share. The kernel gives their common
/// offset but not their position in it; C compilers fill it from the lowest bit on
/// little-endian machines.
#[derive(Default)]
struct BitUnit {
    offset: u32,
    used: u64,
}

impl BitUnit {
    /// Start of the next field in the record, and its length, in bits.
    fn place(&mut self, field: &FormatField, bits: u16) -> (u64, u64) {
        let capacity = u64::from(field.size) * 8;
        let bits = u64::from(bits).min(capacity);
        if self.offset != field.offset || self.used + bits > capacity {
            *self = Self {
                offset: field.offset,
                used: 0,
            };
        }
        let start = u64::from(field.offset) * 8 + self.used;
        self.used += bits;
        (start, bits)
    }
}

/// A field that a locator word points to.
fn dynamic(field: &FormatField, print_fmt: &str, names: &mut HashSet<String>) -> Placed {
    let ty = dynamic_type(field, print_fmt);
    let (kind, element_len) = match (&ty, field.shape) {
        (FieldType::Sequence { element }, Shape::RelLoc) => {
            (PieceKind::RelativeSequence, element.size_bits / 8)
        }
        (FieldType::Sequence { element }, _) => (PieceKind::Sequence, element.size_bits / 8),
        (_, Shape::RelLoc) => (PieceKind::RelativeString, 1),
        _ => (PieceKind::String, 1),
    };
    Placed {
        name: unique(&field.name, names),
        ty,
        place: Location::Dynamic {
            kind,
            offset: field.offset,
            element_len: element_len.into(),
        },
    }
}
