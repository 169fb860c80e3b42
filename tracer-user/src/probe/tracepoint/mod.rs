//! From the kernel's description of a tracepoint to the fields of its event class and the
//! specification of its program.
//!
//! Where it can be, the payload is one straight copy of the kernel's record, and the
//! fields are aligned so that a CTF reader finds each where the kernel put it. Classes
//! with dynamic fields, and records that no alignment describes, are put together from
//! [`Piece`]s, with every field packed.
//!
//! A class can have names and values as [`lttng`](crate::trace::lttng) says; values that are no part
//! of the record are pieces, too.

mod adapted;
mod placed;
mod straight;
mod types;

use tracer_common::{MAX_PIECES, Piece, PieceKind, ProbeSpec};

use self::adapted::{adapt, note_of};
use self::placed::{NUMBER_LEN, Place, Placed, place_fields};
use self::straight::{straight, with_alignment};
use crate::kernel::tracefs::format::Format;
use crate::probe::fetch::Source;
use crate::probe::pieces::Pieces;
use crate::trace::event::Field;
use crate::trace::lttng::LttngEvent;

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
pub fn layout_as(format: &Format, event: Option<&LttngEvent>) -> Result<Layout, LayoutError> {
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

/// A piece for each field, and one that is no field.
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
mod tests;
