//! A trace in chunks.

use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::record::output::chunks::{ChunkLayout, ClosedChunks, Keeper, Rotation};
use crate::record::output::{Output, OutputError, Retention, Sidecar, TraceFolder};
use crate::record::pool::Pool;
use crate::record::sink::Sink;

/// A trace folder whose chunks are traces that follow each other.
#[derive(Debug)]
pub struct ChunkFolder {
    /// Before the folder, so that it ends before that is removed.
    keeper: OnceLock<Keeper>,
    folder: TraceFolder,
    rotation: Rotation,
    layout: ChunkLayout,
}

impl ChunkFolder {
    /// Writes chunks of this layout into `folder`.
    ///
    /// # Errors
    /// If the folder cannot be opened to the user who called `sudo`.
    pub fn new(
        folder: TraceFolder,
        rotation: Rotation,
        layout: ChunkLayout,
    ) -> Result<Self, OutputError> {
        folder.show_to_caller()?;
        Ok(Self {
            keeper: OnceLock::new(),
            folder,
            rotation,
            layout,
        })
    }

    fn keeper(&self) -> Result<&Keeper, OutputError> {
        self.keeper.get().ok_or(OutputError::NotBegun)
    }
}

impl Output for ChunkFolder {
    fn name(&self) -> String {
        self.folder.name()
    }

    fn folder(&self) -> Option<&Path> {
        Some(self.folder.path())
    }

    /// Begins the first chunk.
    fn begin(&self, _uuid: [u8; 16], metadata: &str) -> Result<(), OutputError> {
        let layout = self.layout.clone();
        let keeper = Keeper::start(self.folder.path(), layout, metadata, self.rotation)?;
        // It is begun once: a second keeper would end here.
        let _ = self.keeper.set(keeper);
        Ok(())
    }

    fn extend_metadata(&self, text: &str) -> Result<(), OutputError> {
        Ok(self.keeper()?.chunks().extend_metadata(text)?)
    }

    fn sink(
        &self,
        cpu: u32,
        _pool: Option<&Arc<Pool>>,
    ) -> Result<Option<Box<dyn Sink>>, OutputError> {
        Ok(Some(Box::new(self.keeper()?.sink(cpu)?)))
    }

    /// Names of threads go into the open chunk: each chunk has its own. What the addresses of
    /// stacks mean is in the folder, for all chunks.
    fn sidecar(&self, kind: Sidecar, lines: &str) -> io::Result<Retention> {
        match (kind, self.keeper.get()) {
            (Sidecar::Tasks, Some(keeper)) => keeper.chunks().append_names(lines)?,
            _ => kind.append_in(self.folder.path(), lines)?,
        }
        Ok(Retention::Kept)
    }

    fn rotate(&self) -> io::Result<bool> {
        if let Some(keeper) = self.keeper.get() {
            keeper.chunks().replace_now()?;
        }
        Ok(true)
    }

    /// Completes the last chunk.
    fn finish(&self) -> Result<Option<ClosedChunks>, OutputError> {
        let closed = self.keeper()?.close();
        self.folder.keep_chunks()?;
        Ok(Some(closed))
    }
}
