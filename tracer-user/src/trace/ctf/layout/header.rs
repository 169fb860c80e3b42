//! Headers of events, and the fields that mean something to a reader.

use crate::trace::class::{ClassField, Kind, Record};
use crate::trace::ctf::schema::{Encoding, Role};
use crate::trace::value::{Bits, Cursor, Number, Slots, Slotted, Value};

/// How event headers are laid out.
#[derive(Clone, Debug)]
pub(crate) enum Header {
    /// A time stamp and an id, in this order or the other.
    Plain {
        timestamp: Bits,
        id: Bits,
        id_first: bool,
    },
    /// A small id with a short time stamp, or a value that says that both follow in full:
    /// what LTTng writes.
    Compact {
        id: Bits,
        timestamp: Bits,
        /// First and last value of the small id with a short time stamp.
        compact: (u64, u64),
        /// How much the structure of the full ones is aligned.
        extended_align_bits: u64,
        extended_id: Bits,
        extended_timestamp: Bits,
    },
    /// Any other.
    Other(Record),
}

impl Header {
    pub(super) fn of(header: Record) -> Self {
        Self::plain(&header)
            .or_else(|| Self::compact(&header))
            .unwrap_or(Self::Other(header))
    }

    fn plain(header: &Record) -> Option<Self> {
        let [first, second] = header.fields.as_slice() else {
            return None;
        };
        let (a, b) = (number(first)?, number(second)?);
        match (first.role?, second.role?) {
            (Role::Timestamp, Role::EventClass) => Some(Self::Plain {
                timestamp: a,
                id: b,
                id_first: false,
            }),
            (Role::EventClass, Role::Timestamp) => Some(Self::Plain {
                timestamp: b,
                id: a,
                id_first: true,
            }),
            _ => None,
        }
    }

    fn compact(header: &Record) -> Option<Self> {
        let [tag, options] = header.fields.as_slice() else {
            return None;
        };
        let (Kind::Enumeration(id, _), Kind::Variant(choice)) = (&tag.kind, &options.kind) else {
            return None;
        };
        let ([short, full], [(first, last, 0), (.., 1)]) =
            (choice.options.as_slice(), choice.ranges.as_slice())
        else {
            return None;
        };
        if id.ty.signed || choice.optional || tag.role != Some(Role::EventClass) {
            return None;
        }
        let (Kind::Struct(short), Kind::Struct(full)) = (&short.kind, &full.kind) else {
            return None;
        };
        let ([timestamp], [full_id, full_timestamp]) =
            (short.fields.as_slice(), full.fields.as_slice())
        else {
            return None;
        };
        let of_role = |field: &ClassField, role| number(field).filter(|_| field.role == Some(role));
        let timestamp = of_role(timestamp, Role::Timestamp)?;
        // the structure is aligned as its only member, and not more
        if short.extent.align_bits != u64::from(timestamp.ty.align_bits) {
            return None;
        }
        Some(Self::Compact {
            id: *id,
            timestamp,
            compact: (u64::try_from(*first).ok()?, u64::try_from(*last).ok()?),
            extended_align_bits: full.extent.align_bits,
            extended_id: of_role(full_id, Role::EventClass)?,
            extended_timestamp: of_role(full_timestamp, Role::Timestamp)?,
        })
    }

    /// Reads a header after one of the time `last`: its time, in ticks of the clock, and the
    /// id of the class, if it has one.
    #[inline]
    pub(crate) fn read<'a>(
        &'a self,
        cursor: &mut Cursor<'a>,
        slots: &mut Slots,
        last: u64,
    ) -> Option<(u64, Option<u64>)> {
        match self {
            Self::Plain {
                timestamp,
                id,
                id_first,
            } => {
                if *id_first {
                    let id = cursor.integer(*id)?;
                    let time = cursor.integer(*timestamp)?;
                    return Some((count_on(last, time, *timestamp), Some(id)));
                }
                let time = cursor.integer(*timestamp)?;
                let id = cursor.integer(*id)?;
                Some((count_on(last, time, *timestamp), Some(id)))
            }
            Self::Compact {
                id,
                timestamp,
                compact,
                extended_align_bits,
                extended_id,
                extended_timestamp,
            } => {
                let tag = cursor.integer(*id)?;
                if (compact.0..=compact.1).contains(&tag) {
                    let time = cursor.integer(*timestamp)?;
                    return Some((count_on(last, time, *timestamp), Some(tag)));
                }
                cursor.align(*extended_align_bits);
                let id = cursor.integer(*extended_id)?;
                let time = cursor.integer(*extended_timestamp)?;
                Some((count_on(last, time, *extended_timestamp), Some(id)))
            }
            Self::Other(header) => read_any(header, cursor, slots, last),
        }
    }
}

fn number(field: &ClassField) -> Option<Bits> {
    match field.kind {
        Kind::Number(bits) if field.slot.is_none() => Some(bits),
        _ => None,
    }
}

fn read_any<'a>(
    header: &'a Record,
    cursor: &mut Cursor<'a>,
    slots: &mut Slots,
    last: u64,
) -> Option<(u64, Option<u64>)> {
    let (mut time, mut class) = (last, None);
    visit(&header.fields, cursor, slots, &mut |role, field, value| {
        if let Value::Number(number) | Value::Labeled(number, _) = value {
            match (role, &field.kind) {
                (
                    Role::Timestamp,
                    Kind::Number(bits) | Kind::Labeled(bits, _) | Kind::Enumeration(bits, _),
                ) => time = count_on(time, number.raw, *bits),
                (Role::EventClass, _) => class = Some(number.raw),
                _ => {}
            }
        }
    })?;
    Some((time, class))
}

/// Reads `fields`, those inside structures and variants as well, and gives those that have a
/// role to `take`; `None` if the content ends before.
pub(crate) fn visit<'a>(
    fields: &'a [ClassField],
    cursor: &mut Cursor<'a>,
    slots: &mut Slots,
    take: &mut dyn FnMut(Role, &'a ClassField, &Value<'a>),
) -> Option<()> {
    for field in fields {
        match &field.kind {
            Kind::Struct(of) => {
                cursor.align(of.extent.align_bits);
                visit(&of.fields, cursor, slots, take)?;
            }
            Kind::Variant(choice) => {
                let option = choice.option(slots)?;
                visit(std::slice::from_ref(option), cursor, slots, take)?;
            }
            _ => {
                let Some(role) = field.role else {
                    field.skip(cursor, slots)?;
                    continue;
                };
                let value = match (&field.kind, field.kind.number()) {
                    (_, Some(bits)) => {
                        let raw = cursor.integer(bits)?;
                        if let Some(slot) = field.slot {
                            slots.set(slot, raw);
                        }
                        Value::Number(Number { raw, ty: bits.ty })
                    }
                    (Kind::Array { element, count }, _) => {
                        let count = count.read(cursor, slots)?;
                        cursor.elements(*element, count)?
                    }
                    (Kind::String, _) => Value::Text(cursor.string()?),
                    _ => {
                        field.skip(cursor, slots)?;
                        continue;
                    }
                };
                take(role, field, &value);
            }
        }
    }
    Some(())
}

/// The first time not before `last` whose low bits are `short` (CTF 1.8 §8).
const fn count_on(last: u64, short: u64, bits: Bits) -> u64 {
    if bits.ty.size_bits == 64 || matches!(bits.encoding, Encoding::Variable) {
        return short;
    }
    let span = 1u64 << bits.ty.size_bits;
    let time = (last & !(span - 1)) | (short & (span - 1));
    if time < last {
        time.wrapping_add(span)
    } else {
        time
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::event::{Display, IntegerType};

    #[test]
    fn short_time_stamps_count_on() {
        let bits = IntegerType::natural(1, false, Display::Decimal).into();
        assert_eq!(count_on(0x1_20, 0x21, bits), 0x1_21);
        assert_eq!(count_on(0x1_20, 0x1f, bits), 0x2_1f);
    }
}
