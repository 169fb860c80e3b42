//! The packets of one stream file, one header after the other.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::trace::ctf::error::ReadError;
use crate::trace::ctf::packet::{PACKET_HEADER_LEN, PacketHeader};

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
pub(crate) struct Scanner {
    path: PathBuf,
    file: File,
    uuid: [u8; 16],
    /// Bytes of the file when it was opened; a recorder may still be at work.
    len: u64,
    /// Where the next packet starts.
    offset: u64,
    tail: Option<Tail>,
}

impl Scanner {
    pub(crate) fn open(path: &Path, uuid: [u8; 16]) -> Result<Self, ReadError> {
        let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
        let (len, file) = opened.map_err(|source| ReadError::Io {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            file,
            uuid,
            len,
            offset: 0,
            tail: None,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes of the file, or up to its tail where that has been found.
    pub(crate) const fn len(&self) -> u64 {
        self.len
    }

    /// Set once [`next`](Self::next) has come to the end of the file.
    pub(crate) const fn tail(&self) -> Option<&Tail> {
        self.tail.as_ref()
    }

    /// Where the next whole packet starts, and its header; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, PacketHeader)>, ReadError> {
        let offset = self.offset;
        let left = self.len - offset;
        if left == 0 {
            return Ok(None);
        }
        if left < PACKET_HEADER_LEN as u64 {
            return Ok(self.end_in_tail());
        }
        let mut bytes = [0; PACKET_HEADER_LEN];
        self.read_at(&mut bytes, offset)?;
        // a file system that lost its last writes in a crash shows zeros in their place
        if bytes == [0; PACKET_HEADER_LEN] && self.is_zero_from(offset)? {
            return Ok(self.end_in_tail());
        }
        let header = PacketHeader::parse(&bytes).map_err(|source| ReadError::Packet {
            path: self.path.clone(),
            offset,
            source,
        })?;
        if header.uuid != self.uuid {
            return Err(ReadError::ForeignPacket {
                path: self.path.clone(),
                offset,
            });
        }
        if header.packet_len() > left {
            return Ok(self.end_in_tail());
        }
        self.offset += header.packet_len();
        Ok(Some((offset, header)))
    }

    /// Fills `buffer` from byte `offset` of the file.
    pub(crate) fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), ReadError> {
        self.file
            .read_exact_at(buffer, offset)
            .map_err(|source| ReadError::Io {
                path: self.path.clone(),
                source,
            })
    }

    fn end_in_tail(&mut self) -> Option<(u64, PacketHeader)> {
        self.tail = Some(Tail {
            path: self.path.clone(),
            offset: self.offset,
            bytes: self.len - self.offset,
        });
        self.len = self.offset;
        None
    }

    fn is_zero_from(&self, mut offset: u64) -> Result<bool, ReadError> {
        let mut block = [0; 4096];
        while offset < self.len {
            let len = (self.len - offset).min(block.len() as u64) as usize;
            self.read_at(&mut block[..len], offset)?;
            if block[..len].iter().any(|&byte| byte != 0) {
                return Ok(false);
            }
            offset += len as u64;
        }
        Ok(true)
    }
}
