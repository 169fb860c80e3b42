//! Makes the trace of a recorder that was killed readable for everyone: other readers
//! refuse a trace as a whole where a stream ends in half a packet.

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
    let _locks = lock(dir)?;
    let trace = match Trace::open(dir) {
        Err(ReadError::NoMetadata(_)) if was_not_begun(dir) => {
            return Err(ReadError::NotBegun(dir.to_owned()));
        }
        opened => opened?,
    };
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
