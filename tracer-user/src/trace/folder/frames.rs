//! A whole trace on a pipe or a connection: frames, each a header of [`HEADER_LEN`] bytes
//! and a body.
//!
//! A trace is a folder of files that grow at the same time; a pipe has one end. So the
//! parts come one after the other, in any order but that the metadata is first:
//!
//! | bytes | of the header, little-endian |
//! |---|---|
//! | 0–3 | [`MAGIC`] |
//! | 4–5 | version, 1 |
//! | 6–7 | kind: 1 metadata, 2 packet, 3 names of threads, 4 end, 5 functions of the kernel, 6 mappings of processes |
//! | 8–15 | of a packet: the number of its stream; else 0 |
//! | 16–23 | bytes of the body |
//!
//! A packet is a whole packet of CTF as it would be in the file of its stream, metadata is
//! text, names of threads are whole lines of [`tasks`], functions of the kernel of
//! [`kallsyms`], mappings of [`mappings`]. The end has no body; a pipe that
//! closes without it had a writer that was interrupted.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::trace::ctf::packet::MAX_PACKET_LEN;
use crate::trace::sidecar::{kallsyms, mappings, tasks};

/// The first bytes of every frame.
pub const MAGIC: [u8; 4] = *b"CTF|";

/// Size in bytes of the header of a frame.
pub const HEADER_LEN: usize = 24;

const VERSION: u16 = 1;

/// What the body of a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The metadata, as text.
    Metadata,
    /// A packet of the stream of this number.
    Packet(u64),
    /// Lines of names of threads.
    Tasks,
    /// Lines of functions of the kernel.
    KernelSymbols,
    /// Lines of mappings of processes.
    Mappings,
    /// Empty: the trace is complete.
    End,
}

/// Why a trace on a pipe cannot be read or stored.
#[derive(Debug, Error)]
pub enum FrameError {
    /// No frame, or none of this version.
    #[error(
        "byte {offset} of the input is not the start of a frame; pipe `tracer record -o -` into this"
    )]
    Header {
        /// Bytes from the start of the input.
        offset: u64,
    },
    /// No metadata before the end.
    #[error("the input is empty: the recorder ended before it wrote anything")]
    Empty,
    /// The input cannot be read.
    #[error("cannot read the input after {offset} bytes: {cause}")]
    Read {
        /// Bytes from the start of the input.
        offset: u64,
        /// Why.
        cause: io::Error,
    },
    /// A file of the trace cannot be written.
    #[error("cannot write `{}`: {cause}; set TMPDIR to a folder with more space", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
}

impl Frame {
    /// The header of such a frame with a body of `len` bytes.
    #[must_use]
    pub fn header(self, len: u64) -> [u8; HEADER_LEN] {
        let (kind, stream) = match self {
            Self::Metadata => (1_u16, 0),
            Self::Packet(stream) => (2, stream),
            Self::Tasks => (3, 0),
            Self::End => (4, 0),
            Self::KernelSymbols => (5, 0),
            Self::Mappings => (6, 0),
        };
        let mut bytes = [0; HEADER_LEN];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..6].copy_from_slice(&VERSION.to_le_bytes());
        bytes[6..8].copy_from_slice(&kind.to_le_bytes());
        bytes[8..16].copy_from_slice(&stream.to_le_bytes());
        bytes[16..].copy_from_slice(&len.to_le_bytes());
        bytes
    }

    /// Reads a header: what follows, and how many bytes of it. `None` for other bytes.
    #[must_use]
    pub fn parse(bytes: &[u8; HEADER_LEN]) -> Option<(Self, u64)> {
        let u16_at = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let u64_at = |at: usize| {
            u64::from(u16_at(at))
                | u64::from(u16_at(at + 2)) << 16
                | u64::from(u16_at(at + 4)) << 32
                | u64::from(u16_at(at + 6)) << 48
        };
        let (stream, len) = (u64_at(8), u64_at(16));
        if bytes[..4] != MAGIC || u16_at(4) != VERSION || len > MAX_PACKET_LEN {
            return None;
        }
        let frame = match u16_at(6) {
            1 => Self::Metadata,
            2 => Self::Packet(stream),
            3 => Self::Tasks,
            4 => Self::End,
            5 => Self::KernelSymbols,
            6 => Self::Mappings,
            _ => return None,
        };
        Some((frame, len))
    }
}

/// The result of [`unpack`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Complete packets.
    pub packets: u64,
    /// Bytes of an incomplete last frame, which was discarded.
    pub torn_bytes: u64,
    /// Whether the writer ended the trace.
    pub complete: bool,
}

/// Reads all frames and writes the trace to the folder `dir`, which must be empty. An incomplete
/// last frame is discarded, so that the trace has complete packets only.
///
/// # Errors
/// If `input` is not a trace, or cannot be read, or if `dir` cannot be written.
pub fn unpack(input: &mut impl Read, dir: &Path) -> Result<Unpacked, FrameError> {
    let mut unpacked = Unpacked::default();
    let mut files = Files {
        dir,
        open: HashMap::new(),
    };
    let mut offset = 0;
    let mut has_metadata = false;
    let mut body = Vec::new();
    loop {
        let mut read = |what: &mut Vec<u8>, len: u64| {
            what.clear();
            // Memory is taken for what comes, not for what is announced.
            let count = input.by_ref().take(len).read_to_end(what);
            let count = count.map_err(|cause| FrameError::Read { offset, cause })?;
            Ok(count as u64 == len)
        };
        let whole = read(&mut body, HEADER_LEN as u64)?;
        if !whole {
            unpacked.torn_bytes = body.len() as u64;
            break;
        }
        let header = body.first_chunk().and_then(Frame::parse);
        let (frame, len) = header
            .filter(|(frame, _)| has_metadata || *frame == Frame::Metadata)
            .ok_or(FrameError::Header { offset })?;
        if !read(&mut body, len)? {
            unpacked.torn_bytes = (HEADER_LEN + body.len()) as u64;
            break;
        }
        offset += HEADER_LEN as u64 + len;
        match frame {
            Frame::Metadata => {
                has_metadata = true;
                files.append("metadata".to_owned(), &body)?;
            }
            Frame::Packet(stream) => {
                unpacked.packets += 1;
                files.append(format!("channel0_{stream}"), &body)?;
            }
            Frame::Tasks => files.append(tasks::FILE_NAME.to_owned(), &body)?,
            Frame::KernelSymbols => files.append(kallsyms::FILE_NAME.to_owned(), &body)?,
            Frame::Mappings => files.append(mappings::FILE_NAME.to_owned(), &body)?,
            Frame::End => {
                unpacked.complete = true;
                break;
            }
        }
    }
    if has_metadata {
        Ok(unpacked)
    } else if unpacked.torn_bytes == 0 {
        Err(FrameError::Empty)
    } else {
        Err(FrameError::Header { offset })
    }
}

/// Files of the trace that is written.
struct Files<'a> {
    dir: &'a Path,
    open: HashMap<String, File>,
}

impl Files<'_> {
    fn append(&mut self, name: String, bytes: &[u8]) -> Result<(), FrameError> {
        let path = self.dir.join(&name);
        self.file(name, &path)
            .and_then(|file| file.write_all(bytes))
            .map_err(|cause| FrameError::Write { path, cause })
    }

    fn file(&mut self, name: String, path: &Path) -> io::Result<&mut File> {
        use std::collections::hash_map::Entry;
        Ok(match self.open.entry(name) {
            Entry::Occupied(file) => file.into_mut(),
            Entry::Vacant(place) => place.insert(
                OpenOptions::new()
                    .append(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(path)?,
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(frame: Frame, body: &[u8]) -> Vec<u8> {
        [&frame.header(body.len() as u64), body].concat()
    }

    fn trace() -> Vec<u8> {
        [
            frame(Frame::Metadata, b"/* CTF 1.8 */"),
            frame(Frame::Packet(1), b"first of 1"),
            frame(Frame::Tasks, b"1 2 x\n"),
            frame(Frame::Packet(0), b"first of 0"),
            frame(Frame::KernelSymbols, b"1 t x\n"),
            frame(Frame::Mappings, b"1 2 new\n"),
            frame(Frame::Packet(1), b", second of 1"),
            frame(Frame::Tasks, b"1 3 y\n"),
            frame(Frame::End, b""),
        ]
        .concat()
    }

    fn unpacked(mut input: &[u8]) -> (tempfile::TempDir, Result<Unpacked, FrameError>) {
        let dir = tempfile::tempdir().unwrap();
        let result = unpack(&mut input, dir.path());
        (dir, result)
    }

    #[test]
    fn a_header_reads_back() {
        for frame in [
            Frame::Metadata,
            Frame::Packet(0x0102_0304_0506_0708),
            Frame::Tasks,
            Frame::End,
            Frame::KernelSymbols,
            Frame::Mappings,
        ] {
            assert_eq!(Frame::parse(&frame.header(77)), Some((frame, 77)));
        }
    }

    #[test]
    fn the_files_of_a_trace_come_out() {
        let (dir, result) = unpacked(&trace());
        let expected = Unpacked {
            packets: 3,
            torn_bytes: 0,
            complete: true,
        };
        assert_eq!(result.unwrap(), expected);
        let read = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
        assert_eq!(read("metadata"), b"/* CTF 1.8 */");
        assert_eq!(read("channel0_1"), b"first of 1, second of 1");
        assert_eq!(read("channel0_0"), b"first of 0");
        assert_eq!(read(tasks::FILE_NAME), b"1 2 x\n1 3 y\n");
        assert_eq!(read(kallsyms::FILE_NAME), b"1 t x\n");
        assert_eq!(read(mappings::FILE_NAME), b"1 2 new\n");
    }

    #[test]
    fn wherever_a_pipe_breaks_whole_packets_are_kept() {
        let bytes = trace();
        for end in (HEADER_LEN + 13)..bytes.len() {
            let (dir, result) = unpacked(&bytes[..end]);
            let result = result.unwrap();
            assert!(!result.complete, "{end}");
            let stream = std::fs::read(dir.path().join("channel0_1")).unwrap_or_default();
            let whole: [&[u8]; 3] = [b"", b"first of 1", b"first of 1, second of 1"];
            assert!(whole.contains(&stream.as_slice()), "{end}");
        }
    }

    #[test]
    fn other_input_is_refused_at_its_place() {
        let (_dir, result) = unpacked(b"this is a text, and not the trace that was asked for");
        assert!(matches!(result, Err(FrameError::Header { offset: 0 })));
        let mut bytes = trace();
        bytes[HEADER_LEN + 13] = b'x';
        let (_dir, result) = unpacked(&bytes);
        assert!(matches!(result, Err(FrameError::Header { offset: 37 })));
    }

    #[test]
    fn nothing_and_half_a_start_are_told_apart() {
        assert!(matches!(unpacked(b"").1, Err(FrameError::Empty)));
        let half = &trace()[..HEADER_LEN + 5];
        assert!(matches!(unpacked(half).1, Err(FrameError::Header { .. })));
    }

    #[test]
    fn an_absurd_length_is_refused() {
        let mut header = Frame::Metadata.header(1);
        header[16..].fill(0xff);
        assert_eq!(Frame::parse(&header), None);
    }
}
