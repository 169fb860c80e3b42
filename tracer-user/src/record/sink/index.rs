//! An index beside the file of a stream.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::record::sink::{Sink, SinkReport, direct, total_len};
use crate::sys::memory::PageBuffer;
use crate::sys::output::KernelCalls;
use crate::sys::page_size;
use crate::trace::ctf::PacketHeader;
use crate::trace::ctf::index::{IndexEntry, header};

/// Writes the index of what another sink takes.
///
/// An entry is made when its packet has been written: the index never tells of more than
/// there is. Entries are written by whole pages, past the page cache where that is possible,
/// so that indexing takes no memory of the kernel's; the last ones are written at the end. An
/// index that cannot be written, or not on, is removed and the recording goes on: readers do
/// without one, but one that ends early would hide packets from them.
#[derive(Debug)]
pub struct IndexedSink<S> {
    inner: S,
    /// Where the next packet starts, in bytes.
    offset: u64,
    index: Option<IndexFile>,
}

#[derive(Debug)]
struct IndexFile {
    file: File,
    path: PathBuf,
    /// The page that is being filled, and where in the file it belongs.
    page: PageBuffer,
    page_offset: u64,
    filled: usize,
}

impl IndexFile {
    fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)?;
        if let Err(why) = direct::switch_on(&mut KernelCalls, file.as_fd()) {
            log::debug!("the index `{}` in the page cache: {why}", path.display());
        }
        Ok(Self {
            file,
            path: path.to_owned(),
            page: PageBuffer::new(page_size())?,
            page_offset: 0,
            filled: 0,
        })
    }

    fn append(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = &mut self.page[self.filled..];
            let (now, later) = bytes.split_at(bytes.len().min(room.len()));
            room[..now.len()].copy_from_slice(now);
            self.filled += now.len();
            bytes = later;
            if self.filled == self.page.len() {
                self.file.write_all_at(&self.page, self.page_offset)?;
                self.page_offset += self.page.len() as u64;
                self.filled = 0;
            }
        }
        Ok(())
    }

    /// Writes what is left, and cuts the file to it.
    fn finish(&mut self) -> io::Result<()> {
        if self.filled > 0 {
            self.file.write_all_at(&self.page, self.page_offset)?;
        }
        self.file.set_len(self.page_offset + self.filled as u64)
    }
}

impl<S: Sink> IndexedSink<S> {
    /// Indexes the packets of `inner`, which has taken none yet, in the file `path`.
    pub fn new(inner: S, path: &Path) -> Self {
        let mut this = Self {
            inner,
            offset: 0,
            index: None,
        };
        match IndexFile::create(path) {
            Ok(file) => {
                this.index = Some(file);
                this.append(&header());
            }
            Err(error) => log::warn!("no index `{}`: {error}", path.display()),
        }
        this
    }

    fn append(&mut self, bytes: &[u8]) {
        if let Some(index) = &mut self.index
            && let Err(error) = index.append(bytes)
        {
            self.give_up(&error);
        }
    }

    fn finish_index(&mut self) {
        if let Some(index) = &mut self.index
            && let Err(error) = index.finish()
        {
            self.give_up(&error);
        }
    }

    fn give_up(&mut self, why: &dyn std::fmt::Display) {
        if let Some(index) = self.index.take() {
            log::warn!("the index `{}` is removed: {why}", index.path.display());
            // Somebody else may have been faster.
            let _ = fs::remove_file(&index.path);
        }
    }
}

impl<S: Sink> Sink for IndexedSink<S> {
    fn write_packet(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        self.inner
            .write_packet(pieces)
            .inspect_err(|_| self.finish_index())?;
        let first_page = pieces.first().map_or(&[][..], |piece| piece);
        match PacketHeader::parse(first_page) {
            Ok(header) => self.append(&IndexEntry::new(self.offset, &header).to_bytes()),
            Err(error) => self.give_up(&error),
        }
        self.offset += total_len(pieces) as u64;
        Ok(())
    }

    fn note_backlog(&mut self, waiting: u64, capacity: u64) {
        self.inner.note_backlog(waiting, capacity);
    }

    fn finish(&mut self) -> io::Result<()> {
        self.finish_index();
        self.inner.finish()
    }

    fn report(&self) -> SinkReport {
        self.inner.report()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::sink::{FileSink, SinkKind};
    use crate::trace::ctf::index::parse;

    fn packet(sequence: u64, len: usize) -> Vec<u8> {
        let mut packet = vec![0; len];
        PacketHeader {
            stream_instance_id: 3,
            timestamp_begin: 10 * sequence,
            timestamp_end: 10 * sequence + 9,
            content_bits: 800,
            packet_bits: len as u64 * 8,
            sequence,
            events_discarded: sequence,
            cpu: 3,
            ..PacketHeader::default()
        }
        .write_to(&mut packet);
        packet
    }

    fn sink(folder: &Path) -> IndexedSink<FileSink> {
        let file = FileSink::create(&folder.join("stream"), SinkKind::Auto, 8192).unwrap();
        IndexedSink::new(file, &folder.join("index"))
    }

    #[test]
    fn each_packet_has_its_entry() {
        let folder = tempfile::tempdir().unwrap();
        let mut sink = sink(folder.path());
        for (sequence, len) in [(0, 4096), (1, 8192), (2, 4096)] {
            sink.write_packet(&[IoSlice::new(&packet(sequence, len))])
                .unwrap();
        }
        sink.finish().unwrap();
        let entries = parse(&fs::read(folder.path().join("index")).unwrap()).unwrap();
        let stream = fs::read(folder.path().join("stream")).unwrap();
        assert_eq!(
            entries.iter().map(|entry| entry.offset).collect::<Vec<_>>(),
            [0, 4096, 12288]
        );
        for entry in entries {
            let header = PacketHeader::parse(&stream[entry.offset as usize..]).unwrap();
            assert_eq!(IndexEntry::new(entry.offset, &header), entry);
        }
    }

    #[test]
    fn a_packet_that_was_not_written_has_no_entry() {
        struct Full;
        impl Sink for Full {
            fn write_packet(&mut self, _pieces: &[IoSlice<'_>]) -> io::Result<()> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn finish(&mut self) -> io::Result<()> {
                Ok(())
            }
            fn report(&self) -> SinkReport {
                unreachable!("not asked for")
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index");
        let mut sink = IndexedSink::new(Full, &path);
        assert!(
            sink.write_packet(&[IoSlice::new(&packet(0, 4096))])
                .is_err()
        );
        assert_eq!(parse(&fs::read(&path).unwrap()), Ok(vec![]));
    }

    #[test]
    fn an_index_that_cannot_go_on_is_removed_and_the_stream_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut sink = sink(folder.path());
        sink.write_packet(&[IoSlice::new(&packet(0, 4096))])
            .unwrap();
        sink.index.as_mut().unwrap().file = File::open("/dev/null").unwrap();
        for sequence in 1..=56 {
            sink.write_packet(&[IoSlice::new(&packet(sequence, 4096))])
                .unwrap();
        }
        assert!(!folder.path().join("index").exists());
        sink.write_packet(&[IoSlice::new(&packet(57, 4096))])
            .unwrap();
        assert_eq!(
            fs::metadata(folder.path().join("stream")).unwrap().len(),
            58 * 4096
        );
    }
}
