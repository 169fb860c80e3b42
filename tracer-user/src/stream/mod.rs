//! The writing side of one stream: events are batched into packets.
//!
//! An event is copied as it is, behind the one before it. When the buffer is full or a
//! timer says so, the packet is closed: its header gets the time span, the sizes and the
//! loss so far, and the whole packet goes to the sink.

use std::io;

use tracer_common::EventHeader;

use crate::{
    ctf::packet::{FIRST_EVENT_OFFSET, PacketHeader},
    sink::{Sink, SinkReport},
    sys::{memory::PageBuffer, page_size},
};

/// What a stream has written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamStats {
    /// Events in packets that the sink has taken, or that are in the open packet.
    pub events: u64,
    /// Bytes that the sink has taken.
    pub bytes: u64,
    /// Packets that the sink has taken.
    pub packets: u64,
    /// Events whose timestamp was before that of the event ahead of them, and was set to it.
    pub clamped: u64,
    /// Events that are larger than a packet can hold, and were dropped.
    pub oversized: u64,
    /// Events of packets that the sink failed to take.
    pub unwritten: u64,
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

/// Batches the events of one CPU into packets for a sink.
pub struct StreamWriter<S> {
    identity: StreamIdentity,
    buffer: PageBuffer,
    /// Bytes of the packet that are filled, a multiple of 8.
    filled: usize,
    /// End of the last event without its padding, in bytes.
    content_end: usize,
    first_ns: u64,
    last_ns: u64,
    events_in_packet: u64,
    written_discarded: u64,
    stats: StreamStats,
    sink: S,
}

impl<S: Sink> StreamWriter<S> {
    /// A writer whose packets have at most `packet_bytes`, a multiple of the page size.
    pub fn new(identity: StreamIdentity, packet_bytes: usize, sink: S) -> io::Result<Self> {
        Ok(Self {
            buffer: PageBuffer::new(packet_bytes)?,
            filled: FIRST_EVENT_OFFSET,
            content_end: FIRST_EVENT_OFFSET,
            first_ns: identity.start_ns,
            last_ns: identity.start_ns,
            events_in_packet: 0,
            written_discarded: 0,
            stats: StreamStats::default(),
            identity,
            sink,
        })
    }

    /// What was written so far.
    pub fn stats(&self) -> StreamStats {
        self.stats
    }

    /// Which way packets take to the sink's end.
    pub fn sink_report(&self) -> SinkReport {
        self.sink.report()
    }

    /// True if events wait in the open packet.
    pub fn has_open_packet(&self) -> bool {
        self.events_in_packet > 0
    }

    /// Appends one event as it lies in the ring. `discarded` gives the events lost so far on
    /// this CPU; it is asked when a packet is closed.
    pub fn push(
        &mut self,
        event: &[u8],
        header: &EventHeader,
        discarded: impl Fn() -> u64,
    ) -> io::Result<()> {
        let padded = event.len().next_multiple_of(8);
        if self.filled + padded > self.buffer.len() {
            if FIRST_EVENT_OFFSET + padded > self.buffer.len() {
                self.stats.oversized += 1;
                return Ok(());
            }
            self.close_packet(discarded())?;
        }
        let start = self.filled;
        self.buffer[start..start + event.len()].copy_from_slice(event);
        self.buffer[start + event.len()..start + padded].fill(0);
        let mut timestamp_ns = header.timestamp_ns;
        if timestamp_ns < self.last_ns {
            timestamp_ns = self.last_ns;
            self.buffer[start..start + 8].copy_from_slice(&timestamp_ns.to_le_bytes());
            self.stats.clamped += 1;
        }
        if self.events_in_packet == 0 {
            self.first_ns = timestamp_ns;
        }
        self.last_ns = timestamp_ns;
        self.filled = start + padded;
        self.content_end = start + event.len();
        self.events_in_packet += 1;
        self.stats.events += 1;
        Ok(())
    }

    /// Closes the open packet, if it holds events or has a loss to tell, and hands it to
    /// the sink.
    pub fn flush(&mut self, discarded: u64) -> io::Result<()> {
        if self.events_in_packet > 0 || self.stats.oversized + discarded > self.written_discarded {
            self.close_packet(discarded)?;
        }
        Ok(())
    }

    /// Flushes, and has the sink finish.
    pub fn finish(&mut self, discarded: u64) -> io::Result<()> {
        self.flush(discarded)?;
        self.sink.finish()
    }

    fn close_packet(&mut self, discarded: u64) -> io::Result<()> {
        // Events that were too large are lost, too.
        let discarded = discarded + self.stats.oversized;
        if discarded > 0 && self.stats.packets == 0 {
            // Readers count a loss from one packet to the next: give it one to start from.
            self.write_packet(&PacketExtent {
                content_end: FIRST_EVENT_OFFSET,
                begin_ns: self.identity.start_ns,
                end_ns: self.identity.start_ns,
                discarded: 0,
            })?;
        }
        let begin_ns = if self.events_in_packet == 0 {
            self.last_ns
        } else {
            self.first_ns
        };
        let extent = PacketExtent {
            content_end: self.content_end,
            begin_ns,
            end_ns: self.last_ns,
            discarded,
        };
        if let Err(error) = self.write_packet(&extent) {
            self.stats.events -= self.events_in_packet;
            self.stats.unwritten += self.events_in_packet;
            self.events_in_packet = 0;
            return Err(error);
        }
        self.written_discarded = discarded;
        self.filled = FIRST_EVENT_OFFSET;
        self.content_end = FIRST_EVENT_OFFSET;
        self.events_in_packet = 0;
        Ok(())
    }

    fn write_packet(&mut self, extent: &PacketExtent) -> io::Result<()> {
        let packet_bytes = extent.content_end.next_multiple_of(page_size());
        let header = PacketHeader {
            uuid: self.identity.trace_uuid,
            stream_id: 0,
            stream_instance_id: u64::from(self.identity.cpu),
            timestamp_begin: extent.begin_ns,
            timestamp_end: extent.end_ns,
            content_bits: PacketHeader::content_bits_for(extent.content_end),
            packet_bits: packet_bytes as u64 * 8,
            sequence: self.stats.packets,
            events_discarded: extent.discarded,
            cpu: self.identity.cpu,
        };
        header.write_to(&mut self.buffer);
        self.sink
            .write_packet(&[io::IoSlice::new(&self.buffer[..packet_bytes])])?;
        self.stats.packets += 1;
        self.stats.bytes += packet_bytes as u64;
        Ok(())
    }
}

/// What a packet covers.
struct PacketExtent {
    /// End of the last event in bytes.
    content_end: usize,
    begin_ns: u64,
    end_ns: u64,
    discarded: u64,
}
