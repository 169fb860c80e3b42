//! The events of one stream, from file to file.

use std::path::PathBuf;

use crate::trace::class::{Class, Fields};
use crate::trace::ctf::error::ReadError;
use crate::trace::ctf::layout::{Layout, StreamClass, Thread, visit};
use crate::trace::ctf::packet::PacketHeader;
use crate::trace::ctf::packets::Packet;
use crate::trace::ctf::scan::{Scanner, Tail};
use crate::trace::ctf::schema::Role;
use crate::trace::folder::chunk::{Before, LastPacket};
use crate::trace::value::{Cursor, Slots, Value, View};

/// An event, in place in its packet.
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
    /// The thread's name, if the trace has it in each event (those of LTTng can).
    pub comm: Option<&'a [u8]>,
    /// What happened.
    pub class: &'a Class,
    /// Bits that it takes in its packet, including those before it that align it.
    pub size_bits: u64,
    context: Cursor<'a>,
    payload: Cursor<'a>,
    slots: &'a Slots,
}

impl<'a> Event<'a> {
    /// The fields with their values, in order.
    #[must_use]
    pub fn fields(&self) -> Fields<'a> {
        Fields::new(&self.class.fields, self.payload, View::Event(self.slots))
    }

    /// The context with its values, in order.
    #[must_use]
    pub fn context(&self) -> Fields<'a> {
        Fields::new(&self.class.context, self.context, View::Event(self.slots))
    }
}

/// Events that are missing from a stream, by the counters in its packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// When the packet that reports it starts, in nanoseconds of the trace's clock.
    pub timestamp_ns: u64,
    /// The CPU of the stream.
    pub cpu: u32,
    /// Events that the recorder dropped since the packet before.
    pub events: u64,
    /// Packets that are missing before this one: overwritten before they were read, or in
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
    size: u64,
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

/// A file of a stream.
#[derive(Clone, Debug)]
pub(crate) struct StreamFile {
    pub(crate) path: PathBuf,
    /// Position of its layout in the trace.
    pub(crate) layout: usize,
}

/// What the streams of a trace share.
#[derive(Clone, Copy)]
pub(crate) struct Shared<'t> {
    pub(crate) layouts: &'t [Layout],
    pub(crate) classes: &'t [Class],
    /// Earlier events are left out.
    pub(crate) from_ns: u64,
    pub(crate) piece: Piece,
}

/// A part of the time of a trace. Pieces that follow each other without a gap share all events
/// and losses among them: each is in exactly one, even if time stamps go back within a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// First nanosecond.
    pub from_ns: u64,
    /// Last nanosecond.
    pub to_ns: u64,
}

impl Piece {
    /// The whole trace.
    pub const ALL: Self = Self {
        from_ns: 0,
        to_ns: u64::MAX,
    };

    const fn contains(self, time_ns: u64) -> bool {
        self.from_ns <= time_ns && time_ns <= self.to_ns
    }
}

/// Reads one stream, from file to file.
pub(crate) struct Stream<'t> {
    shared: Shared<'t>,
    class: &'t StreamClass,
    scanner: Scanner<'t>,
    /// Where the stream continues.
    rest: std::slice::Iter<'t, StreamFile>,
    /// What could not be read at the ends of the files before.
    tails: Vec<Tail>,
    packet_offset: u64,
    header: PacketHeader,
    /// End of the last event that was decoded, in bits from the packet's start.
    position: u64,
    /// Time stamp of that event, in ticks: short ones count on from it.
    last_timestamp: u64,
    /// The latest time in the packet so far, which decides the piece of an event.
    latest_ns: u64,
    /// When the packet ends.
    end_ns: u64,
    slots: Slots,
    /// The last packets of the streams when the trace began.
    start: &'t Before,
    /// The packet before, if there was one.
    before: Option<LastPacket>,
}

/// The class of a stream without packets.
fn first_class(layout: &Layout) -> Result<&StreamClass, ReadError> {
    layout
        .streams
        .first()
        .ok_or_else(|| ReadError::Unsupported {
            path: PathBuf::new(),
            what: "there is no stream".to_owned(),
        })
}

impl<'t> Stream<'t> {
    /// The stream in the file `first`, which continues in the files `rest`.
    pub(crate) fn open(
        shared: Shared<'t>,
        first: &'t StreamFile,
        rest: &'t [StreamFile],
        start: &'t Before,
    ) -> Result<Self, ReadError> {
        let layout = &shared.layouts[first.layout];
        let mut stream = Self {
            shared,
            class: first_class(layout)?,
            scanner: Scanner::open(&first.path, layout)?,
            rest: rest.iter(),
            tails: Vec::new(),
            packet_offset: 0,
            header: PacketHeader::default(),
            position: 0,
            last_timestamp: 0,
            latest_ns: 0,
            end_ns: 0,
            slots: Slots::EMPTY,
            start,
            before: None,
        };
        stream.seek();
        Ok(stream)
    }

    /// Passes over packets of the file that end before the first event that is wanted.
    fn seek(&mut self) {
        let from_ns = self.first_ns();
        if from_ns == 0 {
            return;
        }
        if let Some(before) = self.scanner.seek(from_ns) {
            self.before = Some(LastPacket {
                sequence: before.sequence,
                events_discarded: before.events_discarded,
            });
        }
    }

    /// Packets that end earlier are passed over.
    fn first_ns(&self) -> u64 {
        self.shared.from_ns.max(self.shared.piece.from_ns)
    }

    /// What could not be read at the ends of the files up to here.
    pub(crate) fn tails(&self) -> impl Iterator<Item = &Tail> {
        self.tails.iter().chain(self.scanner.tail())
    }

    /// What comes next, `None` at the end of the stream.
    pub(crate) fn advance(&mut self) -> Result<Option<Head<'t>>, ReadError> {
        let piece = self.shared.piece;
        loop {
            while self.position < self.header.content_bits {
                let head = self.decode()?;
                let time_ns = head.timestamp_ns();
                self.latest_ns = self.latest_ns.max(time_ns).min(self.end_ns);
                if piece.contains(self.latest_ns) && time_ns >= self.shared.from_ns {
                    return Ok(Some(head));
                }
                if self.latest_ns > piece.to_ns {
                    return Ok(self.end());
                }
            }
            let Some((offset, packet)) = self.scanner.next()? else {
                let Some(file) = self.rest.next() else {
                    return Ok(None);
                };
                self.tails.extend(self.scanner.tail().cloned());
                let layout = &self.shared.layouts[file.layout];
                self.scanner = Scanner::open(&file.path, layout)?;
                self.seek();
                continue;
            };
            let class = &self.scanner.layout().streams[packet.stream];
            let loss = self.loss_before(&packet, class);
            let end = packet.header.timestamp_end;
            if end != u64::MAX && class.time.ns(end) < self.first_ns() {
                continue;
            }
            if loss.timestamp_ns > piece.to_ns {
                return Ok(self.end());
            }
            self.enter(offset, &packet, class);
            let is_loss = loss.events > 0 || loss.packets > 0;
            if is_loss && piece.contains(loss.timestamp_ns) {
                return Ok(Some(Head::Loss(loss)));
            }
        }
    }

    /// Leaves what follows to the next piece.
    #[cold]
    fn end<T>(&mut self) -> Option<T> {
        self.position = u64::MAX;
        self.header.content_bits = 0;
        self.scanner.end();
        self.rest = [].iter();
        None
    }

    /// The event that `head` stands for, as long as it is the last that
    /// [`advance`](Self::advance) gave.
    #[inline]
    pub(crate) fn event(&self, timestamp_ns: u64, class: &'t Class, parts: Parts) -> Event<'_> {
        let context = self.cursor(parts.context);
        let mut event = Event {
            timestamp_ns,
            cpu: self.header.cpu,
            tid: 0,
            pid: 0,
            comm: None,
            class,
            size_bits: parts.size,
            context,
            payload: self.cursor(parts.payload),
            slots: &self.slots,
        };
        match self.class.thread {
            Thread::Fixed { tid, pid, comm } => {
                let number = |(bits, number)| context.ahead(bits).integer(number).unwrap_or(0);
                event.tid = tid.map_or(0, number) as u32;
                event.pid = pid.map_or(0, number) as u32;
                event.comm = comm.and_then(|(bits, len)| context.ahead(bits).characters(len));
            }
            Thread::Anywhere => self.find_thread(&mut event),
        }
        event
    }

    fn find_thread<'a>(&'a self, event: &mut Event<'a>) {
        let mut cursor = event.context;
        let mut slots = self.slots;
        let fields = &self.class.context.fields;
        visit(
            fields,
            &mut cursor,
            &mut slots,
            &mut |role, _, value| match (role, value) {
                (Role::Tid, Value::Number(number)) => event.tid = number.raw as u32,
                (Role::Pid, Value::Number(number)) => event.pid = number.raw as u32,
                (Role::Comm, Value::Text(comm)) => event.comm = Some(comm),
                _ => {}
            },
        );
    }

    #[inline]
    fn cursor(&self, position: u64) -> Cursor<'_> {
        let len = self.header.content_len() as usize;
        let bytes = self.scanner.bytes(self.packet_offset as usize, len);
        Cursor::new(bytes, position, self.header.content_bits)
    }

    fn loss_before(&mut self, packet: &Packet, class: &StreamClass) -> Loss {
        let header = &packet.header;
        let before = self
            .before
            .or_else(|| self.start.0.get(&header.stream_instance_id).copied());
        let (events, packets) = packet.lost_since(before);
        self.before = Some(header.into());
        Loss {
            timestamp_ns: class.time.ns(header.timestamp_begin),
            cpu: header.cpu,
            events,
            packets,
        }
    }

    fn enter(&mut self, offset: u64, packet: &Packet, class: &'t StreamClass) {
        self.class = class;
        self.scanner.release_before(offset);
        self.packet_offset = offset;
        self.position = packet.first_bits;
        self.last_timestamp = packet.header.timestamp_begin;
        self.latest_ns = class.time.ns(packet.header.timestamp_begin);
        self.end_ns = match packet.header.timestamp_end {
            u64::MAX => u64::MAX,
            end => class.time.ns(end).max(self.latest_ns),
        };
        self.header = packet.header;
        self.slots = packet.slots;
    }

    /// Finds the parts of the event after `position` and checks that all are there.
    #[inline]
    fn decode(&mut self) -> Result<Head<'t>, ReadError> {
        let stream = self.class;
        let len = self.header.content_len() as usize;
        let bytes = self.scanner.bytes(self.packet_offset as usize, len);
        let mut cursor = Cursor::new(bytes, self.position, self.header.content_bits);
        let slots = &mut self.slots;
        cursor.align(stream.header_align_bits);
        let start = cursor.position();
        let Some((ticks, id)) = stream.header.read(&mut cursor, slots, self.last_timestamp) else {
            return Err(self.past_content(start, "the header of an event".into()));
        };
        let Some(class) = stream.class(id, self.shared.classes) else {
            return Err(ReadError::UnknownClass {
                path: self.scanner.path().to_owned(),
                offset: self.packet_offset + start / 8,
                id: id.unwrap_or(0),
            });
        };
        cursor.align(stream.context.extent.align_bits);
        let context = cursor.position();
        let mut whole = stream
            .context
            .extent
            .skip(&stream.context.fields, &mut cursor, slots);
        let own = &class.own_context;
        cursor.align(own.extent.align_bits);
        whole = whole.and_then(|()| own.extent.skip(&own.fields, &mut cursor, slots));
        cursor.align(class.payload_extent.align_bits);
        let payload = cursor.position();
        whole = whole.and_then(|()| class.payload_extent.skip(&class.fields, &mut cursor, slots));
        let end = cursor.position();
        // an event without a bit would come again and again
        if whole.is_none() || end > self.header.content_bits || end == self.position {
            return Err(self.past_content(start, format!("an event `{}`", class.name)));
        }
        let size = end - self.position;
        self.position = end;
        self.last_timestamp = ticks;
        Ok(Head::Event {
            timestamp_ns: stream.time.ns(ticks),
            class,
            parts: Parts {
                size,
                context,
                payload,
            },
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
