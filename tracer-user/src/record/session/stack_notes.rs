//! What the addresses of stacks mean: the functions of the kernel, and where the code of
//! processes was. It lies beside the streams, or goes the way of the packets.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{mem, thread};

use anyhow::{Context as _, Result};

use crate::record::session::mappings::{self, Watch, Watcher};
use crate::record::session::output::named;
use crate::record::session::plan::Plan;
use crate::record::sink::{SharedPipe, SharedSocket};
use crate::trace::folder::frames::Frame;
use crate::trace::sidecar::{kallsyms, mappings as maps};

/// Where the notes of a recording go.
#[derive(Clone, Debug)]
pub(super) enum StackNotes {
    /// To hidden files in a folder; with chunks, in the folder above them.
    Folder(PathBuf),
    /// To where the packets go.
    Pipe(Arc<SharedPipe>),
    /// As [`Pipe`](Self::Pipe).
    Socket(Arc<SharedSocket>),
    /// They are kept for snapshots.
    Memory(Arc<Mutex<Kept>>),
}

/// Notes in memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    kernel_symbols: String,
    mappings: String,
    /// Those before them.
    older_mappings: String,
}

/// Mappings are kept in memory up to this size, and as many that are older.
const KEPT_BYTES: usize = 32 << 20;

impl StackNotes {
    /// Notes the functions of the kernel, if `plan` records its stacks.
    pub(super) fn kernel_symbols(&self, plan: &Plan) -> Result<()> {
        if !plan.probes.iter().any(|probe| probe.stacks.kernel) {
            return Ok(());
        }
        let symbols = kallsyms::read_running(Path::new("/proc"))
            .context("cannot note what the addresses of the kernel mean")?;
        let Some(symbols) = symbols else {
            eprintln!(
                "tracer: note: the kernel hides its addresses (kernel.kptr_restrict): reports \
                 show stacks of the kernel without names"
            );
            return Ok(());
        };
        self.append(Frame::KernelSymbols, &symbols)?;
        Ok(())
    }

    /// Begins to note where the code of processes is, if `plan` records their stacks. What is
    /// executed from then on is known from its beginning.
    pub(super) fn watch(&self, plan: &Plan) -> Result<Option<Watch>> {
        if !plan.probes.iter().any(|probe| probe.stacks.user) {
            return Ok(None);
        }
        let rings = mappings::open_rings().unwrap_or_else(|error| {
            eprintln!(
                "tracer: note: the kernel does not tell what processes map ({error}): reports \
                 show user stacks of processes that live shortly without names"
            );
            Vec::new()
        });
        let (watch, watcher) = Watcher::new(rings, Path::new("/proc"))
            .context("cannot wait for what processes map")?;
        let notes = self.clone();
        let write = move |lines: &str| {
            notes
                .append(Frame::Mappings, lines)
                .unwrap_or_else(|error| {
                    // Addresses stay without names, which is no reason to end a recording.
                    log::warn!("cannot note where the code of processes is: {error}");
                    false
                })
        };
        thread::Builder::new()
            .name("mappings".to_owned())
            .spawn(move || watcher.run(write))
            .context("cannot start the thread that notes where code is")?;
        Ok(Some(watch))
    }

    /// Whether mappings that were appended before will be forgotten.
    fn append(&self, frame: Frame, text: &str) -> io::Result<bool> {
        match self {
            Self::Folder(folder) => append_to(&folder.join(file_name(frame)), text)?,
            Self::Pipe(pipe) => pipe.send(frame, text.as_bytes())?,
            Self::Socket(socket) => socket.send(frame, text.as_bytes())?,
            Self::Memory(kept) => return Ok(lock(kept).append(frame, text)),
        }
        Ok(false)
    }

    /// Writes what is in memory beside the streams of a snapshot.
    pub(super) fn write_to(&self, folder: &Path) -> io::Result<()> {
        let Self::Memory(kept) = self else {
            return Ok(());
        };
        let kept = lock(kept).clone();
        let beside = Self::Folder(folder.to_owned());
        for (frame, text) in [
            (Frame::KernelSymbols, kept.kernel_symbols),
            (Frame::Mappings, kept.older_mappings),
            (Frame::Mappings, kept.mappings),
        ] {
            if !text.is_empty() {
                beside.append(frame, &text)?;
            }
        }
        Ok(())
    }
}

impl Kept {
    /// As [`StackNotes::append`].
    fn append(&mut self, frame: Frame, text: &str) -> bool {
        if frame == Frame::KernelSymbols {
            self.kernel_symbols.push_str(text);
            return false;
        }
        let is_full = self.mappings.len() + text.len() > KEPT_BYTES;
        if is_full {
            self.older_mappings = mem::take(&mut self.mappings);
        }
        self.mappings.push_str(text);
        is_full
    }
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    // Text that a thread which panicked was adding is there, or not.
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

fn file_name(frame: Frame) -> &'static str {
    match frame {
        Frame::KernelSymbols => kallsyms::FILE_NAME,
        _ => maps::FILE_NAME,
    }
}

fn append_to(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| named(path, "cannot write", &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_in_memory_have_a_bound() {
        let notes = StackNotes::Memory(Arc::default());
        let much = format!("{}\n", "x".repeat(KEPT_BYTES - 1));
        let append = |lines| notes.append(Frame::Mappings, lines).unwrap();
        assert!(!append("first\n"));
        assert!(append(&much));
        assert!(append("last\n"));
        let folder = tempfile::tempdir().unwrap();
        notes.write_to(folder.path()).unwrap();
        let written = std::fs::read_to_string(folder.path().join(maps::FILE_NAME)).unwrap();
        assert!(written == much + "last\n", "{} bytes", written.len());
    }
}
