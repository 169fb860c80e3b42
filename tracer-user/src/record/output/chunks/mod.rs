//! A recording in chunks: folders that follow each other, each a complete trace.
//!
//! All streams write into one chunk, the open one. It is replaced as a whole, while no
//! packet is being written into it: so each packet is in exactly one chunk, and a stream that
//! has nothing to write keeps no chunk open. A separate thread, the [keeper](Keeper), then
//! finishes the old chunk. It also begins new chunks when `--rotate-time` has passed.
//!
//! At most one chunk waits to be finished: a chunk is handed to the keeper only when it has
//! finished the one before. A disk that cannot keep up so makes the streams wait, which their
//! sub-buffers absorb.
//!
//! - `output`: the trace folder, and the first chunk
//! - `limits`: when chunks are begun and removed
//! - `count`: events in a packet
//! - `open`: the chunk that is written
//! - `kept`: complete chunks, and the removal of the oldest
//! - `sink`: what a stream writes to

mod count;
mod keeper;
mod kept;
mod limits;
mod open;
mod output;
mod sink;
#[cfg(test)]
mod tests;

use std::io::{self, IoSlice};
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, TryLockError};
use std::time::{Duration, Instant};

use self::keeper::{Keeper, Mailbox, Succession};
use self::kept::Kept;
use self::open::OpenChunk;
use crate::record::output::Sidecar;
use crate::record::sink::{SinkReport, total_len};

pub use kept::{ClosedChunks, Removed};
pub use limits::{RotateOptions, Rotation, RotationError};
pub use open::ChunkLayout;
pub use output::ChunkFolder;

/// The chunks of a recording, shared by everything that writes.
#[derive(Debug)]
pub(super) struct Chunks {
    /// The folder that they are in.
    folder: PathBuf,
    layout: ChunkLayout,
    /// Of each chunk that will be begun. Changed by the holder of `turn`.
    metadata: Mutex<String>,
    rotation: Rotation,
    /// Read while a packet is written, written while the chunk is replaced.
    open: RwLock<OpenChunk>,
    /// Held by the thread that begins the next chunk.
    turn: Mutex<()>,
    kept: Mutex<Kept>,
    keeper: Mailbox,
    /// The first error, returned by every call after it.
    failed: OnceLock<(io::ErrorKind, String)>,
}

impl Chunks {
    /// Begins the first chunk.
    fn begin(
        folder: &Path,
        layout: ChunkLayout,
        metadata: &str,
        rotation: Rotation,
        keeper: Mailbox,
    ) -> io::Result<Self> {
        Ok(Self {
            open: RwLock::new(OpenChunk::create(folder, &layout, metadata, 0)?),
            folder: folder.to_owned(),
            layout,
            metadata: Mutex::new(metadata.to_owned()),
            rotation,
            turn: Mutex::new(()),
            kept: Mutex::default(),
            keeper,
            failed: OnceLock::new(),
        })
    }

    /// Puts a packet of a stream into the open chunk, or into a new one if that is full.
    fn write_packet(&self, stream: usize, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        self.check()?;
        let bytes = total_len(pieces) as u64;
        let mut open = self.open();
        while !open.reserve(bytes, self.rotation.chunk_bytes) {
            let full = open.number();
            drop(open);
            self.replace_full(full)?;
            open = self.open();
        }
        open.write_packet(stream, pieces, self.rotation.max_bytes.is_some())
    }

    fn note_backlog(&self, stream: usize, waiting: u64, capacity: u64) {
        self.open().note_backlog(stream, waiting, capacity);
    }

    /// Appends lines to the names of threads in the open chunk.
    fn append_names(&self, lines: &str) -> io::Result<()> {
        Sidecar::Tasks.append_in(self.open().folder(), lines)
    }

    /// Appends to the metadata of the open chunk, and of those after it.
    fn extend_metadata(&self, text: &str) -> io::Result<()> {
        let _turn = lock(&self.turn);
        lock(&self.metadata).push_str(text);
        self.open().extend_metadata(text)
    }

    /// Writes back what a stream wrote into the open chunk.
    fn sync(&self, stream: usize) -> io::Result<()> {
        self.check()?;
        self.open().finish_stream(stream)
    }

    fn report(&self, stream: usize) -> SinkReport {
        self.open().report(stream)
    }

    /// Begins a chunk in place of the open one.
    fn replace_now(&self) -> io::Result<()> {
        self.check()?;
        let number = self.open().number();
        self.replace_full(number)
    }

    /// Begins a chunk in place of that of the number `full`, unless another thread has.
    fn replace_full(&self, full: u64) -> io::Result<()> {
        let _turn = lock(&self.turn);
        if self.open().number() != full {
            return Ok(());
        }
        let succession = self.begin_next()?;
        // A chunk that is to be removed must not keep one from being finished.
        let removed = self.make_room();
        self.keeper.hand_over(succession)?;
        removed
    }

    /// Begins the next chunk if it is time. Called by the keeper, which gets the old one.
    fn replace_old(&self) -> io::Result<Option<Succession>> {
        let _turn = match self.turn.try_lock() {
            Ok(turn) => turn,
            // A stream has found the chunk full, and may be waiting for the keeper.
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Poisoned(turn)) => turn.into_inner(),
        };
        if self.until_due().is_none_or(|wait| !wait.is_zero()) {
            return Ok(None);
        }
        self.begin_next().map(Some)
    }

    fn begin_next(&self) -> io::Result<Succession> {
        let number = self.open().number() + 1;
        let metadata = lock(&self.metadata).clone();
        let mut next = OpenChunk::create(&self.folder, &self.layout, &metadata, number)?;
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        let before = next.follow(&open);
        let begun = next.folder().to_owned();
        let old = mem::replace(&mut *open, next);
        drop(open);
        lock(&self.kept).expect(&old);
        Ok(Succession { old, begun, before })
    }

    /// How long the open chunk may still be written; none: without limit.
    fn until_due(&self) -> Option<Duration> {
        if self.failed.get().is_some() {
            return None;
        }
        let due = self.open().begun() + self.rotation.chunk_time?;
        Some(due.saturating_duration_since(Instant::now()))
    }

    /// Removes the oldest chunks to make room for a new one.
    fn make_room(&self) -> io::Result<()> {
        match self.rotation.room_beside_chunk() {
            Some(room) => lock(&self.kept).shrink_to(room),
            None => Ok(()),
        }
    }

    /// Turns a chunk that is no longer written into a complete trace.
    fn complete(&self, chunk: &OpenChunk) -> io::Result<()> {
        let complete = chunk.complete()?;
        lock(&self.kept).add(chunk, complete);
        Ok(())
    }

    /// Completes the last chunk. Nothing may be written any more.
    fn close(&self) -> ClosedChunks {
        let open = self.open();
        lock(&self.kept).expect(&open);
        let completed = self.complete(&open);
        let mut kept = lock(&self.kept);
        let shrunk = match self.rotation.max_bytes {
            Some(bytes) => kept.shrink_to(bytes),
            None => Ok(()),
        };
        ClosedChunks {
            begun: open.number() + 1,
            removed: kept.removed(),
            error: self.check().and(completed).and(shrunk).err(),
        }
    }

    /// Ends the recording: every later write returns this error.
    fn fail(&self, error: &io::Error) {
        // The first error is the cause of others.
        let _ = self.failed.set((error.kind(), error.to_string()));
    }

    fn check(&self) -> io::Result<()> {
        match self.failed.get() {
            Some((kind, text)) => Err(io::Error::new(*kind, text.clone())),
            None => Ok(()),
        }
    }

    fn open(&self) -> RwLockReadGuard<'_, OpenChunk> {
        self.open.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A panic of another thread is reported when it is joined.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
