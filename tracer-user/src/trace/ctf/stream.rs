//! The events of one stream, one packet in memory at a time.

use std::path::{Path, PathBuf};

use crate::trace::class::{Class, ClassField};
use crate::trace::ctf::error::ReadError;
use crate::trace::ctf::layout::{Header, Layout};
use crate::trace::ctf::packet::{PACKET_HEADER_LEN, PacketHeader};
use crate::trace::ctf::scan::{Scanner, Tail};
use crate::trace::event::IntegerType;
use crate::trace::folder::chunk::{Before, LastPacket};
use crate::trace::value::{Cursor, Value};

/// An event, as it lies in its packet.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// Nanoseconds of the trace's clock.
    pub timestamp_ns: u64,
    /// Where it happened.
    pub cpu: u32,
    /// Thread, 0 for the idle thread of a CPU.
    pub tid: u32,
    /// Process of the thread.
    pub pid: u32,
    /// The thread's name, where the trace has it in each event (those of LTTng can).
    pub comm: Option<&'a [u8]>,
    /// What happened.
    pub class: &'a Class,
    context: Cursor<'a>,
    payload: Cursor<'a>,
}

impl<'a> Event<'a> {
    /// The fields with their values, in order.
    #[must_use]
    pub fn fields(&self) -> Fields<'a> {
        Fields {
            fields: self.class.fields.iter(),
            cursor: self.payload,
        }
    }

    /// What the event has beside its payload, in order.
    #[must_use]
    pub fn context(&self) -> Fields<'a> {
        Fields {
            fields: self.class.context.iter(),
            cursor: self.context,
        }
    }
}

/// Iterates over the fields of an [`Event`].
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    fields: std::slice::Iter<'a, ClassField>,
    cursor: Cursor<'a>,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a ClassField, Value<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let field = self.fields.next()?;
        let value = field.kind.read(&mut self.cursor)?;
        Some((field, value))
    }
}

/// Events that a stream should have and has not, as its packets tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Where the packet that tells of it starts, in nanoseconds of the trace's clock.
    pub timestamp_ns: u64,
    /// The CPU of the stream.
    pub cpu: u32,
    /// Events that the recorder dropped since the packet before.
    pub events: u64,
    /// Packets that are missing before this one: overwritten while nobody read them, or in
    /// a chunk that is not here.
    pub packets: u64,
}

/// What a stream has next.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Head<'t> {
    Event {
        timestamp_ns: u64,
        class: &'t Class,
        parts: Parts,
    },
    Loss(Loss),
}

/// Where the parts of an event start, in bits from the start of its packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts {
    /// What all events of the stream have.
    stream_context: u64,
    /// What all events of the class have beside their payloads.
    context: u64,
    payload: u64,
}

impl Head<'_> {
    pub(crate) const fn timestamp_ns(&self) -> u64 {
        match self {
            Self::Event { timestamp_ns, .. } => *timestamp_ns,
            Self::Loss(loss) => loss.timestamp_ns,
        }
    }
}

/// Reads one stream, from file to file.
pub(crate) struct Stream<'t> {
    layout: &'t Layout,
    scanner: Scanner,
    /// Where the stream goes on.
    rest: std::slice::Iter<'t, PathBuf>,
    /// What could not be read at the ends of the files before.
    tails: Vec<Tail>,
    /// Events before are left out.
    from_ns: u64,
    /// The content of the packet at `packet_offset`.
    content: Vec<u8>,
    packet_offset: u64,
    header: PacketHeader,
    /// End of the last event that was decoded, in bits from the packet's start.
    position: u64,
    /// Time stamp of that event: short ones count on from it.
    last_timestamp: u64,
    /// What streams had come to when the trace began.
    start: &'t Before,
    /// The packet before, if there was one.
    before: Option<LastPacket>,
}

impl<'t> Stream<'t> {
    /// The stream in the file `first`, which goes on in the files `rest`.
    pub(crate) fn open(
        layout: &'t Layout,
        first: &Path,
        rest: &'t [PathBuf],
        start: &'t Before,
        from_ns: u64,
    ) -> Result<Self, ReadError> {
        Ok(Self {
            layout,
            scanner: Scanner::open(first, layout.info.uuid)?,
            rest: rest.iter(),
            tails: Vec::new(),
            from_ns,
            content: Vec::new(),
            packet_offset: 0,
            header: PacketHeader::default(),
            position: 0,
            last_timestamp: 0,
            start,
            before: None,
        })
    }

    /// What could not be read at the ends of the files up to here.
    pub(crate) fn tails(&self) -> impl Iterator<Item = &Tail> {
        self.tails.iter().chain(self.scanner.tail())
    }

    /// What comes next, `None` at the end of the stream.
    pub(crate) fn advance(&mut self) -> Result<Option<Head<'t>>, ReadError> {
        loop {
            while self.position < self.header.content_bits {
                let head = self.decode()?;
                if head.timestamp_ns() >= self.from_ns {
                    return Ok(Some(head));
                }
            }
            let Some((offset, header)) = self.scanner.next()? else {
                let Some(path) = self.rest.next() else {
                    return Ok(None);
                };
                self.tails.extend(self.scanner.tail().cloned());
                self.scanner = Scanner::open(path, self.layout.info.uuid)?;
                continue;
            };
            let loss = self.loss_before(&header);
            if header.timestamp_end < self.from_ns {
                continue;
            }
            self.load(offset, header)?;
            if loss.events > 0 || loss.packets > 0 {
                return Ok(Some(Head::Loss(loss)));
            }
        }
    }

    /// The event that `head` stands for, as long as it is the last that
    /// [`advance`](Self::advance) gave.
    #[inline]
    pub(crate) fn event(&self, timestamp_ns: u64, class: &'t Class, parts: Parts) -> Event<'_> {
        let mut event = Event {
            timestamp_ns,
            cpu: self.header.cpu,
            tid: 0,
            pid: 0,
            comm: None,
            class,
            context: self.cursor(parts.context),
            payload: self.cursor(parts.payload),
        };
        let fields = Fields {
            fields: self.layout.context.iter(),
            cursor: self.cursor(parts.stream_context),
        };
        for (field, value) in fields {
            match (field.name.as_str(), value) {
                ("tid", Value::Number(number)) => event.tid = number.raw as u32,
                ("pid", Value::Number(number)) => event.pid = number.raw as u32,
                ("procname", Value::Text(comm)) => event.comm = Some(comm),
                _ => {}
            }
        }
        event
    }

    fn cursor(&self, position: u64) -> Cursor<'_> {
        Cursor::new(&self.content, position, self.header.content_bits)
    }

    fn loss_before(&mut self, header: &PacketHeader) -> Loss {
        let before = self
            .before
            .or_else(|| self.start.0.get(&header.stream_instance_id).copied());
        let (sequence, discarded) = before.map_or((header.sequence, 0), |last| {
            (last.sequence.wrapping_add(1), last.events_discarded)
        });
        self.before = Some(header.into());
        Loss {
            timestamp_ns: header.timestamp_begin,
            cpu: header.cpu,
            events: header.events_discarded.saturating_sub(discarded),
            packets: header.sequence.saturating_sub(sequence),
        }
    }

    fn load(&mut self, offset: u64, header: PacketHeader) -> Result<(), ReadError> {
        // the file is at least as long, so a header cannot ask for memory that it has not
        self.content.resize(header.content_len() as usize, 0);
        self.scanner.read_at(&mut self.content, offset)?;
        self.packet_offset = offset;
        self.header = header;
        self.position = PACKET_HEADER_LEN as u64 * 8;
        self.last_timestamp = header.timestamp_begin;
        Ok(())
    }

    /// Finds the parts of the event behind `position` and checks that all are there.
    #[inline]
    fn decode(&mut self) -> Result<Head<'t>, ReadError> {
        let layout = self.layout;
        let mut cursor = self.cursor(self.position);
        cursor.align(layout.header_align_bits);
        let start = cursor.position();
        let Some((timestamp_ns, id)) = read_header(layout.header, &mut cursor, self.last_timestamp)
        else {
            return Err(self.past_content(start, "the header of an event".into()));
        };
        let Some(class) = layout.class(id) else {
            return Err(ReadError::UnknownClass {
                path: self.scanner.path().to_owned(),
                offset: self.packet_offset + start / 8,
                id,
            });
        };
        cursor.align(layout.context_align_bits);
        let mut parts = Parts {
            stream_context: cursor.position(),
            context: 0,
            payload: 0,
        };
        let mut whole = step_over(&layout.context, None, &mut cursor);
        cursor.align(class.context_extent.align_bits);
        parts.context = cursor.position();
        let fixed_bits = class.context_extent.fixed_bits;
        whole = whole.and_then(|()| step_over(&class.context, fixed_bits, &mut cursor));
        cursor.align(class.payload_extent.align_bits);
        parts.payload = cursor.position();
        let fixed_bits = class.payload_extent.fixed_bits;
        whole = whole.and_then(|()| step_over(&class.fields, fixed_bits, &mut cursor));
        let end = cursor.position();
        if whole.is_none() || end > self.header.content_bits {
            return Err(self.past_content(start, format!("an event `{}`", class.name)));
        }
        self.position = end;
        self.last_timestamp = timestamp_ns;
        Ok(Head::Event {
            timestamp_ns,
            class,
            parts,
        })
    }

    #[cold]
    fn past_content(&self, position: u64, what: String) -> ReadError {
        ReadError::PastContent {
            path: self.scanner.path().to_owned(),
            offset: self.packet_offset + position / 8,
            what,
        }
    }
}

#[inline]
fn step_over<'a>(
    fields: &'a [ClassField],
    fixed_bits: Option<u64>,
    cursor: &mut Cursor<'a>,
) -> Option<()> {
    if let Some(bits) = fixed_bits {
        return cursor.skip(bits);
    }
    for field in fields {
        field.kind.read(cursor)?;
    }
    Some(())
}

#[inline]
fn read_header(header: Header, cursor: &mut Cursor, last: u64) -> Option<(u64, u64)> {
    match header {
        Header::Plain { timestamp, id } => Some((cursor.number(timestamp)?, cursor.number(id)?)),
        Header::Compact {
            id,
            timestamp,
            extended_tag,
            extended_id,
            extended_timestamp,
        } => {
            let tag = cursor.number(id)?;
            if tag == extended_tag {
                let id = cursor.number(extended_id)?;
                let time = cursor.number(extended_timestamp)?;
                return Some((count_on(last, time, extended_timestamp), id));
            }
            let time = cursor.number(timestamp)?;
            Some((count_on(last, time, timestamp), tag))
        }
    }
}

/// The first time not before `last` whose low bits are `short` (CTF 1.8 §8).
const fn count_on(last: u64, short: u64, ty: IntegerType) -> u64 {
    if ty.size_bits == 64 {
        return short;
    }
    let span = 1u64 << ty.size_bits;
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
    use crate::trace::event::Display;

    #[test]
    fn short_time_stamps_count_on() {
        let ty = IntegerType::natural(1, false, Display::Decimal);
        assert_eq!(count_on(0x1_20, 0x21, ty), 0x1_21);
        assert_eq!(count_on(0x1_20, 0x1f, ty), 0x2_1f);
    }
}
