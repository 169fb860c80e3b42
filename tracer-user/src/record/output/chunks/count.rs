//! Events in a packet.

use std::io::IoSlice;

use crate::record::stream::events::for_each_event;
use crate::trace::ctf::{FIRST_EVENT_OFFSET, PacketHeader};

/// How many events of classes below `below` there are in a packet with this header.
pub(super) fn events(pieces: &[IoSlice<'_>], header: &PacketHeader, below: u32) -> u64 {
    let mut count = 0;
    let content = FIRST_EVENT_OFFSET..header.content_len() as usize;
    for_each_event(pieces, content, |event, _| {
        count += u64::from(event.class < below);
    });
    count
}

#[cfg(test)]
mod tests {
    use tracer_common::EventHeader;

    use super::*;

    const PAGE: usize = 4096;
    const SIZE_OFFSET: usize = std::mem::offset_of!(EventHeader, size);

    /// The events of class 0 in a packet of events of these sizes, in pieces of a page.
    fn counted(sizes: &[usize]) -> u64 {
        counted_below(sizes, 1)
    }

    fn counted_below(sizes: &[usize], below: u32) -> u64 {
        let mut packet = vec![0; FIRST_EVENT_OFFSET];
        let mut end = 0;
        for size in sizes {
            let start = packet.len();
            end = start + size;
            packet.resize(end.next_multiple_of(8), 0);
            packet[start + SIZE_OFFSET..start + SIZE_OFFSET + 4]
                .copy_from_slice(&(*size as u32).to_le_bytes());
        }
        packet.resize(packet.len().next_multiple_of(PAGE), 0);
        let header = PacketHeader {
            content_bits: PacketHeader::content_bits_for(end),
            ..PacketHeader::default()
        };
        let pieces: Vec<IoSlice<'_>> = packet.chunks(PAGE).map(IoSlice::new).collect();
        events(&pieces, &header, below)
    }

    #[test]
    fn an_empty_packet_has_none() {
        assert_eq!(counted(&[]), 0);
    }

    #[test]
    fn events_of_other_classes_are_not_counted() {
        assert_eq!(counted_below(&vec![24; 1000], 0), 0);
    }

    #[test]
    fn events_are_counted_over_the_borders_of_pieces() {
        for size in [24, 25, 32, 4000, 9001] {
            assert_eq!(counted(&vec![size; 1000]), 1000, "{size}");
        }
    }
}
