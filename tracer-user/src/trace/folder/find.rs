//! The files of a trace: folders with metadata, and which files are of one stream.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::trace::class::Class;
use crate::trace::ctf::layout::Layout;
use crate::trace::ctf::metadata::TraceInfo;
use crate::trace::ctf::scan::Scanner;
use crate::trace::ctf::stream::StreamFile;
use crate::trace::ctf::{ReadError, source};
use crate::trace::folder::chunk;

/// The largest metadata in bytes that is read.
const MAX_METADATA_LEN: u64 = 256 << 20;

/// How deep below a folder traces are looked for; LTTng puts them two to four levels below
/// that of a session.
const MAX_DEPTH: u32 = 6;

/// Folders that are looked at before a trace is given up.
const MAX_FOLDERS: usize = 20_000;

pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> ReadError {
    let path = path.to_owned();
    move |cause| ReadError::Io { path, cause }
}

/// The folders with metadata below `dir`, in the order of their paths and the numbers of
/// chunks. None if `dir` itself has metadata, or is not a folder.
pub(super) fn folders_below(dir: &Path) -> io::Result<Vec<PathBuf>> {
    if chunk::metadata_path(dir).exists() || !dir.is_dir() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    let mut level = vec![dir.to_owned()];
    let mut looked_at = 0;
    for depth in 0..MAX_DEPTH {
        let mut next = Vec::new();
        for folder in level {
            looked_at += 1;
            let entries = match fs::read_dir(&folder) {
                Ok(entries) if looked_at < MAX_FOLDERS => entries,
                // folders further down may be unreadable
                Err(error) if depth == 0 => return Err(error),
                _ => continue,
            };
            for entry in entries {
                let entry = entry?;
                let path = entry.path();
                // links could lead back up
                let is_folder = if depth == 0 {
                    path.is_dir()
                } else {
                    entry.file_type()?.is_dir()
                };
                if is_folder && chunk::metadata_path(&path).exists() {
                    found.push(path);
                } else if is_folder {
                    next.push(path);
                }
            }
        }
        level = next;
    }
    found.sort_by_cached_key(|path| {
        let name = path.file_name().unwrap_or_default();
        let number = name.to_str().and_then(chunk::number);
        (path.parent().map(Path::to_owned), number, name.to_owned())
    });
    Ok(found)
}

/// Reads the metadata of the trace in `dir`.
pub(super) fn read_metadata(dir: &Path) -> Result<Vec<u8>, ReadError> {
    let path = chunk::metadata_path(dir);
    let io_error = |cause: io::Error| match cause.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory if !dir.is_dir() => {
            ReadError::NoFolder(dir.to_owned())
        }
        io::ErrorKind::NotFound => ReadError::NoMetadata(dir.to_owned()),
        _ => ReadError::Io {
            path: path.clone(),
            cause,
        },
    };
    if fs::metadata(&path).map_err(io_error)?.len() > MAX_METADATA_LEN {
        return Err(ReadError::NotMetadata {
            path,
            what: "it is larger than any metadata",
        });
    }
    fs::read(&path).map_err(io_error)
}

/// Compiles metadata; the indexes of its classes count from `first_index`. Errors name
/// `path`.
pub(super) fn layout_of(
    bytes: &[u8],
    path: &Path,
    first_index: usize,
) -> Result<(Layout, Vec<Class>), ReadError> {
    let unsupported = |what| ReadError::Unsupported {
        path: path.to_owned(),
        what,
    };
    let document = source::parse(bytes, path)?;
    let (layout, classes) = Layout::new(document, first_index).map_err(unsupported)?;
    if layout.streams.is_empty() {
        return Err(unsupported("it describes no stream".to_owned()));
    }
    Ok((layout, classes))
}

/// Parses metadata that is not in a folder: what holds for the whole trace, and its event
/// classes. Errors name `path`.
///
/// # Errors
/// If it is not metadata, or describes a trace that this reader does not support.
pub fn parse_metadata(bytes: &[u8], path: &Path) -> Result<(TraceInfo, Vec<Class>), ReadError> {
    let (layout, classes) = layout_of(bytes, path, 0)?;
    Ok((layout.info, classes))
}

/// The stream files in a folder, in the order of their names.
pub(super) fn stream_files(folder: &Path) -> Result<Vec<PathBuf>, ReadError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let entry = entry.map_err(at(folder))?;
        let name = entry.file_name();
        let hidden = name.as_encoded_bytes().starts_with(b".");
        let path = entry.path();
        if !hidden && name != chunk::METADATA && path.is_file() {
            files.push(path);
        }
    }
    files.sort_by_key(|path| (path.as_os_str().len(), path.clone()));
    Ok(files)
}

/// Puts the files of each stream together, in the order of their packets. A file that does
/// not say which stream it is of is one by itself.
pub(super) fn by_stream(
    files: Vec<StreamFile>,
    layouts: &[Layout],
) -> Result<Vec<Vec<StreamFile>>, ReadError> {
    let mut streams: BTreeMap<_, Vec<(u64, StreamFile)>> = BTreeMap::new();
    for (position, file) in files.into_iter().enumerate() {
        let layout = &layouts[file.layout];
        let first = match Scanner::open(&file.path, layout)?.next() {
            Ok(first) => first.map(|(_, packet)| packet),
            // the error is reported when the stream is read
            Err(_) => None,
        };
        let (key, order) = match first {
            Some(packet) => {
                let order = if packet.has_sequence {
                    packet.header.sequence
                } else {
                    packet.header.timestamp_begin
                };
                let trace = layout.uuid.unwrap_or([file.layout as u8; 16]);
                let stream = layout.streams[packet.stream].id;
                let instance = packet.instance.map(|instance| (trace, stream, instance));
                (instance.ok_or(position), order)
            }
            None => (Err(position), 0),
        };
        streams.entry(key).or_default().push((order, file));
    }
    let in_order = |mut files: Vec<(u64, StreamFile)>| {
        files.sort_by(|a, b| (a.0, &a.1.path).cmp(&(b.0, &b.1.path)));
        files.into_iter().map(|(_, file)| file).collect()
    };
    Ok(streams.into_values().map(in_order).collect())
}
