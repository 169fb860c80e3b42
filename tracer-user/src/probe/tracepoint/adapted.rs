//! Names and values as LTTng's modules have them.

use tracer_common::{Piece, PieceKind};

use crate::probe::tracepoint::placed::{NUMBER_LEN, Place, Placed};
use crate::trace::event::{Display, FieldType, IntegerType};
use crate::trace::lttng::{self, FieldChange, LttngEvent};

/// The piece that notes the new thread of such an event.
pub(super) fn note_of(event: &LttngEvent, placed: &[Placed]) -> Option<Piece> {
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
pub(super) fn adapt(placed: &mut Vec<Placed>, event: &LttngEvent) {
    let added: Vec<Placed> = event
        .added
        .iter()
        .filter_map(|&(name, source)| {
            let (kind, offset) = match source {
                lttng::AddedValue::Tid => (PieceKind::Tid, 0),
                lttng::AddedValue::Pid => (PieceKind::Pid, 0),
                lttng::AddedValue::PidOfNewThread(tid) => {
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
            (Some(FieldChange::Name(name)), _) => name.clone_into(&mut field.name),
            (Some(FieldChange::Priority), &Place::Fixed { start, len: 32 }) => {
                field.place = Place::Priority { start };
            }
            (Some(FieldChange::RequestFlags), &Place::Fixed { start, len }) => {
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
