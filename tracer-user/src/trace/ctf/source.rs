//! Metadata streams: text or JSON, plain or in packets.

use std::path::Path;

use crate::trace::ctf::error::ReadError;
use crate::trace::ctf::schema::Document;
use crate::trace::ctf::{json, tsdl};

/// The first word of every metadata packet (CTF 1.8 §7.1), in either byte order.
const PACKET_MAGIC: u32 = 0x75D1_1D57;

/// Bytes of the header of a packet: magic, uuid, checksum, sizes of content and packet in
/// bits, compression, encryption, checksum scheme, version.
const PACKET_HEADER_LEN: usize = 37;

/// Parses the content of a metadata file. Errors name `path`.
///
/// # Errors
/// If it is not metadata, or not of a version that is supported.
pub(crate) fn parse(bytes: &[u8], path: &Path) -> Result<Document, ReadError> {
    let not_metadata = |what| ReadError::NotMetadata {
        path: path.to_owned(),
        what,
    };
    if bytes.is_empty() {
        return Err(ReadError::EmptyMetadata(path.to_owned()));
    }
    let unpacked = unpack(bytes).map_err(not_metadata)?;
    let bytes = unpacked.as_deref().unwrap_or(bytes);
    if bytes.first() == Some(&json::SEPARATOR) {
        return json::parse(bytes).map_err(|cause| ReadError::Json {
            path: path.to_owned(),
            cause,
        });
    }
    let text = std::str::from_utf8(bytes).map_err(|_| not_metadata("it is not UTF-8 text"))?;
    if unpacked.is_none() && !text.starts_with("/* CTF 1.8") {
        return Err(not_metadata(
            "it starts neither with `/* CTF 1.8 */` nor with a fragment of CTF 2",
        ));
    }
    tsdl::parse(text).map_err(|cause| ReadError::Metadata {
        path: path.to_owned(),
        cause,
    })
}

/// The concatenated content of all packets; `None` if the metadata is not in packets.
fn unpack(bytes: &[u8]) -> Result<Option<Vec<u8>>, &'static str> {
    let first = bytes.first_chunk().copied().unwrap_or_default();
    let big_endian = match u32::from_le_bytes(first) {
        PACKET_MAGIC => false,
        magic if magic.swap_bytes() == PACKET_MAGIC => true,
        _ => return Ok(None),
    };
    let mut content = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while !rest.is_empty() {
        let header: &[u8; PACKET_HEADER_LEN] =
            rest.first_chunk().ok_or("its last packet is truncated")?;
        let number = |at: usize| {
            let word = [header[at], header[at + 1], header[at + 2], header[at + 3]];
            if big_endian {
                u32::from_be_bytes(word)
            } else {
                u32::from_le_bytes(word)
            }
        };
        if number(0) != PACKET_MAGIC {
            return Err("one of its packets does not start with the magic number");
        }
        let (content_bits, packet_bits) = (number(24) as usize, number(28) as usize);
        let [compression, encryption, ..] = header[32..] else {
            return Err("its last packet is truncated");
        };
        if compression != 0 || encryption != 0 {
            return Err("it is compressed or encrypted, which is not supported");
        }
        let (end, next) = (content_bits / 8, packet_bits / 8);
        if end < PACKET_HEADER_LEN || end > next {
            return Err("the sizes of one of its packets are impossible");
        }
        let packet = rest.get(..next).ok_or("its last packet is truncated")?;
        content.extend_from_slice(&packet[PACKET_HEADER_LEN..end]);
        rest = &rest[next..];
    }
    Ok(Some(content))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(content: &[u8], padding: usize, big_endian: bool) -> Vec<u8> {
        let word = |word: u32| {
            if big_endian {
                word.to_be_bytes()
            } else {
                word.to_le_bytes()
            }
        };
        let content_len = (PACKET_HEADER_LEN + content.len()) as u32;
        let mut packet = word(PACKET_MAGIC).to_vec();
        packet.extend([0; 20]);
        packet.extend(word(content_len * 8));
        packet.extend(word((content_len + padding as u32) * 8));
        packet.extend([0, 0, 0, 1, 8]);
        packet.extend(content);
        packet.resize(packet.len() + padding, 0);
        packet
    }

    #[test]
    fn the_contents_of_packets_are_joined() {
        for big_endian in [false, true] {
            let bytes = [
                packet(b"trace {", 5, big_endian),
                packet(b"}", 0, big_endian),
            ]
            .concat();
            assert_eq!(unpack(&bytes), Ok(Some(b"trace {}".to_vec())));
        }
        assert_eq!(unpack(b"/* CTF 1.8 */"), Ok(None));
    }

    #[test]
    fn damaged_packets_are_refused() {
        let whole = packet(b"trace {}", 5, false);
        for end in 4..whole.len() {
            assert!(unpack(&whole[..end]).is_err(), "{end}");
        }
        let mut absurd = whole.clone();
        absurd[28..32].fill(0);
        assert!(unpack(&absurd).is_err());
        let mut compressed = whole;
        compressed[32] = 1;
        assert!(unpack(&compressed).is_err());
    }
}
