//! The packets of one stream file, one header after the other.

use std::fs;
use std::path::{Path, PathBuf};

use crate::trace::ctf::error::ReadError;
use crate::trace::ctf::index::{self, IndexEntry};
use crate::trace::ctf::layout::Layout;
use crate::trace::ctf::map::Map;
use crate::trace::ctf::packets::{self, NoPacket, Packet};

/// Bytes at the end of a stream file that are not a whole packet: what a recorder leaves
/// that was killed while it wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The stream file.
    pub path: PathBuf,
    /// Where the last whole packet ends, in bytes.
    pub offset: u64,
    /// How many bytes follow.
    pub bytes: u64,
}

/// Walks over a stream file.
#[derive(Debug)]
pub(crate) struct Scanner<'t> {
    path: PathBuf,
    layout: &'t Layout,
    /// The file as it was when it was opened; a recorder may still be at work.
    map: Map,
    /// Bytes of the file, or up to its tail once that has been found.
    len: usize,
    /// Where the next packet starts.
    offset: usize,
    /// Up to here, memory was let go.
    released: usize,
    tail: Option<Tail>,
}

/// Memory of a file is let go in pieces of this many bytes.
const RELEASE_LEN: usize = 4 << 20;

impl<'t> Scanner<'t> {
    pub(crate) fn open(path: &Path, layout: &'t Layout) -> Result<Self, ReadError> {
        let map = Map::open(path).map_err(|cause| ReadError::Io {
            path: path.to_owned(),
            cause,
        })?;
        Ok(Self {
            path: path.to_owned(),
            layout,
            len: map.len(),
            map,
            offset: 0,
            released: 0,
            tail: None,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) const fn layout(&self) -> &'t Layout {
        self.layout
    }

    pub(crate) const fn offset(&self) -> u64 {
        self.offset as u64
    }

    /// Bytes of the file, or up to its tail once that has been found.
    pub(crate) const fn len(&self) -> u64 {
        self.len as u64
    }

    /// Passes over the rest of the file.
    pub(crate) fn end(&mut self) {
        self.offset = self.len;
    }

    /// Set once [`next`](Self::next) has reached the end of the file.
    pub(crate) const fn tail(&self) -> Option<&Tail> {
        self.tail.as_ref()
    }

    /// Where the next whole packet starts, and its header; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, Packet)>, ReadError> {
        let rest = &self.map[self.offset..self.len];
        if rest.is_empty() {
            return Ok(None);
        }
        let offset = self.offset as u64;
        match packets::parse(self.layout, rest) {
            Ok(packet) => {
                self.offset += packet.header.packet_len() as usize;
                Ok(Some((offset, packet)))
            }
            Err(NoPacket::Torn) => Ok(self.end_in_tail()),
            // a file system that lost its last writes in a crash shows zeros in their place
            Err(_) if rest.iter().all(|&byte| byte == 0) => Ok(self.end_in_tail()),
            Err(NoPacket::Foreign) => Err(ReadError::ForeignPacket {
                path: self.path.clone(),
                offset,
            }),
            Err(NoPacket::Wrong(cause)) => Err(ReadError::Packet {
                path: self.path.clone(),
                offset,
                cause,
            }),
        }
    }

    /// Goes to the first packet that ends at `from_ns` or later, if the file has an index;
    /// returns the packet before it as the index has it. Without an index, or with one that
    /// does not fit, it stays at the start.
    pub(crate) fn seek(&mut self, from_ns: u64) -> Option<IndexEntry> {
        let index = fs::read(index::path_of(&self.path)).ok()?;
        let entries = index::parse(&index).ok()?;
        let class = self.layout.stream(Some(entries.first()?.stream_id))?;
        let time = self.layout.streams[class].time;
        let first = entries.partition_point(|entry| time.ns(entry.timestamp_end) < from_ns);
        // the recorder may have written more packets since
        let first = first.min(entries.len() - 1);
        let (before, entry) = (entries.get(first.checked_sub(1)?)?, &entries[first]);
        let offset = usize::try_from(entry.offset).ok()?;
        let packet = packets::parse(self.layout, self.map.get(offset..self.len)?).ok()?;
        if IndexEntry::new(entry.offset, &packet.header) != *entry {
            return None;
        }
        self.offset = offset;
        Some(*before)
    }

    /// The bytes from `offset` on, not more than `len`.
    #[inline]
    pub(crate) fn bytes(&self, offset: usize, len: usize) -> &[u8] {
        let rest = self.map.get(offset..).unwrap_or_default();
        rest.get(..len).unwrap_or(rest)
    }

    /// Lets go of the memory of what lies before the packet at `offset`, now and then.
    pub(crate) fn release_before(&mut self, offset: u64) {
        let end = offset as usize / RELEASE_LEN * RELEASE_LEN;
        if end > self.released {
            self.map.release(self.released, end);
            self.released = end;
        }
    }

    fn end_in_tail(&mut self) -> Option<(u64, Packet)> {
        self.tail = Some(Tail {
            path: self.path.clone(),
            offset: self.offset as u64,
            bytes: (self.len - self.offset) as u64,
        });
        self.len = self.offset;
        None
    }
}
