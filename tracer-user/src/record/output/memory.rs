//! No destination: in overwrite mode packets stay in their sub-buffers, and what a snapshot
//! needs besides them is kept here.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{io, mem};

use crate::record::output::{ClosedChunks, Output, OutputError, Retention, Sidecar};
use crate::record::pool::Pool;
use crate::record::sink::Sink;

/// Names of threads are kept up to this size.
const NAMES_BYTES: usize = 4 << 20;

/// Mappings are kept up to this size, and as many that are older.
const MAPPINGS_BYTES: usize = 32 << 20;

/// Keeps the metadata and the latest lines of each sidecar.
#[derive(Debug, Default)]
pub struct Memory {
    /// Name of the folder that will be written at the end, if there is one.
    name: Option<String>,
    kept: Mutex<Kept>,
}

#[derive(Clone, Debug, Default)]
struct Kept {
    uuid: [u8; 16],
    metadata: String,
    names: Names,
    kernel_symbols: String,
    mappings: String,
    older_mappings: String,
}

/// The latest pieces of text.
#[derive(Clone, Debug, Default)]
struct Names {
    pieces: VecDeque<String>,
    bytes: usize,
}

impl Memory {
    /// For a recording whose last snapshot goes to a folder of this name, if any.
    #[must_use]
    pub fn new(name: Option<String>) -> Self {
        Self {
            name,
            kept: Mutex::default(),
        }
    }

    /// Begins a snapshot with the metadata of the recording.
    ///
    /// # Errors
    /// If `snapshot` cannot be written.
    pub fn begin_copy(&self, snapshot: &dyn Output) -> Result<(), OutputError> {
        let (uuid, metadata) = {
            let kept = self.kept();
            (kept.uuid, kept.metadata.clone())
        };
        snapshot.begin(uuid, &metadata)
    }

    /// Writes a sidecar to a snapshot as far as it is kept.
    ///
    /// # Errors
    /// If `snapshot` cannot be written.
    pub fn copy_sidecar(&self, kind: Sidecar, snapshot: &dyn Output) -> io::Result<()> {
        if !snapshot.takes(kind) {
            return Ok(());
        }
        let text = self.kept().text(kind);
        if !text.is_empty() {
            snapshot.sidecar(kind, &text)?;
        }
        Ok(())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Text that a thread was adding when it panicked is there, or not.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Output for Memory {
    fn name(&self) -> String {
        self.name
            .clone()
            .unwrap_or_else(|| "flight recorder".to_owned())
    }

    fn begin(&self, uuid: [u8; 16], metadata: &str) -> Result<(), OutputError> {
        let mut kept = self.kept();
        kept.uuid = uuid;
        metadata.clone_into(&mut kept.metadata);
        Ok(())
    }

    fn extend_metadata(&self, text: &str) -> Result<(), OutputError> {
        self.kept().metadata.push_str(text);
        Ok(())
    }

    fn sink(
        &self,
        _cpu: u32,
        _pool: Option<&Arc<Pool>>,
    ) -> Result<Option<Box<dyn Sink>>, OutputError> {
        Ok(None)
    }

    fn sidecar(&self, kind: Sidecar, lines: &str) -> io::Result<Retention> {
        Ok(self.kept().append(kind, lines))
    }

    fn finish(&self) -> Result<Option<ClosedChunks>, OutputError> {
        Ok(None)
    }
}

impl Kept {
    fn append(&mut self, kind: Sidecar, lines: &str) -> Retention {
        match kind {
            Sidecar::Tasks => self.names.add(lines),
            Sidecar::KernelSymbols => self.kernel_symbols.push_str(lines),
            Sidecar::Mappings => {
                let is_full = self.mappings.len() + lines.len() > MAPPINGS_BYTES;
                if is_full {
                    self.older_mappings = mem::take(&mut self.mappings);
                }
                self.mappings.push_str(lines);
                if is_full {
                    return Retention::Aging;
                }
            }
        }
        Retention::Kept
    }

    fn text(&self, kind: Sidecar) -> String {
        match kind {
            Sidecar::Tasks => self.names.pieces.iter().map(String::as_str).collect(),
            Sidecar::KernelSymbols => self.kernel_symbols.clone(),
            Sidecar::Mappings => [&*self.older_mappings, &*self.mappings].concat(),
        }
    }
}

impl Names {
    fn add(&mut self, lines: &str) {
        self.bytes += lines.len();
        self.pieces.push_back(lines.to_owned());
        while self.bytes > NAMES_BYTES {
            let Some(oldest) = self.pieces.pop_front() else {
                break;
            };
            self.bytes -= oldest.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a snapshot gets of a sidecar.
    fn copied(memory: &Memory, kind: Sidecar) -> String {
        let copy = Memory::default();
        memory.copy_sidecar(kind, &copy).unwrap();
        copy.kept().text(kind)
    }

    #[test]
    fn mappings_have_a_bound() {
        let memory = Memory::default();
        let much = format!("{}\n", "x".repeat(MAPPINGS_BYTES - 1));
        let append = |lines| memory.sidecar(Sidecar::Mappings, lines).unwrap();
        assert_eq!(append("first\n"), Retention::Kept);
        assert_eq!(append(&much), Retention::Aging);
        assert_eq!(append("last\n"), Retention::Aging);
        let text = memory.kept().text(Sidecar::Mappings);
        assert!(text == much + "last\n", "{} bytes", text.len());
    }

    #[test]
    fn the_latest_names_are_kept() {
        let memory = Memory::default();
        let much = "x".repeat(NAMES_BYTES);
        for lines in ["first\n", &much, "last\n"] {
            memory.sidecar(Sidecar::Tasks, lines).unwrap();
        }
        assert_eq!(copied(&memory, Sidecar::Tasks), "last\n");
    }

    #[test]
    fn a_snapshot_has_metadata_that_was_added_later() {
        let (memory, copy) = (Memory::default(), Memory::default());
        memory.begin([7; 16], "first").unwrap();
        memory.extend_metadata(", later").unwrap();
        memory.begin_copy(&copy).unwrap();
        let kept = copy.kept();
        assert_eq!((kept.uuid, &*kept.metadata), ([7; 16], "first, later"));
    }
}
