//! How each field is written into the payload, for programs that do not copy the kernel's record.

use tracer_common::PieceKind;

use crate::probe::tracepoint::placed::{Location, NUMBER_LEN, Placed};
use crate::trace::event::FieldType;

/// A field of the payload, in the order of the class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::probe) struct Written {
    /// The kernel's name; `None` for fields that the kernel's record lacks.
    pub(in crate::probe) kernel: Option<String>,
    /// Its start in the payload in bytes; `None` if it depends on the strings before it.
    pub(in crate::probe) at: Option<u32>,
    pub(in crate::probe) form: Form,
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::probe) enum Form {
    /// A number, with its size in bytes.
    Number { bytes: u8 },
    /// Bytes in place.
    Bytes { len: u32 },
    /// A string with its terminator.
    String,
    /// A priority, relative to the first one of ordinary tasks.
    Priority,
    /// The current thread.
    Tid,
    /// The current process.
    Pid,
    /// Something that only the kernel's record has.
    OfRecord,
}

impl Written {
    /// The fields of a payload that is a copy of the record from `base` on, or in pieces if
    /// there is no base.
    pub(super) fn all(
        placed: &[Placed],
        kernel_names: Vec<String>,
        base: Option<u64>,
    ) -> Vec<Self> {
        let names = kernel_names.into_iter().map(Some);
        let mut names = names.chain(std::iter::repeat(None));
        // The end of the pieces so far.
        let mut end = Some(0);
        placed
            .iter()
            .map(|field| {
                let form = form(field);
                let (at, len) = match (base, field.start_byte()) {
                    (Some(base), Some(start)) => (start.checked_sub(base), None),
                    (Some(_), None) => (None, None),
                    (None, _) => (end, form.len()),
                };
                end = end.zip(len).map(|(end, len)| end + len);
                Self {
                    kernel: names.next().flatten(),
                    at: at.map(|at| at as u32),
                    form,
                }
            })
            .collect()
    }
}

impl Form {
    /// In bytes, if it is fixed.
    fn len(self) -> Option<u64> {
        match self {
            Self::Number { bytes } => Some(bytes.into()),
            Self::Bytes { len } => Some(len.into()),
            Self::Priority | Self::Tid | Self::Pid => Some(NUMBER_LEN),
            Self::String | Self::OfRecord => None,
        }
    }
}

impl Placed {
    /// Its start in the record, if it is in there as it is.
    fn start_byte(&self) -> Option<u64> {
        match self.place {
            Location::Fixed { start, .. } | Location::Priority { start } => Some(start / 8),
            Location::Dynamic { .. } | Location::Computed { .. } => None,
        }
    }
}

fn form(field: &Placed) -> Form {
    match (&field.place, &field.ty) {
        (Location::Fixed { start, len }, FieldType::Integer(_) | FieldType::Labeled { .. }) => {
            match (start % 8, len) {
                (0, 8 | 16 | 32 | 64) => Form::Number {
                    bytes: (len / 8) as u8,
                },
                _ => Form::OfRecord,
            }
        }
        (Location::Fixed { len, .. }, FieldType::Array { .. }) => Form::Bytes {
            len: (len / 8) as u32,
        },
        (
            Location::Dynamic {
                kind: PieceKind::String | PieceKind::RelativeString,
                ..
            },
            _,
        ) => Form::String,
        (Location::Priority { .. }, _) => Form::Priority,
        (
            Location::Computed {
                kind: PieceKind::Tid,
                ..
            },
            _,
        ) => Form::Tid,
        (
            Location::Computed {
                kind: PieceKind::Pid,
                ..
            },
            _,
        ) => Form::Pid,
        _ => Form::OfRecord,
    }
}
