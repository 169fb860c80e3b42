//! Assembles the payload of an event from pieces of the kernel's record.

use tracer_common::{Piece, PieceKind, ProbeSpec, spec_flags};

use crate::probe::tracepoint::error::LayoutError;

/// Pieces in field order, with neighbours of fixed size merged.
#[derive(Default)]
pub(super) struct Pieces {
    done: Vec<Piece>,
    /// The run of fixed fields being merged: first byte, end in bits.
    run: Option<(u64, u64)>,
}

impl Pieces {
    pub(super) fn push_fixed(&mut self, start: u64, len: u64) {
        match &mut self.run {
            // The rest of a last byte that bit-fields left unused belongs to the run.
            Some((_, end)) if start == *end || start == end.next_multiple_of(8) => {
                *end = start + len;
            }
            _ => {
                self.finish_run();
                self.run = Some((start / 8, start + len));
            }
        }
    }

    /// A piece that is not a copy of bytes in place.
    pub(super) fn push(&mut self, kind: PieceKind, offset: u32, len: u32) {
        self.finish_run();
        self.done.push(Piece {
            kind: kind as u32,
            offset,
            len,
        });
    }

    /// A piece that adds no bytes, after all that do.
    pub(super) fn push_note(&mut self, note: Option<Piece>) {
        self.finish_run();
        self.done.extend(note);
    }

    fn finish_run(&mut self) {
        if let Some((start, end)) = self.run.take() {
            self.done.push(Piece {
                kind: PieceKind::Fixed as u32,
                offset: start as u32,
                len: (end.div_ceil(8) - start) as u32,
            });
        }
    }

    pub(super) fn into_spec(mut self) -> Result<ProbeSpec, LayoutError> {
        self.finish_run();
        let mut spec = ProbeSpec {
            flags: spec_flags::PIECES | spec_flags::VARIABLE,
            piece_count: self.done.len() as u32,
            ..ProbeSpec::EMPTY
        };
        spec.pieces
            .get_mut(..self.done.len())
            .ok_or(LayoutError::TooManyPieces(self.done.len()))?
            .copy_from_slice(&self.done);
        Ok(spec)
    }
}
