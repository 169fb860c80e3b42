//! Makes the trace of a recorder that was killed readable for everyone: other readers
//! refuse a trace as a whole where a stream ends in half a packet.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::trace::ctf::ReadError;
use crate::trace::ctf::index::{self, IndexEntry};
use crate::trace::ctf::scan::Scanner;
use crate::trace::folder::chunk;
use crate::trace::folder::read::Trace;

/// What [`repair`] found and did.
#[derive(Debug, Default)]
pub struct RepairSummary {
    /// Number of streams.
    pub streams: usize,
    /// Packets that are whole, in all streams.
    pub packets: u64,
    /// The files that were cut; none where the trace was whole.
    pub cuts: Vec<Cut>,
    /// Indexes that did not list all packets, or listed packets that were cut.
    pub indexes: Vec<PathBuf>,
    /// Folders of chunks that had not been completed.
    pub completed: Vec<PathBuf>,
}

impl RepairSummary {
    /// The trace was intact.
    #[must_use]
    pub fn changed_nothing(&self) -> bool {
        self.cuts.is_empty() && self.indexes.is_empty() && self.completed.is_empty()
    }
}

/// A stream file that was cut to its whole packets.
#[derive(Debug)]
pub struct Cut {
    /// The stream file.
    pub path: PathBuf,
    /// Its new length in bytes.
    pub kept_bytes: u64,
    /// What it was shortened by, in bytes.
    pub cut_bytes: u64,
    /// What was wrong behind the last whole packet, where it was more than a packet that
    /// was not written to its end.
    pub damage: Option<ReadError>,
}

/// Cuts every stream file of the trace in `dir` behind the last of its packets up to
/// which all are whole, makes the indexes that there are tell of all packets, and completes
/// the chunk that was being written. All files are looked at before the first is changed.
///
/// # Errors
/// Where `dir` is not a trace, where a file in it does not start as a stream of this
/// trace does (it is left alone), or where a file cannot be changed.
pub fn repair(dir: &Path) -> Result<RepairSummary, ReadError> {
    let trace = Trace::open(dir)?;
    let mut summary = RepairSummary {
        streams: trace.streams().len(),
        ..RepairSummary::default()
    };
    let mut indexes = Vec::new();
    for path in trace.streams().iter().flatten() {
        let mut scanner = Scanner::open(path, trace.info().uuid)?;
        let mut index = index::header().to_vec();
        let damage = loop {
            match scanner.next() {
                Ok(Some((offset, header))) => {
                    summary.packets += 1;
                    index.extend(IndexEntry::new(offset, &header).to_bytes());
                }
                Ok(None) => break None,
                Err(error @ ReadError::Io { .. }) => return Err(error),
                // nothing of it is ours: cutting would empty it
                Err(error) if scanner.offset() == 0 => return Err(error),
                Err(error) => break Some(error),
            }
        };
        indexes.push((index_path(path), index));
        let kept_bytes = scanner.offset();
        let cut_bytes = match (&damage, scanner.tail()) {
            (None, None) => continue,
            (None, Some(tail)) => tail.bytes,
            (Some(_), _) => scanner.len() - kept_bytes,
        };
        summary.cuts.push(Cut {
            path: path.clone(),
            kept_bytes,
            cut_bytes,
            damage,
        });
    }
    for cut in &summary.cuts {
        OpenOptions::new()
            .write(true)
            .open(&cut.path)
            .and_then(|file| {
                file.set_len(cut.kept_bytes)?;
                file.sync_all()
            })
            .map_err(|source| ReadError::Io {
                path: cut.path.clone(),
                source,
            })?;
    }
    for (path, index) in indexes {
        match restore(&path, &index) {
            Ok(true) => summary.indexes.push(path),
            Ok(false) => {}
            Err(source) => return Err(ReadError::Io { path, source }),
        }
    }
    let whole = [dir.to_owned()];
    let chunks = match trace.chunks() {
        [] => &whole,
        chunks => chunks,
    };
    for path in chunks.iter().cloned() {
        match chunk::complete(&path) {
            Ok(true) => summary.completed.push(path),
            Ok(false) => {}
            Err(source) => return Err(ReadError::Io { path, source }),
        }
    }
    Ok(summary)
}

fn index_path(stream: &Path) -> PathBuf {
    let mut name = stream.file_name().unwrap_or_default().to_owned();
    name.push(index::SUFFIX);
    stream.with_file_name(index::FOLDER_NAME).join(name)
}

/// Gives the index at `path`, if there is one, this content, and returns whether it had another. The recorder may have been
/// killed between a packet and its entry, and what was cut has entries, too; readers warn
/// of an index that is not one of all packets.
fn restore(path: &Path, index: &[u8]) -> io::Result<bool> {
    match fs::read(path) {
        Ok(found) if found == index => Ok(false),
        Ok(_) => fs::write(path, index).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
