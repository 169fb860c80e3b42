//! What a stream writes to.

use std::io::{self, IoSlice};
use std::sync::Arc;

use crate::record::output::chunks::Chunks;
use crate::record::sink::{Sink, SinkReport};

/// Writes the packets of a stream into the open chunk.
#[derive(Debug)]
pub(super) struct RotatingSink {
    chunks: Arc<Chunks>,
    stream: usize,
}

impl RotatingSink {
    pub(super) fn new(chunks: &Arc<Chunks>, cpu: u32) -> Option<Self> {
        Some(Self {
            stream: chunks.layout.cpus.iter().position(|known| *known == cpu)?,
            chunks: Arc::clone(chunks),
        })
    }
}

impl Sink for RotatingSink {
    fn write_packet(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        self.chunks.write_packet(self.stream, pieces)
    }

    fn note_backlog(&mut self, waiting: u64, capacity: u64) {
        self.chunks.note_backlog(self.stream, waiting, capacity);
    }

    fn finish(&mut self) -> io::Result<()> {
        self.chunks.sync(self.stream)
    }

    fn report(&self) -> SinkReport {
        self.chunks.report(self.stream)
    }
}
