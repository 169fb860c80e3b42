//! The chunk that is being written.

use std::fs::{self, File};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::record::output::chunks::count::events;
use crate::record::output::chunks::lock;
use crate::record::output::files::{
    append_metadata, create_folder, give_to_caller, named, stream_sink, write_new,
};
use crate::record::sink::{FileSink, IndexedSink, Sink, SinkKind, SinkReport, packet_header};
use crate::trace::folder::chunk::{
    Before, LastPacket, METADATA, NEW_METADATA, OPEN_METADATA, folder_name,
};

/// What all chunks of a recording have in common.
#[derive(Clone, Debug)]
pub struct ChunkLayout {
    /// A stream for each.
    pub cpus: Vec<u32>,
    /// How packets are written.
    pub kind: SinkKind,
    /// Size of the largest packet in bytes.
    pub packet_bytes: usize,
    /// Events of classes below this are counted.
    pub counted_below: u32,
}

/// A chunk. Streams may write into it at the same time.
#[derive(Debug)]
pub(super) struct OpenChunk {
    number: u64,
    folder: PathBuf,
    begun: Instant,
    /// Bytes of packets that are in it, or on their way.
    bytes: AtomicU64,
    /// Events in them, where they are counted.
    events: AtomicU64,
    /// Of classes below this.
    counted_below: u32,
    streams: Vec<Mutex<ChunkStream>>,
}

#[derive(Debug)]
struct ChunkStream {
    sink: IndexedSink<FileSink>,
    /// Up to here, in this chunk or one before.
    last: Option<(u64, LastPacket)>,
}

impl OpenChunk {
    /// Creates a folder with empty streams in `parent`. If that fails, nothing of it is left.
    pub(super) fn create(
        parent: &Path,
        layout: &ChunkLayout,
        metadata: &str,
        number: u64,
    ) -> io::Result<Self> {
        let start = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
        let folder = parent.join(folder_name(number, &start.to_string()));
        create_folder(&folder)?;
        Self::fill(&folder, layout, metadata, number).inspect_err(|_| {
            // The error names the folder.
            let _ = fs::remove_dir_all(&folder);
        })
    }

    fn fill(folder: &Path, layout: &ChunkLayout, metadata: &str, number: u64) -> io::Result<Self> {
        // A file of this name is complete.
        let new = folder.join(NEW_METADATA);
        write_new(&new, metadata)?;
        rename(&new, &folder.join(OPEN_METADATA))?;
        let stream = |cpu: &u32| {
            let sink = stream_sink(folder, *cpu, layout.kind, layout.packet_bytes)?;
            Ok(Mutex::new(ChunkStream { sink, last: None }))
        };
        Ok(Self {
            number,
            begun: Instant::now(),
            bytes: AtomicU64::new(0),
            events: AtomicU64::new(0),
            counted_below: layout.counted_below,
            streams: layout.cpus.iter().map(stream).collect::<io::Result<_>>()?,
            folder: folder.to_owned(),
        })
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn begun(&self) -> Instant {
        self.begun
    }

    /// Appends to its metadata.
    pub(super) fn extend_metadata(&self, text: &str) -> io::Result<()> {
        append_metadata(&self.folder.join(OPEN_METADATA), text)
    }

    /// Bytes of packets.
    pub(super) fn bytes(&self) -> u64 {
        // Relaxed: exact once the chunk is replaced, under the lock that writers hold.
        self.bytes.load(Ordering::Relaxed)
    }

    /// Events of the packets that were [written](Self::write_packet) to be counted.
    pub(super) fn events(&self) -> u64 {
        // Relaxed: as above.
        self.events.load(Ordering::Relaxed)
    }

    /// Claims room for a packet; false if the chunk is full. An empty chunk takes any.
    pub(super) fn reserve(&self, bytes: u64, limit: Option<u64>) -> bool {
        let limit = limit.unwrap_or(u64::MAX);
        let claim = |taken: u64| {
            (taken == 0 || taken.saturating_add(bytes) <= limit).then_some(taken + bytes)
        };
        // Relaxed: the number alone decides, and nothing is read by it.
        self.bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, claim)
            .is_ok()
    }

    /// Writes a packet, for which room was [reserved](Self::reserve).
    pub(super) fn write_packet(
        &self,
        stream: usize,
        pieces: &[IoSlice<'_>],
        counted: bool,
    ) -> io::Result<()> {
        let mut stream = lock(&self.streams[stream]);
        stream.sink.write_packet(pieces)?;
        if let Ok(header) = packet_header(pieces) {
            stream.last = Some((header.stream_instance_id, (&header).into()));
            if counted {
                let count = events(pieces, &header, self.counted_below);
                // Relaxed: a number to show.
                self.events.fetch_add(count, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    pub(super) fn note_backlog(&self, stream: usize, waiting: u64, capacity: u64) {
        let mut stream = lock(&self.streams[stream]);
        stream.sink.note_backlog(waiting, capacity);
    }

    pub(super) fn finish_stream(&self, stream: usize) -> io::Result<()> {
        lock(&self.streams[stream]).sink.finish()
    }

    pub(super) fn report(&self, stream: usize) -> SinkReport {
        lock(&self.streams[stream]).sink.report()
    }

    /// Continues the streams of `before`; gives the last packet of each.
    pub(super) fn follow(&mut self, before: &Self) -> Before {
        let mut last_packets = Before::default();
        for (stream, before) in self.streams.iter().zip(&before.streams) {
            let last = lock(before).last;
            last_packets.0.extend(last);
            lock(stream).last = last;
        }
        last_packets
    }

    /// Writes all of it back to the disk, gives it to the user who called `sudo`, and lets
    /// readers find it. Gives the bytes of its files.
    ///
    /// # Errors
    /// The first; if one stream cannot be written back, the others are readable.
    pub(super) fn complete(&self) -> io::Result<u64> {
        let finish = |stream| self.finish_stream(stream);
        let finished: Vec<io::Result<()>> = (0..self.streams.len()).map(finish).collect();
        let published = self.publish();
        finished.into_iter().collect::<io::Result<()>>()?;
        published
    }

    fn publish(&self) -> io::Result<u64> {
        let (open, complete) = (self.folder.join(OPEN_METADATA), self.folder.join(METADATA));
        let not_synced = |error| named(&self.folder, "cannot write back", &error);
        File::open(&open)
            .and_then(|file| file.sync_data())
            .map_err(not_synced)?;
        give_to_caller(&self.folder)?;
        let bytes = bytes_of_files(&self.folder)?;
        let folder = File::open(&self.folder).map_err(not_synced)?;
        rename(&open, &complete)?;
        // By now it may have been moved away: it is complete.
        folder.sync_all().map_err(not_synced)?;
        Ok(bytes)
    }
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to).map_err(|error| named(from, "cannot rename", &error))
}

fn bytes_of_files(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() {
            bytes_of_files(&entry.path())?
        } else {
            metadata.len()
        };
    }
    Ok(bytes)
}
