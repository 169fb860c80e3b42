//! From the kernel's description of a tracepoint to the fields of its event class and the
//! specification of its program.
//!
//! Where it can be, the payload is one straight copy of the kernel's record, and the
//! fields are aligned so that a CTF reader finds each where the kernel put it. Classes
//! with dynamic fields, and records that no alignment describes, are put together from
//! [`Piece`]s, with every field packed.
//!
//! A class can have names and values as [`lttng`] says; values that are no part
//! of the record are pieces, too.

use std::{collections::HashSet, sync::Arc};

use tracer_common::{MAX_PIECES, Piece, PieceKind, ProbeSpec};

use super::ctype::{self, strip_qualifiers};
use super::format::{Format, FormatField, Shape};
use super::labels::{self, labeled};
use super::pieces::Pieces;
use super::print_fmt;
use crate::event::{Display, Field, FieldType, IntegerType};
use crate::fetch::{Base, Fetch, Load, Source};
use crate::lttng::{self, Change, Event};
use crate::names::unique;

/// The largest record of a tracepoint in bytes (`PERF_MAX_TRACE_SIZE`,
/// `include/linux/trace_events.h`).
const MAX_RECORD_LEN: u64 = 8192;

/// The payload of an event starts at a multiple of this many bytes.
const PAYLOAD_ALIGN: u64 = 8;

/// Why the record of a tracepoint cannot be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// Its fields are scattered over too many places.
    #[error("its record has {0} separate pieces, and at most {MAX_PIECES} can be recorded")]
    TooManyPieces(usize),
    /// Its fields end beyond the largest record.
    #[error("its record ends at byte {0}, beyond the largest that the kernel makes")]
    TooLarge(u64),
}

/// The record of a tracepoint as the payload of an event.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The fields of the payload.
    pub fields: Vec<Field>,
    /// Where the kernel's record has each of them.
    pub sources: Vec<Source>,
    /// How the program gets the payload; the class is still 0.
    pub spec: ProbeSpec,
}

/// Lays a tracepoint out.
pub fn layout(format: &Format) -> Result<Layout, LayoutError> {
    layout_as(format, None)
}

/// Lays a tracepoint out with the names and values of an event of LTTng's modules, if one is
/// given.
pub fn layout_as(format: &Format, event: Option<&Event>) -> Result<Layout, LayoutError> {
    let mut placed = place_fields(format);
    let mut notes = None;
    if let Some(event) = event {
        notes = note_of(event, &placed);
        adapt(&mut placed, event);
    }
    let base = u64::from(format.common_len.max(8)).next_multiple_of(PAYLOAD_ALIGN);
    if let Some(end) = placed
        .iter()
        .map(Placed::end_byte)
        .max()
        .filter(|&end| end > MAX_RECORD_LEN)
    {
        return Err(LayoutError::TooLarge(end));
    }
    let sources = placed.iter().map(Placed::source).collect();
    let (fields, spec) = match straight(&placed, base) {
        Some(layout) if notes.is_none() => layout,
        _ => in_pieces(placed, notes)?,
    };
    Ok(Layout {
        fields,
        sources,
        spec,
    })
}

/// A field and where the record has it.
struct Placed {
    name: String,
    /// With natural alignment.
    ty: FieldType,
    place: Place,
}

enum Place {
    /// In the record itself, in bits.
    Fixed { start: u64, len: u64 },
    /// Behind the locator word at `offset`.
    Dynamic {
        kind: PieceKind,
        offset: u32,
        element_len: u32,
    },
    /// A [`PieceKind::Priority`] in the record itself, in bits.
    Priority { start: u64 },
    /// What a piece of another kind makes of `len` bytes at `offset`.
    WorkedOut {
        kind: PieceKind,
        offset: u32,
        len: u32,
    },
}

impl Placed {
    fn end_byte(&self) -> u64 {
        match self.place {
            Place::Fixed { start, len } => (start + len).div_ceil(8),
            Place::Dynamic { offset, .. } => u64::from(offset) + LOCATOR_LEN,
            Place::Priority { start } => start / 8 + NUMBER_LEN,
            Place::WorkedOut { offset, len, .. } => u64::from(offset) + u64::from(len),
        }
    }

    fn source(&self) -> Source {
        match (&self.place, &self.ty) {
            (Place::Fixed { start, len }, FieldType::Array { element, .. })
                if element.display == Display::Text =>
            {
                Source::RecordText {
                    offset: (start / 8) as u32,
                    len: (len / 8) as u32,
                }
            }
            (
                Place::Fixed { start, len },
                FieldType::Integer(number) | FieldType::Labeled { number, .. },
            ) => number_source(*start, *len, number.signed),
            // As the kernel counts it.
            (Place::Priority { start }, _) => number_source(*start, NUMBER_LEN * 8, true),
            (
                Place::Dynamic {
                    kind: kind @ (PieceKind::String | PieceKind::RelativeString),
                    offset,
                    ..
                },
                _,
            ) => Source::RecordString {
                offset: *offset,
                relative: *kind == PieceKind::RelativeString,
            },
            _ => Source::Nowhere,
        }
    }
}

/// A number of `len` bits that starts at bit `start` of the record.
fn number_source(start: u64, len: u64, signed: bool) -> Source {
    let offset = (start / 8) as u32;
    if let (0, size @ (8 | 16 | 32 | 64)) = (start % 8, len) {
        return Source::Fetch(Fetch {
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
        .map_or(Source::Nowhere, |unit| Source::RecordBits {
            offset: (start / unit * unit / 8) as u32,
            size: (unit / 8) as u8,
            shift: (start % unit) as u8,
            bits: len as u8,
        })
}

/// Bytes of a number that is worked out, and of a priority.
const NUMBER_LEN: u64 = 4;

/// Bytes of a `__data_loc` or `__rel_loc` word.
const LOCATOR_LEN: u64 = 4;

fn place_fields(format: &Format) -> Vec<Placed> {
    let displays = print_fmt::displays(&format.print_fmt);
    let labels = labels::labels(&format.print_fmt);
    let mut names = HashSet::new();
    let mut unit = BitUnit::default();
    let mut placed = Vec::with_capacity(format.fields.len());
    for field in format.fields.iter().filter(|field| field.size > 0) {
        let display = displays.get(field.name.as_str()).copied();
        let place = match field.shape {
            Shape::DataLoc | Shape::RelLoc if u64::from(field.size) == LOCATOR_LEN => {
                placed.push(dynamic(field, &format.print_fmt, &mut names));
                continue;
            }
            Shape::BitField(bits) => unit.place(field, bits),
            _ => Place::Fixed {
                start: u64::from(field.offset) * 8,
                len: u64::from(field.size) * 8,
            },
        };
        let ty = match (
            fixed_type(field, &place, display),
            labels.get(field.name.as_str()),
        ) {
            (FieldType::Integer(number), Some(labels)) => labeled(number, labels),
            (ty, _) => ty,
        };
        placed.push(Placed {
            name: unique(&field.name, &mut names),
            ty,
            place,
        });
    }
    placed
}

/// The piece that notes the new thread of such an event.
fn note_of(event: &Event, placed: &[Placed]) -> Option<Piece> {
    let [tid, flags] = event.new_thread?;
    Some(Piece {
        kind: PieceKind::NewThread as u32,
        offset: byte_of(placed, tid)?,
        len: byte_of(placed, flags)?,
    })
}

/// Where the record has a field of fixed size.
fn byte_of(placed: &[Placed], name: &str) -> Option<u32> {
    let field = placed.iter().find(|field| field.name == name)?;
    match field.place {
        Place::Fixed { start, .. } => Some((start / 8) as u32),
        _ => None,
    }
}

/// Gives fields the names and values that an event of LTTng's modules has.
fn adapt(placed: &mut Vec<Placed>, event: &Event) {
    let added: Vec<Placed> = event
        .added
        .iter()
        .filter_map(|&(name, source)| {
            let (kind, offset) = match source {
                lttng::Source::Tid => (PieceKind::Tid, 0),
                lttng::Source::Pid => (PieceKind::Pid, 0),
                lttng::Source::PidOfNewThread(tid) => {
                    (PieceKind::PidOfNewThread, byte_of(placed, tid)?)
                }
            };
            let place = Place::WorkedOut {
                kind,
                offset,
                len: 0,
            };
            let number = IntegerType::natural(NUMBER_LEN as u16, true, Display::Decimal);
            Some(Placed {
                name: name.to_owned(),
                ty: FieldType::Integer(number),
                place,
            })
        })
        .collect();
    for field in placed.iter_mut() {
        match (event.change_of(&field.name), &field.place) {
            (Some(Change::Name(name)), _) => name.clone_into(&mut field.name),
            (Some(Change::Priority), &Place::Fixed { start, len: 32 }) => {
                field.place = Place::Priority { start };
            }
            (Some(Change::RequestFlags), &Place::Fixed { start, len }) => {
                field.place = Place::WorkedOut {
                    kind: PieceKind::RequestFlags,
                    offset: (start / 8) as u32,
                    len: (len / 8) as u32,
                };
                let bits = IntegerType::natural(NUMBER_LEN as u16, false, Display::Hexadecimal);
                field.ty = FieldType::Integer(bits);
            }
            _ => {}
        }
    }
    placed.extend(added);
}

/// The storage unit that consecutive bit-fields share. The kernel gives their common
/// offset but not their place in it; C compilers fill it from the lowest bit on
/// little-endian machines.
#[derive(Default)]
struct BitUnit {
    offset: u32,
    used: u64,
}

impl BitUnit {
    fn place(&mut self, field: &FormatField, bits: u16) -> Place {
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
        Place::Fixed { start, len: bits }
    }
}

fn fixed_type(field: &FormatField, place: &Place, display: Option<Display>) -> FieldType {
    if let (Shape::BitField(_), Place::Fixed { len, .. }) = (field.shape, place) {
        let display = display.filter(|&display| display != Display::Text);
        return FieldType::Integer(IntegerType {
            size_bits: *len as u16,
            ..IntegerType::natural(1, field.signed, display.unwrap_or(Display::Decimal))
        });
    }
    let Shape::Array(count) = field.shape else {
        return match field.size {
            1 | 2 | 4 | 8 => FieldType::Integer(scalar(field, display)),
            _ => bytes(field.size),
        };
    };
    if strip_qualifiers(&field.c_type) == "char" {
        return FieldType::Array {
            element: IntegerType::natural(1, false, Display::Text),
            length: field.size,
        };
    }
    let element_size = match count {
        Some(count) if count > 0 && field.size.is_multiple_of(count) => Some(field.size / count),
        _ => ctype::lookup(&field.c_type).map(|known| u32::from(known.size)),
    };
    match element_size {
        Some(size @ (1 | 2 | 4 | 8))
            if field.size.is_multiple_of(size) && !field.c_type.starts_with("struct ") =>
        {
            FieldType::Array {
                element: element(field, size as u16, display),
                length: field.size / size,
            }
        }
        _ => bytes(field.size),
    }
}

fn scalar(field: &FormatField, display: Option<Display>) -> IntegerType {
    let display = match display {
        // Only a byte can be a character.
        Some(Display::Text) if field.size != 1 => Display::Decimal,
        Some(display) => display,
        None if is_pointer(&field.c_type) => Display::Hexadecimal,
        None => Display::Decimal,
    };
    IntegerType::natural(field.size as u16, field.signed, display)
}

/// An element of an array: unsigned bytes are data rather than numbers.
fn element(field: &FormatField, size: u16, display: Option<Display>) -> IntegerType {
    let raw_byte = size == 1 && !field.signed && strip_qualifiers(&field.c_type) != "bool";
    let display = match display {
        Some(display @ (Display::Hexadecimal | Display::Octal)) => display,
        _ if raw_byte || is_pointer(&field.c_type) => Display::Hexadecimal,
        _ => Display::Decimal,
    };
    IntegerType::natural(size, field.signed, display)
}

fn is_pointer(c_type: &str) -> bool {
    ctype::lookup(c_type).is_some_and(|known| known.pointer)
}

/// What has no type of its own is shown byte by byte.
fn bytes(length: u32) -> FieldType {
    FieldType::Array {
        element: BYTE,
        length,
    }
}

const BYTE: IntegerType = IntegerType::natural(1, false, Display::Hexadecimal);

fn dynamic(field: &FormatField, print_fmt: &str, names: &mut HashSet<String>) -> Placed {
    let relative = field.shape == Shape::RelLoc;
    let name = unique(&field.name, names);
    if strip_qualifiers(&field.c_type) == "char" && !is_hex_dump(&field.name, print_fmt) {
        return Placed {
            name,
            ty: FieldType::String,
            place: Place::Dynamic {
                kind: if relative {
                    PieceKind::RelativeString
                } else {
                    PieceKind::String
                },
                offset: field.offset,
                element_len: 1,
            },
        };
    }
    let element = match ctype::lookup(&field.c_type) {
        Some(known) if known.size > 1 => {
            // `__print_array` of the kernel prints words in hexadecimal, too.
            let display = if known.signed || known.size < 8 {
                Display::Decimal
            } else {
                Display::Hexadecimal
            };
            IntegerType::natural(known.size, known.signed, display)
        }
        _ => BYTE,
    };
    Placed {
        name,
        ty: FieldType::Sequence { element },
        place: Place::Dynamic {
            kind: if relative {
                PieceKind::RelativeSequence
            } else {
                PieceKind::Sequence
            },
            offset: field.offset,
            element_len: u32::from(element.size_bits / 8),
        },
    }
}

/// Characters that the kernel dumps as bytes are no string and may hold zeroes.
fn is_hex_dump(name: &str, print_fmt: &str) -> bool {
    ["dynamic_array", "rel_dynamic_array"].iter().any(|getter| {
        ["__print_hex", "__print_hex_str"]
            .iter()
            .any(|printer| print_fmt.contains(&format!("{printer}(__get_{getter}({name})")))
    })
}

/// One copy of the record from `base` to the end of the last field, if alignments can
/// say where the fields are.
fn straight(placed: &[Placed], base: u64) -> Option<(Vec<Field>, ProbeSpec)> {
    let mut fields = Vec::with_capacity(placed.len());
    let mut spec = ProbeSpec {
        payload_offset: base as u32,
        ..ProbeSpec::EMPTY
    };
    // Both in bits from the start of the payload.
    let mut cursor = 0;
    for field in placed {
        let (start, len) = match field.place {
            Place::Fixed { start, len } => (start, len),
            Place::Priority { start } => (start, NUMBER_LEN * 8),
            _ => return None,
        };
        let start = start.checked_sub(base * 8)?;
        if let Place::Priority { .. } = field.place {
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

/// The alignment in bits with which a reader that stands at `cursor` comes to `start`:
/// the natural one if it does, else the largest below it, else the smallest above it.
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
        // Nothing but the inside of a bit-field unit is off the byte.
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

fn with_alignment(ty: &FieldType, align_bits: u16) -> FieldType {
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

fn in_pieces(
    placed: Vec<Placed>,
    note: Option<Piece>,
) -> Result<(Vec<Field>, ProbeSpec), LayoutError> {
    let mut pieces = Pieces::default();
    let mut fields = Vec::with_capacity(placed.len());
    for field in placed {
        let align_bits = match field.place {
            Place::Fixed { start, len } => {
                pieces.push_fixed(start, len);
                if start.is_multiple_of(8) { 8 } else { 1 }
            }
            Place::Dynamic {
                kind,
                offset,
                element_len,
            } => {
                pieces.push(kind, offset, element_len);
                8
            }
            Place::Priority { start } => {
                pieces.push(PieceKind::Priority, (start / 8) as u32, NUMBER_LEN as u32);
                8
            }
            Place::WorkedOut { kind, offset, len } => {
                pieces.push(kind, offset, len);
                8
            }
        };
        fields.push(Field {
            name: field.name,
            ty: with_alignment(&field.ty, align_bits),
        });
    }
    pieces.push_note(note);
    Ok((fields, pieces.into_spec()?))
}

#[cfg(test)]
#[path = "tracepoint_tests.rs"]
mod tests;
