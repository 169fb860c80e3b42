//! Chunks that are complete.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::record::output::chunks::open::OpenChunk;
use crate::record::output::files::named;
use crate::trace::folder::chunk::METADATA;

/// Complete chunks, the oldest first, and what became of those before.
#[derive(Debug, Default)]
pub(super) struct Kept {
    chunks: VecDeque<CompleteChunk>,
    /// Bytes of chunks that are no longer written and not yet complete.
    expected_bytes: u64,
    removed: Removed,
}

#[derive(Debug)]
struct CompleteChunk {
    folder: PathBuf,
    /// Of all its files.
    bytes: u64,
    events: u64,
}

/// Totals of rotation.
#[derive(Debug)]
pub struct ClosedChunks {
    /// Chunks that were begun.
    pub begun: u64,
    /// Those that are gone again.
    pub removed: Removed,
    /// Why not all of them are complete.
    pub error: Option<io::Error>,
}

/// Chunks that were removed to keep to the maximum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// How many.
    pub chunks: u64,
    /// Bytes of their files.
    pub bytes: u64,
    /// Events in them.
    pub events: u64,
}

impl Kept {
    /// Counts a chunk that will be complete soon.
    pub(super) fn expect(&mut self, chunk: &OpenChunk) {
        self.expected_bytes += chunk.bytes();
    }

    /// The chunk that was [expected](Self::expect) is complete, with `bytes` of files.
    pub(super) fn add(&mut self, chunk: &OpenChunk, bytes: u64) {
        self.expected_bytes -= chunk.bytes();
        self.chunks.push_back(CompleteChunk {
            folder: chunk.folder().to_owned(),
            bytes,
            events: chunk.events(),
        });
    }

    /// Removes the oldest complete chunks until there are at most `max_bytes`. Chunks that were
    /// removed or moved away by others need no room.
    pub(super) fn shrink_to(&mut self, max_bytes: u64) -> io::Result<()> {
        if self.bytes() > max_bytes {
            self.chunks.retain(|chunk| chunk.folder.exists());
        }
        while self.bytes() > max_bytes
            && let Some(oldest) = self.chunks.pop_front()
        {
            if remove(&oldest.folder)? {
                self.removed.chunks += 1;
                self.removed.bytes += oldest.bytes;
                self.removed.events += oldest.events;
            }
        }
        Ok(())
    }

    pub(super) fn removed(&self) -> Removed {
        self.removed
    }

    fn bytes(&self) -> u64 {
        let complete: u64 = self.chunks.iter().map(|chunk| chunk.bytes).sum();
        complete + self.expected_bytes
    }
}

/// Removes a chunk; false if it is gone already.
fn remove(folder: &Path) -> io::Result<bool> {
    // First what makes it a trace: readers see all of it, or nothing.
    match fs::remove_file(folder.join(METADATA)).and_then(|()| fs::remove_dir_all(folder)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(named(folder, "cannot remove the oldest chunk", &error)),
    }
}
