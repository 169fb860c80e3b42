//! The index of a stream: the offsets of its packets and the times they cover.
//!
//! The format is that of LTTng (`ctf-index.h` of lttng-tools), version 1.1, all numbers
//! big-endian: a header of four 32-bit numbers (magic, major, minor, bytes of an entry),
//! then for each packet an entry of nine 64-bit numbers. The index of the stream `NAME` is
//! `index/NAME.idx` in the folder of the trace. It is optional;
//! Trace Compass and babeltrace2 open large traces faster with it, and warn if it does not
//! cover the whole stream file.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::trace::ctf::packet::PacketHeader;

/// Name of the folder of indexes in the folder of a trace.
pub const FOLDER_NAME: &str = "index";

/// The suffix of an index file, after the name of its stream.
pub const SUFFIX: &str = ".idx";

/// The first word of every index.
pub const MAGIC: u32 = 0xC1F1_DCC1;

/// Size in bytes of the header.
pub const HEADER_LEN: usize = 16;

/// Size in bytes of an entry.
pub const ENTRY_LEN: usize = 72;

const MAJOR: u32 = 1;
const MINOR: u32 = 1;

/// The header of every index.
#[must_use]
pub fn header() -> [u8; HEADER_LEN] {
    let mut bytes = [0; HEADER_LEN];
    let words = [MAGIC, MAJOR, MINOR, ENTRY_LEN as u32];
    for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_be_bytes());
    }
    bytes
}

/// One packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IndexEntry {
    /// Offset in the stream file, in bytes.
    pub offset: u64,
    /// Size of the packet in bits.
    pub packet_bits: u64,
    /// Size of its content in bits.
    pub content_bits: u64,
    /// Start of the packet, in ticks of the trace's clock.
    pub timestamp_begin: u64,
    /// End of the packet, in ticks of the trace's clock.
    pub timestamp_end: u64,
    /// Events lost in the stream up to its end.
    pub events_discarded: u64,
    /// Id of the stream class.
    pub stream_id: u64,
    /// Number of the stream in the trace.
    pub stream_instance_id: u64,
    /// Sequence number of the packet in its stream.
    pub sequence: u64,
}

/// Why an index cannot be parsed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum IndexError {
    /// Another header.
    #[error("it does not have the header of an index of version {MAJOR}.{MINOR}")]
    Header,
    /// The last entry is truncated.
    #[error("its last entry is truncated to {0} of {ENTRY_LEN} bytes")]
    Torn(usize),
}

impl IndexEntry {
    /// The entry of a packet that starts at `offset`.
    #[must_use]
    pub fn new(offset: u64, packet: &PacketHeader) -> Self {
        Self {
            offset,
            packet_bits: packet.packet_bits,
            content_bits: packet.content_bits,
            timestamp_begin: packet.timestamp_begin,
            timestamp_end: packet.timestamp_end,
            events_discarded: packet.events_discarded,
            stream_id: u64::from(packet.stream_id),
            stream_instance_id: packet.stream_instance_id,
            sequence: packet.sequence,
        }
    }

    /// The entry as stored in the file.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; ENTRY_LEN] {
        let words = [
            self.offset,
            self.packet_bits,
            self.content_bits,
            self.timestamp_begin,
            self.timestamp_end,
            self.events_discarded,
            self.stream_id,
            self.stream_instance_id,
            self.sequence,
        ];
        let mut bytes = [0; ENTRY_LEN];
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        let word = |index: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[index * 8..index * 8 + 8]);
            u64::from_be_bytes(word)
        };
        Self {
            offset: word(0),
            packet_bits: word(1),
            content_bits: word(2),
            timestamp_begin: word(3),
            timestamp_end: word(4),
            events_discarded: word(5),
            stream_id: word(6),
            stream_instance_id: word(7),
            sequence: word(8),
        }
    }
}

/// The path of the index of a stream file.
#[must_use]
pub fn path_of(stream: &Path) -> PathBuf {
    let mut name = stream.file_name().unwrap_or_default().to_owned();
    name.push(SUFFIX);
    stream.with_file_name(FOLDER_NAME).join(name)
}

/// Parses the content of an index.
pub fn parse(bytes: &[u8]) -> Result<Vec<IndexEntry>, IndexError> {
    let entries = bytes
        .strip_prefix(header().as_slice())
        .ok_or(IndexError::Header)?
        .chunks_exact(ENTRY_LEN);
    match entries.remainder().len() {
        0 => Ok(entries.map(IndexEntry::from_bytes).collect()),
        torn => Err(IndexError::Torn(torn)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> IndexEntry {
        IndexEntry {
            offset: 4096,
            packet_bits: 32768,
            content_bits: 800,
            timestamp_begin: 5,
            timestamp_end: 6,
            events_discarded: 7,
            stream_id: 0,
            stream_instance_id: 3,
            sequence: 9,
        }
    }

    #[test]
    fn the_header_is_that_of_lttng() {
        let expected = [0xc1, 0xf1, 0xdc, 0xc1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 72];
        assert_eq!(header(), expected);
    }

    #[test]
    fn numbers_are_big_endian_in_their_order() {
        let bytes = entry().to_bytes();
        assert_eq!(
            bytes[..16],
            [0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 128, 0]
        );
        assert_eq!(
            bytes[56..],
            [0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 9]
        );
    }

    #[test]
    fn what_was_written_reads_back() {
        let mut bytes = header().to_vec();
        bytes.extend(entry().to_bytes());
        bytes.extend(IndexEntry::default().to_bytes());
        assert_eq!(parse(&bytes), Ok(vec![entry(), IndexEntry::default()]));
    }

    #[test]
    fn other_bytes_and_torn_entries_are_refused() {
        assert_eq!(parse(b"index"), Err(IndexError::Header));
        let mut bytes = header().to_vec();
        bytes.extend(&entry().to_bytes()[..71]);
        assert_eq!(parse(&bytes), Err(IndexError::Torn(71)));
    }
}
