//! The writing side: filling sub-buffers one after the other.

use std::io::IoSlice;
use std::sync::Arc;

use thiserror::Error;
use tracer_common::subbuf::{Full, Mode, OwnedIndex};

use crate::record::subbuf::{ClassCount, ClassTotals, Config, EVENT_ALIGN, Shared};

/// What a writer has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriterStats {
    /// Packets that were closed.
    pub packets: u64,
    /// Events in them.
    pub events: u64,
    /// Packets that were overwritten before the reader took them; the reader counts those
    /// that it held meanwhile.
    pub overwritten_packets: u64,
    /// Events in them.
    pub overwritten_events: u64,
    /// How often an event was refused because every sub-buffer was full.
    pub discarded: u64,
    /// Events that were refused because they are larger than a sub-buffer.
    pub oversized: u64,
}

/// Why an event is not in the open packet.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum AppendError {
    /// Close the packet and try again.
    #[error("the sub-buffer has no room left")]
    NoRoom,
    /// In discard mode: the event is lost unless it is offered again.
    #[error("the reader has taken none of the sub-buffers")]
    Full,
    /// The event is lost, and counted.
    #[error("an event of {len} bytes does not fit into a sub-buffer with room for {room}")]
    Oversized {
        /// Size of the event.
        len: usize,
        /// Size of the largest event that would fit.
        room: usize,
    },
}

/// How a packet ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Closing<'a> {
    /// Bytes of the packet, padding included, which is zeroed.
    pub packet_len: usize,
    /// Events in it.
    pub events: u64,
    /// The same by class, for those who have to account for the packet.
    pub classes: &'a [ClassCount],
    /// Events that the stream had lost when the packet before this one was closed.
    pub discarded_before: u64,
}

/// Fills the sub-buffers of one stream. There is one per stream; dropped, it ends
/// the stream for the reader, and what is in the open packet is lost.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    mode: Mode,
    header_len: usize,
    capacity: usize,
    open: Option<Open>,
    stats: WriterStats,
    overwritten: ClassTotals,
}

/// The sub-buffer that is being filled.
#[derive(Debug)]
struct Open {
    owned: OwnedIndex,
    position: u64,
    /// Where the last event ends, in bytes.
    end: usize,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, config: Config, capacity: usize) -> Self {
        Self {
            shared,
            mode: config.mode,
            header_len: config.header_len,
            capacity,
            open: None,
            stats: WriterStats::default(),
            overwritten: ClassTotals::default(),
        }
    }

    /// Size of a sub-buffer in bytes.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Packets that were closed so far.
    #[inline]
    #[must_use]
    pub fn closed_packets(&self) -> u64 {
        self.stats.packets
    }

    /// What was done so far.
    #[must_use]
    pub fn stats(&self) -> WriterStats {
        self.stats
    }

    /// The overwritten events by class.
    #[must_use]
    pub fn overwritten(&self) -> &ClassTotals {
        &self.overwritten
    }

    /// Where the content of the open packet ends: after its last event, or after its header.
    /// None if no packet is open.
    #[must_use]
    pub fn content_len(&self) -> Option<usize> {
        self.open.as_ref().map(|open| open.end)
    }

    /// The content of the open packet, for observers: one piece per extent of its pages. Empty
    /// if no packet is open.
    pub(crate) fn content(&mut self) -> Vec<IoSlice<'_>> {
        let Some(open) = &mut self.open else {
            return Vec::new();
        };
        let packet = self.shared.sub_buffer_mut(&mut open.owned);
        packet.run.io_slices(open.end)
    }

    /// Opens the next packet, unless one is open. Never waits.
    ///
    /// # Errors
    /// In discard mode, if the reader has taken none of the sub-buffers.
    pub fn open(&mut self) -> Result<(), Full> {
        if self.open.is_some() {
            return Ok(());
        }
        let mut entered = self.shared.table().enter(self.mode)?;
        if entered.overwrites {
            let lost = self.shared.sub_buffer_mut(&mut entered.owned);
            self.stats.overwritten_packets += 1;
            self.stats.overwritten_events += lost.events;
            self.overwritten.add(&lost.classes);
        }
        self.open = Some(Open {
            owned: entered.owned,
            position: entered.position,
            end: self.header_len,
        });
        Ok(())
    }

    /// Appends one event to the open packet, at the next multiple of [`EVENT_ALIGN`], and
    /// opens a packet if none is. Returns where in the packet it starts. The bytes between
    /// two events are zeroed.
    ///
    /// # Errors
    /// [`AppendError::NoRoom`] if the packet has to be [closed](Self::close) first;
    /// otherwise the event is lost, and counted.
    pub fn append(&mut self, event: &[u8]) -> Result<usize, AppendError> {
        let room = self.capacity - self.header_len.next_multiple_of(EVENT_ALIGN);
        if event.len() > room {
            self.stats.oversized += 1;
            return Err(AppendError::Oversized {
                len: event.len(),
                room,
            });
        }
        if self.open.is_none() && self.open().is_err() {
            self.stats.discarded += 1;
        }
        let open = self.open.as_mut().ok_or(AppendError::Full)?;
        let start = open.end.next_multiple_of(EVENT_ALIGN);
        // Alignment may lead past the end.
        if self.capacity.saturating_sub(start) < event.len() {
            return Err(AppendError::NoRoom);
        }
        let run = &mut self.shared.sub_buffer_mut(&mut open.owned).run;
        if start > open.end {
            run.zero_at(open.end, start - open.end);
        }
        run.write_at(start, event);
        open.end = start + event.len();
        Ok(start)
    }

    /// Writes over a part of the open packet.
    ///
    /// # Panics
    /// If that is not in the content of an open packet.
    pub fn patch(&mut self, offset: usize, bytes: &[u8]) {
        let open = self.open.as_mut();
        let open = open.filter(|open| offset + bytes.len() <= open.end);
        let open = open.expect("a place in the open packet");
        let run = &mut self.shared.sub_buffer_mut(&mut open.owned).run;
        run.write_at(offset, bytes);
    }

    /// Closes the open packet and hands it to the reader. `write_header` gets the first
    /// page and the packet's sequence number. Returns that number; none if no packet is
    /// open.
    ///
    /// # Panics
    /// If `packet_len` is less than the content or more than the capacity.
    pub fn close(
        &mut self,
        closing: Closing<'_>,
        write_header: impl FnOnce(&mut [u8], u64),
    ) -> Option<u64> {
        let packet_len = closing.packet_len;
        let mut open = self.open.take()?;
        assert!(
            open.end <= packet_len && packet_len <= self.capacity,
            "a packet of {packet_len} bytes with {} of content, in {}",
            open.end,
            self.capacity
        );
        let packet = self.shared.sub_buffer_mut(&mut open.owned);
        // Bytes of an earlier packet must not show.
        packet.run.zero_at(open.end, packet_len - open.end);
        write_header(packet.run.header_mut(), open.position);
        packet.sequence = open.position;
        packet.content_len = open.end;
        packet.len = packet_len;
        packet.events = closing.events;
        packet.classes.clear();
        packet.classes.extend_from_slice(closing.classes);
        packet.discarded_before = closing.discarded_before;
        self.stats.packets += 1;
        self.stats.events += closing.events;
        Some(self.shared.table().commit(open.owned))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.table().positions.finalize();
    }
}
