//! Packet headers: the first 84 bytes of each packet of a stream file.
//!
//! Packet header and packet context of CTF 1.8 §5, all fields packed and little-endian,
//! in the order and with the sizes that LTTng writes them, so that existing readers find
//! what they know. [`metadata`](super::metadata()) declares the same layout.
//!
//! # What a writer must set
//! - Events start at [`FIRST_EVENT_OFFSET`] and then at each multiple of 8 bytes.
//! - [`content_bits`](PacketHeader::content_bits) ends at the last byte of the last event
//!   **without** the padding after it: babeltrace2 parses any content after an event as
//!   another event. An event without fields still has all its 24 bytes (the
//!   empty payload is aligned to 64 bits, and readers step over the 4 bytes before it).
//! - The content of a packet without events ends with its header: see
//!   [`PacketHeader::content_bits_for`].
//! - `timestamp_end` is not before the last event, and time never goes back in a stream.

use thiserror::Error;

/// The first word of every packet (CTF 1.8 §5.1).
pub const MAGIC: u32 = 0xC1FC_1FC1;

/// Size in bytes of packet header and packet context.
pub const PACKET_HEADER_LEN: usize = 84;

/// Offset of the first event in a packet, in bytes: the end of the header, aligned for an
/// event header.
pub const FIRST_EVENT_OFFSET: usize = 88;

/// The largest packet size in bytes that the reader accepts.
pub const MAX_PACKET_LEN: u64 = 1 << 30;

/// Packet header and packet context.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketHeader {
    /// The trace's identity; the same in its metadata.
    pub uuid: [u8; 16],
    /// Always 0: all streams have the same layout.
    pub stream_id: u32,
    /// Number of the stream in the trace; the same in all its packets.
    pub stream_instance_id: u64,
    /// Not after the first event, in nanoseconds of the trace's clock.
    pub timestamp_begin: u64,
    /// Not before the last event, in nanoseconds of the trace's clock.
    pub timestamp_end: u64,
    /// Bits up to the end of the last event, this header included.
    pub content_bits: u64,
    /// Bits of the whole packet, padding included; a multiple of 8.
    pub packet_bits: u64,
    /// Sequence number of the packet in its stream; a gap means overwritten packets.
    pub sequence: u64,
    /// Events lost in this stream since recording started, up to the end of this packet.
    pub events_discarded: u64,
    /// The CPU that all events of the packet are from.
    pub cpu: u32,
}

/// Why a packet header is invalid.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum PacketError {
    /// Fewer bytes than a header.
    #[error("{0} bytes are too few for a packet header of {PACKET_HEADER_LEN}")]
    Short(usize),
    /// Not [`MAGIC`].
    #[error("a packet starts with `{MAGIC:#x}`, found `{0:#x}`")]
    Magic(u32),
    /// A stream that the metadata does not describe.
    #[error("a packet of stream class `{0}`, which the metadata does not describe")]
    Stream(u32),
    /// More content than packet, or less than the header.
    #[error("a packet of {packet_bits} bits cannot hold a content of {content_bits} bits")]
    Content {
        /// Claimed content in bits.
        content_bits: u64,
        /// Claimed size in bits.
        packet_bits: u64,
    },
    /// Not whole bytes, or larger than [`MAX_PACKET_LEN`].
    #[error("a packet cannot have {0} bits")]
    Size(u64),
}

impl PacketHeader {
    /// Content in bits of a packet whose last event ends at `end` bytes from its start
    /// (without the padding after it), or of an empty packet if that is not past
    /// [`FIRST_EVENT_OFFSET`].
    #[must_use]
    pub const fn content_bits_for(end: usize) -> u64 {
        if end <= FIRST_EVENT_OFFSET {
            PACKET_HEADER_LEN as u64 * 8
        } else {
            end as u64 * 8
        }
    }

    /// Size of the packet in bytes.
    #[must_use]
    pub const fn packet_len(&self) -> u64 {
        self.packet_bits / 8
    }

    /// Bytes that have content, header included; a part of a byte counts as one.
    #[must_use]
    pub const fn content_len(&self) -> u64 {
        self.content_bits.div_ceil(8)
    }

    /// Writes the header, and zeros up to the first event, to the start of `packet`.
    ///
    /// # Panics
    /// If `packet` is shorter than [`FIRST_EVENT_OFFSET`].
    pub fn write_to(&self, packet: &mut [u8]) {
        packet[..4].copy_from_slice(&MAGIC.to_le_bytes());
        packet[4..20].copy_from_slice(&self.uuid);
        packet[20..24].copy_from_slice(&self.stream_id.to_le_bytes());
        let words = [
            self.stream_instance_id,
            self.timestamp_begin,
            self.timestamp_end,
            self.content_bits,
            self.packet_bits,
            self.sequence,
            self.events_discarded,
        ];
        for (place, word) in packet[24..80].chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        packet[80..84].copy_from_slice(&self.cpu.to_le_bytes());
        packet[PACKET_HEADER_LEN..FIRST_EVENT_OFFSET].fill(0);
    }

    /// Reads the header at the start of `bytes`.
    ///
    /// # Errors
    /// If `bytes` do not start with a packet header whose sizes are plausible. Whether the
    /// packet is there as a whole is the caller's to check, as is its `uuid`.
    pub fn parse(bytes: &[u8]) -> Result<Self, PacketError> {
        let Some(bytes) = bytes.first_chunk::<PACKET_HEADER_LEN>() else {
            return Err(PacketError::Short(bytes.len()));
        };
        let u32_at = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&bytes[4..20]);
        let header = Self {
            uuid,
            stream_id: u32_at(20),
            stream_instance_id: u64_at(24),
            timestamp_begin: u64_at(32),
            timestamp_end: u64_at(40),
            content_bits: u64_at(48),
            packet_bits: u64_at(56),
            sequence: u64_at(64),
            events_discarded: u64_at(72),
            cpu: u32_at(80),
        };
        if u32_at(0) != MAGIC {
            return Err(PacketError::Magic(u32_at(0)));
        }
        if header.stream_id != 0 {
            return Err(PacketError::Stream(header.stream_id));
        }
        if !header.packet_bits.is_multiple_of(8) || header.packet_len() > MAX_PACKET_LEN {
            return Err(PacketError::Size(header.packet_bits));
        }
        if header.content_bits > header.packet_bits
            || header.content_bits < PACKET_HEADER_LEN as u64 * 8
        {
            return Err(PacketError::Content {
                content_bits: header.content_bits,
                packet_bits: header.packet_bits,
            });
        }
        Ok(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> PacketHeader {
        PacketHeader {
            uuid: *b"0123456789abcdef",
            stream_id: 0,
            stream_instance_id: 3,
            timestamp_begin: 0x0102_0304_0506_0708,
            timestamp_end: u64::MAX,
            content_bits: 100 * 8,
            packet_bits: 4096 * 8,
            sequence: 7,
            events_discarded: 9,
            cpu: 3,
        }
    }

    fn bytes(header: &PacketHeader) -> [u8; FIRST_EVENT_OFFSET] {
        let mut bytes = [0xff; FIRST_EVENT_OFFSET];
        header.write_to(&mut bytes);
        bytes
    }

    #[test]
    fn a_written_header_reads_back() {
        assert_eq!(PacketHeader::parse(&bytes(&header())), Ok(header()));
    }

    #[test]
    fn the_gap_before_the_first_event_is_zeroed() {
        assert_eq!(bytes(&header())[PACKET_HEADER_LEN..], [0; 4]);
    }

    #[test]
    fn wrong_magic_is_refused() {
        let mut bytes = bytes(&header());
        bytes[0] = 0;
        assert!(matches!(
            PacketHeader::parse(&bytes),
            Err(PacketError::Magic(_))
        ));
    }

    #[test]
    fn content_larger_than_the_packet_is_refused() {
        let wrong = PacketHeader {
            content_bits: 4097 * 8,
            ..header()
        };
        assert!(matches!(
            PacketHeader::parse(&bytes(&wrong)),
            Err(PacketError::Content { .. })
        ));
    }

    #[test]
    fn an_absurd_size_is_refused() {
        let wrong = PacketHeader {
            packet_bits: u64::MAX - 7,
            ..header()
        };
        assert!(matches!(
            PacketHeader::parse(&bytes(&wrong)),
            Err(PacketError::Size(_))
        ));
    }

    #[test]
    fn too_few_bytes_are_refused() {
        assert_eq!(
            PacketHeader::parse(&bytes(&header())[..83]),
            Err(PacketError::Short(83))
        );
    }

    #[test]
    fn an_empty_packet_has_no_content_after_its_header() {
        assert_eq!(PacketHeader::content_bits_for(FIRST_EVENT_OFFSET), 84 * 8);
        assert_eq!(
            PacketHeader::content_bits_for(FIRST_EVENT_OFFSET + 24),
            112 * 8
        );
    }
}
