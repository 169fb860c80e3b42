//! A trace folder for chunks.

use std::path::Path;
use std::sync::OnceLock;

use anyhow::{Context, Result};

use crate::record::session::chunks::{ChunkPlan, ClosedChunks, Keeper, Rotation};
use crate::record::session::output::{Description, TraceFolder};
use crate::record::session::plan::Plan;
use crate::record::sink::SinkKind;

/// A trace folder in which the first chunk is begun when the trace can be described.
#[derive(Debug)]
pub(in crate::record::session) struct ChunkFolder {
    /// Before the folder, so that it ends before that is removed.
    keeper: OnceLock<Keeper>,
    folder: TraceFolder,
    rotation: Rotation,
    sink: SinkKind,
}

impl ChunkFolder {
    pub(in crate::record::session) fn new(
        folder: TraceFolder,
        rotation: Rotation,
        sink: SinkKind,
    ) -> Result<Self> {
        folder.show_to_caller()?;
        Ok(Self {
            keeper: OnceLock::new(),
            folder,
            rotation,
            sink,
        })
    }

    pub(in crate::record::session) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(in crate::record::session) fn name(&self) -> String {
        self.folder.name()
    }

    /// Begins the first chunk. Called once.
    pub(in crate::record::session) fn begin(
        &self,
        description: &Description,
        plan: &Plan,
    ) -> Result<()> {
        let chunks = ChunkPlan {
            folder: self.folder.path().to_owned(),
            metadata: description.text.clone(),
            cpus: plan.cpus.clone(),
            sink: self.sink,
            packet_bytes: plan.pool.run_bytes,
            counted_below: plan.probe_classes(),
        };
        let keeper = Keeper::start(chunks, self.rotation)?;
        self.keeper
            .set(keeper)
            .ok()
            .context("the first chunk was begun before")
    }

    /// Whoever writes the chunks.
    ///
    /// # Errors
    /// Where none was [begun](Self::begin).
    pub(in crate::record::session) fn keeper(&self) -> Result<&Keeper> {
        self.keeper.get().context("no chunk was begun")
    }

    /// Completes the last chunk, and leaves all of them where they are.
    pub(in crate::record::session) fn keep(self) -> Result<ClosedChunks> {
        let closed = self.keeper()?.close();
        self.folder.keep_chunks()?;
        Ok(closed)
    }
}
