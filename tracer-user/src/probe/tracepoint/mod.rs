//! Derives the fields of an event class and the specification of its program from the
//! kernel's description of a tracepoint.
//!
//! If possible, the payload is one straight copy of the kernel's record, and the
//! fields are aligned so that a CTF reader finds each where the kernel put it. Classes
//! with dynamic fields, and records that no alignment describes, are assembled from
//! [`Piece`]s, with every field packed.
//!
//! A class can have the names and values of [`lttng`](crate::trace::lttng); values that are not
//! part of the record are pieces, too.

mod adapted;
mod error;
mod pieces;
mod placed;
mod straight;
mod types;
mod written;

use tracer_common::{Piece, PieceKind, ProbeSpec};

use self::adapted::{adapt, note_of};
use self::pieces::Pieces;
use self::placed::{Location, NUMBER_LEN, Placed, place_fields};
use self::straight::{straight, with_alignment};
use crate::kernel::tracefs::format::Format;
use crate::probe::fetch::FieldSource;
use crate::trace::event::Field;
use crate::trace::lttng::LttngEvent;

pub use self::error::LayoutError;

pub(in crate::probe) use self::written::{Form, Written};

/// The largest record of a tracepoint in bytes (`PERF_MAX_TRACE_SIZE`,
/// `include/linux/trace_events.h`).
const MAX_RECORD_LEN: u64 = 8192;

/// The payload of an event starts at a multiple of this many bytes.
const PAYLOAD_ALIGN: u64 = 8;

/// The record of a tracepoint as the payload of an event.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The fields of the payload.
    pub fields: Vec<Field>,
    /// The location of each in the kernel's record.
    pub sources: Vec<FieldSource>,
    /// How the program gets the payload; the class is still 0.
    pub spec: ProbeSpec,
    /// How another program writes the same payload. Empty if the program also does something
    /// else.
    pub(in crate::probe) written: Vec<Written>,
}

/// Lays out a tracepoint.
pub fn layout(format: &Format) -> Result<Layout, LayoutError> {
    layout_as(format, None)
}

/// Lays out a tracepoint with the names and values of an event of LTTng's modules, if one is
/// given.
pub fn layout_as(format: &Format, event: Option<&LttngEvent>) -> Result<Layout, LayoutError> {
    let mut placed = place_fields(format);
    let kernel_names = placed.iter().map(|field| field.name.clone()).collect();
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
    let whole = straight(&placed, base).filter(|_| notes.is_none());
    let written = if notes.is_none() {
        Written::all(&placed, kernel_names, whole.as_ref().map(|_| base))
    } else {
        Vec::new()
    };
    let (fields, spec) = match whole {
        Some(layout) => layout,
        None => in_pieces(placed, notes)?,
    };
    Ok(Layout {
        fields,
        sources,
        spec,
        written,
    })
}

/// A piece for each field, and one that is not a field.
fn in_pieces(
    placed: Vec<Placed>,
    note: Option<Piece>,
) -> Result<(Vec<Field>, ProbeSpec), LayoutError> {
    let mut pieces = Pieces::default();
    let mut fields = Vec::with_capacity(placed.len());
    for field in placed {
        let align_bits = match field.place {
            Location::Fixed { start, len } => {
                pieces.push_fixed(start, len);
                if start.is_multiple_of(8) { 8 } else { 1 }
            }
            Location::Dynamic {
                kind,
                offset,
                element_len,
            } => {
                pieces.push(kind, offset, element_len);
                8
            }
            Location::Priority { start } => {
                pieces.push(PieceKind::Priority, (start / 8) as u32, NUMBER_LEN as u32);
                8
            }
            Location::Computed { kind, offset, len } => {
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
