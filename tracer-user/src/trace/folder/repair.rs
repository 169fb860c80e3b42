//! Makes the trace of a killed recorder readable: other readers refuse the whole trace if one
//! of its streams ends in an incomplete packet.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::trace::ctf::ReadError;
use crate::trace::ctf::index::{self, IndexEntry};
use crate::trace::ctf::scan::Scanner;
use crate::trace::folder::chunk;
use crate::trace::folder::lock::FolderLock;
use crate::trace::folder::read::Trace;

/// What [`repair`] found and did.
#[derive(Debug, Default)]
pub struct RepairSummary {
    /// Number of streams.
    pub streams: usize,
    /// Complete packets in all streams.
    pub packets: u64,
    /// The files that were truncated; none if the trace was complete.
    pub cuts: Vec<Cut>,
    /// Indexes that did not list all packets, or listed packets that were cut.
    pub indexes: Vec<PathBuf>,
    /// Folders of chunks that were not complete before.
    pub completed: Vec<PathBuf>,
}

impl RepairSummary {
    /// The trace was intact.
    #[must_use]
    pub fn changed_nothing(&self) -> bool {
        self.cuts.is_empty() && self.indexes.is_empty() && self.completed.is_empty()
    }
}

/// A stream file that was truncated to its complete packets.
#[derive(Debug)]
pub struct Cut {
    /// The stream file.
    pub path: PathBuf,
    /// Its new length in bytes.
    pub kept_bytes: u64,
    /// Number of bytes removed.
    pub cut_bytes: u64,
    /// What was wrong after the last complete packet, unless it was just an incomplete one.
    pub damage: Option<ReadError>,
}

/// Truncates every stream file of the trace in `dir` before its first incomplete or corrupt
/// packet, rewrites existing indexes to match, and completes the chunk that was being written.
/// All files are checked before the first is changed.
///
/// # Errors
/// If `dir` is not a trace, if a file in it does not start like a stream of this trace (nothing
/// is changed then), or if a file cannot be changed.
pub fn repair(dir: &Path) -> Result<RepairSummary, ReadError> {
    let _locks = lock(dir)?;
    let trace = match Trace::open(dir) {
        Err(ReadError::NoMetadata(_)) if was_not_begun(dir) => {
            return Err(ReadError::NotBegun(dir.to_owned()));
        }
        opened => opened?,
    };
    let mut summary = RepairSummary {
        streams: trace.stream_count(),
        ..RepairSummary::default()
    };
    let mut indexes = Vec::new();
    for (path, layout) in trace.files() {
        let mut scanner = Scanner::open(path, layout)?;
        let mut index = index::header().to_vec();
        let damage = loop {
            match scanner.next() {
                Ok(Some((offset, packet))) => {
                    summary.packets += 1;
                    index.extend(IndexEntry::new(offset, &packet.header).to_bytes());
                }
                Ok(None) => break None,
                Err(error @ ReadError::Io { .. }) => return Err(error),
                // not a stream of this trace: truncating would empty it
                Err(error) if scanner.offset() == 0 => return Err(error),
                Err(error) => break Some(error),
            }
        };
        indexes.push((index::path_of(path), index));
        let kept_bytes = scanner.offset();
        let cut_bytes = match (&damage, scanner.tail()) {
            (None, None) => continue,
            (None, Some(tail)) => tail.bytes,
            (Some(_), _) => scanner.len() - kept_bytes,
        };
        summary.cuts.push(Cut {
            path: path.to_owned(),
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
            .map_err(|cause| ReadError::Io {
                path: cut.path.clone(),
                cause,
            })?;
    }
    for (path, index) in indexes {
        match restore(&path, &index) {
            Ok(true) => summary.indexes.push(path),
            Ok(false) => {}
            Err(cause) => return Err(ReadError::Io { path, cause }),
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
            Err(cause) => return Err(ReadError::Io { path, cause }),
        }
    }
    Ok(summary)
}

/// Locks a trace, and, for a chunk, the trace that it belongs to.
fn lock(dir: &Path) -> Result<[Option<FolderLock>; 2], ReadError> {
    let name = dir.file_name().and_then(|name| name.to_str());
    let whole = name.and_then(chunk::number).and(dir.parent());
    let lock = |folder: Option<&Path>| {
        let lock = folder.map(FolderLock::take).transpose();
        lock.map_err(|_| ReadError::InUse(dir.to_owned()))
    };
    Ok([lock(Some(dir))?, lock(whole)?])
}

/// Whether a folder without metadata has what a recorder leaves that was killed before it wrote
/// it: nothing, the beginning of the metadata, or a chunk of which the same is true.
fn was_not_begun(dir: &Path) -> bool {
    let of_a_recorder = |path: PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| {
            name == chunk::NEW_METADATA || chunk::number(name).is_some() && was_not_begun(&path)
        })
    };
    fs::read_dir(dir).is_ok_and(|mut entries| {
        entries.all(|entry| entry.is_ok_and(|entry| of_a_recorder(entry.path())))
    })
}

/// Gives the index at `path`, if there is one, this content; returns whether it had another. The
/// recorder may have been
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
