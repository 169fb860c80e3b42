//! The writing side of one stream: events are batched into packets.
//!
//! An event is copied unchanged into the open sub-buffer, after the one before it. When that
//! is full or a timer expires, the packet is closed: its header gets the time span, the
//! sizes and the loss so far, and the sub-buffer goes to the stream's reader.

mod counts;
pub(crate) mod events;
pub(crate) mod observe;
mod preamble;
pub(crate) mod shared;

use tracer_common::EventHeader;

use self::counts::OpenCounts;
use self::observe::Observers;
use crate::record::subbuf::{AppendError, ClassTotals, Closing, Writer, WriterStats};
use crate::sys::page_size;
use crate::trace::ctf::packet::{PACKET_HEADER_LEN, PacketHeader};

pub use preamble::Preamble;
pub use tracer_common::subbuf::Full;

/// Bytes that a packet's header takes in its sub-buffer.
pub const HEADER_LEN: usize = PACKET_HEADER_LEN;

/// What was done to events on their way into packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamStats {
    /// Events in packets, closed ones and the open one.
    pub events: u64,
    /// Events whose timestamp was before that of the event ahead of them, and was set to it.
    pub clamped: u64,
    /// Events that are larger than a packet can hold, and were dropped.
    pub oversized: u64,
}

/// What does not change from packet to packet of a stream.
#[derive(Clone, Copy, Debug)]
pub struct StreamIdentity {
    /// The trace's.
    pub trace_uuid: [u8; 16],
    /// The CPU that the stream is of; also its instance number.
    pub cpu: u32,
    /// When recording began, `CLOCK_MONOTONIC` in nanoseconds.
    pub start_ns: u64,
}

/// Batches the events of one CPU into packets.
#[derive(Debug)]
pub struct StreamWriter {
    identity: StreamIdentity,
    writer: Writer,
    /// Events of the open packet.
    open: OpenCounts,
    first_ns: u64,
    last_ns: u64,
    /// Loss that the last packet has reported.
    reported: u64,
    stats: StreamStats,
    /// Events of closed packets.
    closed: ClassTotals,
    observers: Observers,
    /// Bytes of the open packet that they have seen.
    observed: usize,
}

impl StreamWriter {
    /// A writer into sub-buffers that leave [`HEADER_LEN`] bytes for headers; classes of
    /// events are below `classes`.
    #[must_use]
    pub fn new(identity: StreamIdentity, writer: Writer, classes: usize) -> Self {
        Self {
            open: OpenCounts::new(classes),
            first_ns: identity.start_ns,
            last_ns: identity.start_ns,
            reported: 0,
            stats: StreamStats::default(),
            closed: ClassTotals::default(),
            observers: Observers::default(),
            observed: HEADER_LEN,
            identity,
            writer,
        }
    }

    /// Shows the events to these observers. Called before the first event.
    pub(crate) fn observe_by(&mut self, observers: Observers) {
        self.observers = observers;
    }

    /// The observers, for events that are in no packet.
    pub(crate) fn observers(&mut self) -> &mut Observers {
        &mut self.observers
    }

    /// Shows the observers what was appended since they were shown something.
    pub(crate) fn observe(&mut self) {
        if !self.observers.want_packets() {
            return;
        }
        let Some(content) = self.writer.content_len() else {
            return;
        };
        if content > self.observed {
            let new = self.observed..content;
            self.observers.see_packet(&self.writer.content(), new);
            self.observed = content;
        }
    }

    /// Sets the time from which the stream covers events (`CLOCK_MONOTONIC` in nanoseconds).
    /// Called before the first event.
    pub fn begin_at(&mut self, start_ns: u64) {
        (self.first_ns, self.last_ns) = (start_ns, start_ns);
    }

    /// What was done so far.
    #[must_use]
    pub fn stats(&self) -> StreamStats {
        self.stats
    }

    /// Packets that were closed so far.
    #[inline]
    #[must_use]
    pub fn closed_packets(&self) -> u64 {
        self.writer.closed_packets()
    }

    /// What became of the packets so far.
    #[must_use]
    pub fn packets(&self) -> WriterStats {
        self.writer.stats()
    }

    /// The events of all packets so far by class, what was overwritten included.
    #[must_use]
    pub fn closed(&self) -> &ClassTotals {
        &self.closed
    }

    /// The overwritten events by class.
    #[must_use]
    pub fn overwritten(&self) -> &ClassTotals {
        self.writer.overwritten()
    }

    /// Whether there is a sub-buffer for the next event.
    pub fn has_room(&mut self) -> bool {
        self.writer.open().is_ok()
    }

    /// Appends one event as it lies in the ring. `discarded` gives the events lost so far on
    /// this CPU; it is asked when a packet is closed.
    ///
    /// # Errors
    /// If the reader has to free a sub-buffer first; the event was not taken.
    pub fn push(
        &mut self,
        event: &[u8],
        header: &EventHeader,
        discarded: impl Fn() -> u64,
    ) -> Result<(), Full> {
        loop {
            match self.writer.append(event) {
                Ok(start) => {
                    self.note(header, start);
                    return Ok(());
                }
                Err(AppendError::NoRoom) => self.close(discarded()),
                Err(AppendError::Oversized { .. }) => {
                    self.stats.oversized += 1;
                    return Ok(());
                }
                Err(AppendError::Full) => return Err(Full),
            }
        }
    }

    /// The event at `start` of the open packet is in it.
    #[inline]
    fn note(&mut self, header: &EventHeader, start: usize) {
        let mut timestamp_ns = header.timestamp_ns;
        if timestamp_ns < self.last_ns {
            timestamp_ns = self.last_ns;
            self.writer.patch(start, &timestamp_ns.to_le_bytes());
            self.stats.clamped += 1;
        }
        // The first packet covers all time since recording began.
        if self.open.events() == 0 && self.writer.closed_packets() > 0 {
            self.first_ns = timestamp_ns;
        }
        self.last_ns = timestamp_ns;
        self.open.add(header.class);
        self.stats.events += 1;
    }

    /// Closes the open packet, if it holds events or has a loss to report.
    ///
    /// # Errors
    /// If the loss needs a packet and no sub-buffer is free.
    pub fn flush(&mut self, discarded: u64) -> Result<(), Full> {
        if self.open.events() > 0 || self.stats.oversized + discarded > self.reported {
            self.writer.open()?;
            self.close(discarded);
        }
        Ok(())
    }

    /// Closes the stream: its last packet covers all time up to `end_ns`
    /// (`CLOCK_MONOTONIC` in nanoseconds), without events if there are none left. A stream
    /// without any packet stays empty. Readers look at the time that all streams cover.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn finish(&mut self, end_ns: u64, discarded: u64) -> Result<(), Full> {
        let has_packets = self.closed_packets() > 0;
        if has_packets || self.open.events() > 0 || self.stats.oversized + discarded > self.reported
        {
            self.writer.open()?;
            self.last_ns = self.last_ns.max(end_ns);
            self.close(discarded);
        }
        Ok(())
    }

    fn close(&mut self, discarded: u64) {
        let Some(content_len) = self.writer.content_len() else {
            return;
        };
        self.observe();
        self.observed = HEADER_LEN;
        // Events that were too large are lost, too.
        let discarded = discarded + self.stats.oversized;
        let events = self.open.events();
        let begin_ns = if events == 0 {
            self.last_ns
        } else {
            self.first_ns
        };
        let packet_len = content_len.next_multiple_of(page_size());
        let header = PacketHeader {
            uuid: self.identity.trace_uuid,
            stream_id: 0,
            stream_instance_id: u64::from(self.identity.cpu),
            timestamp_begin: begin_ns,
            timestamp_end: self.last_ns,
            content_bits: PacketHeader::content_bits_for(content_len),
            packet_bits: packet_len as u64 * 8,
            sequence: 0,
            events_discarded: discarded,
            cpu: self.identity.cpu,
        };
        let classes = self.open.list();
        self.closed.add(classes);
        let closing = Closing {
            packet_len,
            events,
            classes,
            discarded_before: self.reported,
        };
        self.writer.close(closing, |page, position| {
            // The first number is left for a preamble.
            let sequence = position + 1;
            PacketHeader { sequence, ..header }.write_to(page);
        });
        self.reported = discarded;
    }
}
