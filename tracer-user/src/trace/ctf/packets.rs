//! Packet headers and contexts of any layout.

use crate::trace::class::ClassField;
use crate::trace::ctf::layout::{Layout, visit};
use crate::trace::ctf::packet::{MAGIC, MAX_PACKET_LEN, PacketError, PacketHeader};
use crate::trace::ctf::schema::Role;
use crate::trace::folder::chunk::LastPacket;
use crate::trace::value::{Cursor, Slots, Value};

/// The start of a packet.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    /// Times are ticks of the clock of the stream. What the layout does not have is 0, but
    /// sizes are those of the rest of the file, and the end of time is that of all time.
    pub(crate) header: PacketHeader,
    /// Position of its class in the layout.
    pub(crate) stream: usize,
    /// Which stream it is of, if the layout says so.
    pub(crate) instance: Option<u64>,
    /// Whether its number is known.
    pub(crate) has_sequence: bool,
    /// Bits from its start to the first event.
    pub(crate) first_bits: u64,
    /// What fields of events refer to.
    pub(crate) slots: Slots,
}

impl Packet {
    /// Events and packets that are missing since the packet before it.
    pub(crate) fn lost_since(&self, before: Option<LastPacket>) -> (u64, u64) {
        let header = &self.header;
        let (sequence, discarded) = before.map_or((header.sequence, 0), |last| {
            (last.sequence.wrapping_add(1), last.events_discarded)
        });
        let packets = if self.has_sequence {
            header.sequence.saturating_sub(sequence)
        } else {
            0
        };
        (header.events_discarded.saturating_sub(discarded), packets)
    }
}

/// Why there is no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoPacket {
    /// The file ends before the packet does.
    Torn,
    /// A packet of another trace.
    Foreign,
    Wrong(PacketError),
}

impl From<PacketError> for NoPacket {
    fn from(error: PacketError) -> Self {
        Self::Wrong(error)
    }
}

/// What was found in the fields of a header.
#[derive(Default)]
struct Found {
    header: PacketHeader,
    magic: Option<u64>,
    uuid: Option<[u8; 16]>,
    stream: Option<u64>,
    instance: Option<u64>,
    content_bits: Option<u64>,
    packet_bits: Option<u64>,
    has_end: bool,
    has_sequence: bool,
}

impl Found {
    fn take(&mut self, role: Role, value: &Value<'_>) {
        let number = match value {
            Value::Number(number) | Value::Labeled(number, _) => number.raw,
            Value::Numbers(numbers) if role == Role::Uuid => {
                let mut bytes = [0; 16];
                for (place, number) in bytes.iter_mut().zip(numbers.clone()) {
                    *place = number.raw as u8;
                }
                self.uuid = Some(bytes);
                return;
            }
            _ => return,
        };
        match role {
            Role::Magic => self.magic = Some(number),
            Role::StreamClass => self.stream = Some(number),
            Role::StreamInstance => self.instance = Some(number),
            Role::PacketBits => self.packet_bits = Some(number),
            Role::ContentBits => self.content_bits = Some(number),
            Role::Timestamp => self.header.timestamp_begin = number,
            Role::TimestampEnd => {
                self.header.timestamp_end = number;
                self.has_end = true;
            }
            Role::Sequence => {
                self.header.sequence = number;
                self.has_sequence = true;
            }
            Role::Discarded => self.header.events_discarded = number,
            Role::Cpu => self.header.cpu = number as u32,
            _ => {}
        }
    }
}

/// Reads the start of the packet that `bytes`, the rest of a file, start with.
pub(crate) fn parse(layout: &Layout, bytes: &[u8]) -> Result<Packet, NoPacket> {
    let mut found = Found::default();
    let mut slots = Slots::EMPTY;
    let mut cursor = Cursor::new(bytes, 0, u64::MAX);
    let header = &layout.packet_header.fields;
    let whole = visit(header, &mut cursor, &mut slots, &mut |role, _, value| {
        found.take(role, value);
    });
    if found.magic.is_some_and(|magic| magic != u64::from(MAGIC)) {
        return Err(PacketError::Magic(found.magic.unwrap_or(0) as u32).into());
    }
    whole.ok_or(NoPacket::Torn)?;
    if let (Some(found), Some(expected)) = (found.uuid, layout.uuid)
        && found != expected
    {
        return Err(NoPacket::Foreign);
    }
    let Some(stream) = layout.stream(found.stream) else {
        return Err(PacketError::Stream(found.stream.unwrap_or(0) as u32).into());
    };
    let class = &layout.streams[stream];
    if class.packet_header.fields.iter().any(ClassField::has_slot) {
        cursor = Cursor::new(bytes, 0, u64::MAX);
        visit(
            &class.packet_header.fields,
            &mut cursor,
            &mut slots,
            &mut |_, _, _| {},
        );
    }
    cursor.align(class.packet_context.extent.align_bits);
    let context = &class.packet_context.fields;
    let whole = visit(context, &mut cursor, &mut slots, &mut |role, _, value| {
        found.take(role, value);
    });
    whole.ok_or(NoPacket::Torn)?;
    let first_bits = cursor.position();
    let rest = bytes.len() as u64;
    let packet_bits = found.packet_bits.unwrap_or(rest * 8);
    let content_bits = found.content_bits.unwrap_or(packet_bits);
    let is_absurd = packet_bits / 8 > MAX_PACKET_LEN && found.packet_bits.is_some();
    if packet_bits == 0 || packet_bits % 8 != 0 || is_absurd {
        return Err(PacketError::Size(packet_bits).into());
    }
    if content_bits > packet_bits || content_bits < first_bits {
        return Err(PacketError::Content {
            content_bits,
            packet_bits,
        }
        .into());
    }
    if packet_bits / 8 > rest {
        return Err(NoPacket::Torn);
    }
    let header = PacketHeader {
        uuid: found.uuid.unwrap_or_default(),
        stream_id: class.id as u32,
        stream_instance_id: found.instance.unwrap_or(0),
        timestamp_end: if found.has_end {
            found.header.timestamp_end
        } else {
            u64::MAX
        },
        content_bits,
        packet_bits,
        ..found.header
    };
    Ok(Packet {
        header,
        stream,
        instance: found.instance,
        has_sequence: found.has_sequence,
        first_bits,
        slots,
    })
}
