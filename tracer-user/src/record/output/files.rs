//! The files of a trace folder: their names, their creation, and their owner.

use std::env;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::record::sink::{FileSink, IndexedSink, SinkKind};
use crate::trace::ctf::index;
use crate::trace::folder::chunk;
use crate::trace::sidecar::{kallsyms, mappings, tasks};

const STREAM_PREFIX: &str = "channel0_";

/// The file of a stream.
fn stream_path(folder: &Path, cpu: u32) -> PathBuf {
    folder.join(format!("{STREAM_PREFIX}{cpu}"))
}

/// The file of a stream, with its index, in a trace folder or a chunk.
pub(super) fn stream_sink(
    folder: &Path,
    cpu: u32,
    kind: SinkKind,
    packet_bytes: usize,
) -> io::Result<IndexedSink<FileSink>> {
    let file = FileSink::create(&stream_path(folder, cpu), kind, packet_bytes)?;
    let indexes = folder.join(index::FOLDER_NAME);
    match create_folder(&indexes) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let name = format!("{STREAM_PREFIX}{cpu}{}", index::SUFFIX);
    Ok(IndexedSink::new(file, &indexes.join(name)))
}

/// Writes the new file `path`, for its owner alone.
pub(super) fn write_new(path: &Path, text: &str) -> io::Result<File> {
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            Ok(file)
        })
        .map_err(|error| named(path, "cannot write", &error))
}

/// Moves `from` to `to`, which must not exist.
pub(super) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    let renamed = match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not all file systems have it.
        Err(Errno::INVAL | Errno::NOSYS) => fs::rename(from, to),
        renamed => renamed.map_err(io::Error::from),
    };
    renamed.map_err(|error| named(to, "cannot write", &error))
}

/// Appends to a metadata file that exists, all of `text` or nothing: half of it would make the
/// trace unreadable.
pub(super) fn append_metadata(path: &Path, text: &str) -> io::Result<()> {
    fs::OpenOptions::new()
        .append(true)
        .open(path)
        .and_then(|mut file| {
            let before = file.metadata()?.len();
            file.write_all(text.as_bytes())
                .inspect_err(|_| drop(file.set_len(before)))
        })
        .map_err(|error| named(path, "cannot write", &error))
}

/// Creates a folder that its owner alone can open: a trace shows what others do.
pub(super) fn create_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .mode(0o700)
        .create(path)
        .map_err(|error| named(path, "cannot create the folder", &error))
}

/// `error` with what could not be done, and to which file.
pub(super) fn named(path: &Path, what: &str, error: &io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("{what} `{}`: {error}", path.display()),
    )
}

/// True for what the recorder puts into a trace folder.
pub(super) fn is_of_a_trace(path: &Path) -> bool {
    if is_chunk(path) {
        return all_entries(path, is_of_a_chunk);
    }
    is_of_a_chunk(path)
}

fn is_of_a_chunk(path: &Path) -> bool {
    if is_index(path) {
        let is_stream_index = |path: &Path| {
            let name = name(path).strip_suffix(index::SUFFIX);
            name.is_some_and(is_stream)
        };
        return all_entries(path, is_stream_index);
    }
    let hidden = [
        tasks::FILE_NAME,
        kallsyms::FILE_NAME,
        mappings::FILE_NAME,
        chunk::OPEN_METADATA,
        chunk::BEFORE,
        chunk::NEW_METADATA,
    ];
    let name = name(path);
    path.is_file() && (name == chunk::METADATA || hidden.contains(&name) || is_stream(name))
}

fn is_stream(name: &str) -> bool {
    name.strip_prefix(STREAM_PREFIX)
        .is_some_and(|cpu| cpu.parse::<u32>().is_ok())
}

fn is_index(path: &Path) -> bool {
    name(path) == index::FOLDER_NAME && is_folder(path)
}

fn is_chunk(path: &Path) -> bool {
    chunk::number(name(path)).is_some() && is_folder(path)
}

fn is_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|entry| entry.is_dir())
}

fn name(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("")
}

fn all_entries(folder: &Path, is: impl Fn(&Path) -> bool) -> bool {
    fs::read_dir(folder)
        .is_ok_and(|mut entries| entries.all(|entry| entry.is_ok_and(|entry| is(&entry.path()))))
}

/// Removes a part of a trace.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    if is_folder(path) {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    }
}

/// The user and group who called `sudo`, if that is how we were started.
pub(super) fn caller() -> Option<(u32, u32)> {
    let id = |name| env::var(name).ok().and_then(|id| id.parse().ok());
    Some((id("SUDO_UID")?, id("SUDO_GID")?))
}

/// Gives a trace folder or a chunk to the user who called `sudo`. Chunks that are in it are
/// left out: each is given when it is complete.
pub(super) fn give_to_caller(folder: &Path) -> io::Result<()> {
    let Some((uid, gid)) = caller() else {
        return Ok(());
    };
    let give = |path: &Path| {
        chown(path, Some(uid), Some(gid))
            .map_err(|error| named(path, "cannot give to its user", &error))
    };
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if is_index(&path) {
            for entry in fs::read_dir(&path)? {
                give(&entry?.path())?;
            }
        }
        if !is_chunk(&path) {
            give(&path)?;
        }
    }
    give(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_recorder_makes_is_of_a_trace() {
        let folder = tempfile::tempdir().unwrap();
        let chunk = folder
            .path()
            .join(chunk::folder_name(3, "20261121T130532Z"));
        create_folder(&chunk).unwrap();
        for cpu in [0, 12] {
            drop(stream_sink(&chunk, cpu, SinkKind::Copy, 4096).unwrap());
        }
        for name in [
            chunk::OPEN_METADATA,
            chunk::BEFORE,
            tasks::FILE_NAME,
            kallsyms::FILE_NAME,
            mappings::FILE_NAME,
        ] {
            fs::write(chunk.join(name), "").unwrap();
        }
        assert!(is_of_a_trace(&chunk));
        assert!(all_entries(&chunk, is_of_a_trace));
    }

    #[test]
    fn a_chunk_with_something_else_in_it_is_not_of_a_trace() {
        let folder = tempfile::tempdir().unwrap();
        let chunk = folder
            .path()
            .join(chunk::folder_name(3, "20261121T130532Z"));
        create_folder(&chunk).unwrap();
        fs::write(chunk.join("thesis.tex"), "").unwrap();
        assert!(!is_of_a_trace(&chunk));
    }
}
