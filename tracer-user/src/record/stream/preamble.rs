//! What comes before the first packet of a file.

use std::io::{self, IoSlice};

use crate::sys::memory::PageBuffer;
use crate::sys::page_size;
use crate::trace::ctf::packet::{FIRST_EVENT_OFFSET, PacketHeader};

/// An empty packet without a loss.
///
/// Readers count a loss from one packet to the next (`events_discarded` is cumulative), and
/// cannot count one that the first packet of a stream reports. This packet before it gives them
/// something to count from.
#[derive(Debug)]
pub struct Preamble(PageBuffer);

impl Preamble {
    /// The packet that belongs before one with this header.
    ///
    /// # Errors
    /// If there is no memory.
    pub fn before(first: &PacketHeader) -> io::Result<Self> {
        let mut page = PageBuffer::new(page_size())?;
        PacketHeader {
            timestamp_end: first.timestamp_begin,
            content_bits: PacketHeader::content_bits_for(FIRST_EVENT_OFFSET),
            packet_bits: page.len() as u64 * 8,
            sequence: first.sequence.saturating_sub(1),
            events_discarded: 0,
            ..*first
        }
        .write_to(&mut page);
        Ok(Self(page))
    }

    /// Its bytes: a page.
    #[must_use]
    pub fn pieces(&self) -> [IoSlice<'_>; 1] {
        [IoSlice::new(&self.0)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_before_the_first_packet_and_reports_no_loss() {
        let first = PacketHeader {
            sequence: 7,
            events_discarded: 3,
            timestamp_begin: 10,
            timestamp_end: 20,
            cpu: 2,
            ..PacketHeader::default()
        };
        let preamble = Preamble::before(&first).unwrap();
        let header = PacketHeader::parse(&preamble.pieces()[0]).unwrap();
        assert_eq!(
            (header.sequence, header.events_discarded, header.cpu),
            (6, 0, 2)
        );
        assert_eq!((header.timestamp_begin, header.timestamp_end), (10, 10));
    }
}
