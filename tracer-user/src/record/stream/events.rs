//! Going from event to event in a packet, by the sizes in their headers.

use std::io::IoSlice;
use std::ops::Range;

use tracer_common::{EVENT_HEADER_LEN, EventHeader};

use crate::record::subbuf::EVENT_ALIGN;

/// Calls `each` for the events in `range` of a packet: their headers, and a way to get at their
/// bytes. `pieces` are the bytes of the packet, in order; an event may cross from one to the
/// next. Stops at bytes that are not an event.
pub(crate) fn for_each_event(
    pieces: &[IoSlice<'_>],
    range: Range<usize>,
    mut each: impl FnMut(&EventHeader, &mut EventBytes<'_>),
) {
    let mut bytes = EventBytes {
        pieces,
        piece_start: 0,
        event: range.start..range.start,
        copy: Vec::new(),
    };
    let mut offset = range.start.next_multiple_of(EVENT_ALIGN);
    while offset + EVENT_HEADER_LEN <= range.end {
        bytes.event = offset..offset + EVENT_HEADER_LEN;
        let header = bytes.get().and_then(EventHeader::read);
        let Some(header) = header.filter(|header| header.size as usize >= EVENT_HEADER_LEN) else {
            return;
        };
        bytes.event = offset..(offset + header.size as usize).min(range.end);
        each(&header, &mut bytes);
        offset = (offset + header.size as usize).next_multiple_of(EVENT_ALIGN);
    }
}

/// The bytes of one event.
pub(crate) struct EventBytes<'a> {
    /// From the one in which the event begins.
    pieces: &'a [IoSlice<'a>],
    /// Where that one starts in the packet.
    piece_start: usize,
    event: Range<usize>,
    /// Of an event that crosses pieces.
    copy: Vec<u8>,
}

impl EventBytes<'_> {
    /// The event, header included, in one piece; none if the packet has fewer bytes.
    pub(crate) fn get(&mut self) -> Option<&[u8]> {
        while let Some(piece) = self.pieces.first()
            && self.event.start >= self.piece_start + piece.len()
        {
            self.piece_start += piece.len();
            self.pieces = &self.pieces[1..];
        }
        let start = self.event.start - self.piece_start;
        let len = self.event.len();
        let (first, rest) = self.pieces.split_first()?;
        if start + len <= first.len() {
            return first.get(start..start + len);
        }
        self.copy.clear();
        self.copy.extend_from_slice(&first[start..]);
        for piece in rest {
            let missing = len - self.copy.len();
            self.copy.extend(piece.iter().take(missing));
        }
        (self.copy.len() == len).then_some(&self.copy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Events of these sizes, the bytes after each header being its number.
    fn packet(sizes: &[usize]) -> Vec<u8> {
        let mut packet = Vec::new();
        for (number, size) in sizes.iter().enumerate() {
            packet.resize(packet.len().next_multiple_of(EVENT_ALIGN), 0);
            let header = packet.len();
            packet.resize(header + size, number as u8);
            packet[header..header + EVENT_HEADER_LEN].fill(0);
            packet[header + 20..header + 24].copy_from_slice(&(*size as u32).to_ne_bytes());
        }
        packet
    }

    #[test]
    fn events_are_whole_across_pieces() {
        let sizes = [24, 25, 100, 31, 4000, 24, 57];
        let packet = packet(&sizes);
        for piece in [8, 16, 64, 4096, 8192] {
            let pieces: Vec<IoSlice<'_>> = packet.chunks(piece).map(IoSlice::new).collect();
            let mut found = Vec::new();
            for_each_event(&pieces, 0..packet.len(), |header, bytes| {
                let bytes = bytes.get().unwrap();
                assert_eq!(bytes.len(), header.size as usize);
                let number = found.len() as u8;
                assert!(bytes[EVENT_HEADER_LEN..].iter().all(|byte| *byte == number));
                found.push(bytes.len());
            });
            assert_eq!(found, sizes, "pieces of {piece}");
        }
    }

    #[test]
    fn a_range_begins_at_an_event() {
        let packet = packet(&[24, 24, 32]);
        let mut sizes = Vec::new();
        for_each_event(&[IoSlice::new(&packet)], 24..packet.len(), |header, _| {
            sizes.push(header.size);
        });
        assert_eq!(sizes, [24, 32]);
    }

    #[test]
    fn zeros_are_not_an_event() {
        let packet = vec![0; 4096];
        for_each_event(&[IoSlice::new(&packet)], 0..4096, |_, _| panic!("an event"));
    }
}
