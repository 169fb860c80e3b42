//! Events in a packet.

use std::io::IoSlice;

use tracer_common::EventHeader;

use crate::trace::ctf::{FIRST_EVENT_OFFSET, PacketHeader};

/// How many events of classes below `below` there are in a packet with this header, whose
/// bytes are in these pieces of whole pages. Goes from event to event by their sizes.
pub(super) fn events(pieces: &[IoSlice<'_>], header: &PacketHeader, below: u32) -> u64 {
    let end = header.content_len() as usize;
    let mut offset = FIRST_EVENT_OFFSET;
    let mut count = 0;
    let mut class = 0;
    let mut start = 0;
    for piece in pieces {
        // A word is in one piece, as pieces and events begin at multiples of 8 bytes; the
        // class may be in the piece before that of the size.
        while offset < end {
            if let Some(word) = word_at(piece, offset + CLASS_OFFSET, start) {
                class = word;
            }
            let Some(size) = word_at(piece, offset + SIZE_OFFSET, start) else {
                break;
            };
            count += u64::from(class < below);
            offset += (size as usize).max(1).next_multiple_of(8);
        }
        start += piece.len();
    }
    count
}

const CLASS_OFFSET: usize = std::mem::offset_of!(EventHeader, class);
const SIZE_OFFSET: usize = std::mem::offset_of!(EventHeader, size);

/// The word at `offset` of the packet, if it is in `piece`, which begins at `start`.
fn word_at(piece: &[u8], offset: usize, start: usize) -> Option<u32> {
    let offset = offset.checked_sub(start)?;
    let bytes = piece.get(offset..offset + 4)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 4096;

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
