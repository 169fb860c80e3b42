//! Traces back from their files: all events of all streams in the order of time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::trace::class::Class;
use crate::trace::ctf::layout::Layout;
use crate::trace::ctf::metadata::TraceInfo;
use crate::trace::ctf::scan::{Scanner, Tail};
use crate::trace::ctf::stream::{Event, Head, Loss, Stream};
use crate::trace::ctf::{ReadError, tsdl};
use crate::trace::folder::chunk::{self, Before};
use crate::trace::sidecar::kallsyms::{self, KernelSymbols};
use crate::trace::sidecar::mappings::{self, Mappings};
use crate::trace::sidecar::tasks::{self, Tasks};

/// The largest metadata in bytes that is read.
const MAX_METADATA_LEN: u64 = 256 << 20;

/// Metadata in packets starts with this number (CTF 1.8 §7.1), in either byte order.
const METADATA_MAGIC: u32 = 0x75D1_1D57;

/// A trace on disk: a folder of streams, or of [chunks](super::chunk).
#[derive(Debug)]
pub struct Trace {
    dir: PathBuf,
    layout: Layout,
    /// Folders of the chunks in their order; none: the trace is not in chunks.
    chunks: Vec<PathBuf>,
    /// The files of each stream, in the order of time.
    streams: Vec<Vec<PathBuf>>,
    /// What the streams had come to before the trace, or what is left of it.
    before: Before,
    tasks: Tasks,
}

impl Trace {
    /// Reads what a trace says about itself. Stream files are opened by
    /// [`events`](Self::events).
    ///
    /// # Errors
    /// Where `dir` is not the folder of a trace, or one that this reader cannot decode.
    pub fn open(dir: &Path) -> Result<Self, ReadError> {
        let chunks = chunk::find(dir).map_err(at(dir))?;
        let (first, others) = match chunks.split_first() {
            Some((first, others)) => (first.as_path(), others),
            None => (dir, &[][..]),
        };
        let (metadata, layout) = read_metadata(first)?;
        for other in others {
            let path = chunk::metadata_path(other);
            if fs::read(&path).map_err(at(&path))? != metadata {
                return Err(ReadError::OtherTrace {
                    path: other.clone(),
                    first: first.to_owned(),
                });
            }
        }
        let mut streams = Vec::new();
        let mut tasks = Tasks::default();
        for folder in std::iter::once(first).chain(others.iter().map(PathBuf::as_path)) {
            streams.extend(stream_files(folder)?);
            let names = folder.join(tasks::FILE_NAME);
            tasks.read(folder).map_err(at(&names))?;
        }
        let streams = if chunks.is_empty() {
            streams.into_iter().map(|file| vec![file]).collect()
        } else {
            by_instance(streams, layout.info.uuid)?
        };
        Ok(Self {
            dir: dir.to_owned(),
            before: Before::open(first).map_err(at(&first.join(chunk::BEFORE)))?,
            layout,
            chunks,
            streams,
            tasks,
        })
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What holds for the whole trace.
    #[must_use]
    pub fn info(&self) -> &TraceInfo {
        &self.layout.info
    }

    /// Event classes, in the order of the metadata.
    #[must_use]
    pub fn classes(&self) -> &[Class] {
        &self.layout.classes
    }

    /// Names of threads.
    #[must_use]
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// The functions of the kernel that was recorded; `None` where the trace has not noted
    /// them.
    pub fn kernel_symbols(&self) -> Result<Option<KernelSymbols>, ReadError> {
        for folder in self.folders() {
            let path = folder.join(kallsyms::FILE_NAME);
            if let Some(symbols) = KernelSymbols::open(folder).map_err(at(&path))? {
                return Ok(Some(symbols));
            }
        }
        Ok(None)
    }

    /// Where the code of processes was.
    pub fn mappings(&self) -> Result<Mappings, ReadError> {
        let mut mappings = Mappings::default();
        for folder in self.folders() {
            let path = folder.join(mappings::FILE_NAME);
            mappings.read(folder).map_err(at(&path))?;
        }
        Ok(mappings)
    }

    /// Where the hidden files are that chunks share: in the folder, in its chunks, and, of a
    /// chunk that is read alone, in the folder above it.
    fn folders(&self) -> impl Iterator<Item = &Path> {
        let name = self.dir.file_name().and_then(|name| name.to_str());
        let above = name.and_then(chunk::number).and(self.dir.parent());
        std::iter::once(self.dir.as_path())
            .chain(self.chunks.iter().map(PathBuf::as_path))
            .chain(above)
    }

    /// The folders of its chunks, in their order; none: it is not in chunks.
    #[must_use]
    pub fn chunks(&self) -> &[PathBuf] {
        &self.chunks
    }

    /// The files of each stream, in the order of time: one, or one for each chunk in which
    /// it has packets.
    #[must_use]
    pub fn streams(&self) -> &[Vec<PathBuf>] {
        &self.streams
    }

    /// Where the first packet starts, in nanoseconds of the trace's clock; `None` where
    /// no stream has a packet.
    pub fn start_ns(&self) -> Result<Option<u64>, ReadError> {
        let mut start_ns = None;
        for file in self.streams.iter().filter_map(|files| files.first()) {
            let mut scanner = Scanner::open(file, self.layout.info.uuid)?;
            if let Some((_, header)) = scanner.next()? {
                let begin = header.timestamp_begin;
                start_ns = Some(start_ns.map_or(begin, |start: u64| start.min(begin)));
            }
        }
        Ok(start_ns)
    }

    /// The events from `from_ns` on (0: all). Takes the memory of one packet for each
    /// stream, however large the trace is.
    pub fn events(&self, from_ns: u64) -> Result<Events<'_>, ReadError> {
        let mut streams = Vec::with_capacity(self.streams.len());
        for (first, rest) in self.streams.iter().filter_map(|files| files.split_first()) {
            let stream = Stream::open(&self.layout, first, rest, &self.before, from_ns)?;
            streams.push(stream);
        }
        let mut events = Events {
            heads: Vec::with_capacity(streams.len()),
            queue: BinaryHeap::with_capacity(streams.len()),
            streams,
            given: None,
        };
        for (index, stream) in events.streams.iter_mut().enumerate() {
            let head = stream.advance()?;
            if let Some(head) = &head {
                events.queue.push(Reverse((head.timestamp_ns(), index)));
            }
            events.heads.push(head);
        }
        Ok(events)
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> ReadError {
    let path = path.to_owned();
    move |source| ReadError::Io { path, source }
}

/// The stream files in a folder, in the order of their names.
fn stream_files(folder: &Path) -> Result<Vec<PathBuf>, ReadError> {
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

/// Puts the files of each stream together, in the order of their packets. Empty files, which
/// say of no stream, are left out; one that has less than a packet is by itself.
fn by_instance(files: Vec<PathBuf>, uuid: [u8; 16]) -> Result<Vec<Vec<PathBuf>>, ReadError> {
    let mut streams: BTreeMap<u64, Vec<(u64, PathBuf)>> = BTreeMap::new();
    let mut torn = Vec::new();
    for file in files {
        let mut scanner = Scanner::open(&file, uuid)?;
        if let Some((_, header)) = scanner.next()? {
            let stream = streams.entry(header.stream_instance_id).or_default();
            stream.push((header.sequence, file));
        } else if scanner.tail().is_some() {
            torn.push(vec![file]);
        }
    }
    let in_order = |mut files: Vec<(u64, PathBuf)>| {
        files.sort();
        files.into_iter().map(|(_, file)| file).collect()
    };
    Ok(streams.into_values().map(in_order).chain(torn).collect())
}

/// Reads the metadata of the trace in `dir`: its bytes, and what they mean.
fn read_metadata(dir: &Path) -> Result<(Vec<u8>, Layout), ReadError> {
    let path = chunk::metadata_path(dir);
    let io_error = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory if !dir.is_dir() => {
            ReadError::NoFolder(dir.to_owned())
        }
        io::ErrorKind::NotFound => ReadError::NoMetadata(dir.to_owned()),
        _ => ReadError::Io {
            path: path.clone(),
            source,
        },
    };
    let not_text = |what| ReadError::NotText {
        path: path.clone(),
        what,
    };
    if fs::metadata(&path).map_err(io_error)?.len() > MAX_METADATA_LEN {
        return Err(not_text("it is larger than any metadata"));
    }
    let bytes = fs::read(&path).map_err(io_error)?;
    let layout = layout_of(&bytes, &path)?;
    Ok((bytes, layout))
}

/// Reads metadata that is in no folder: what holds for the whole trace, and its event classes.
/// Errors name `path`.
///
/// # Errors
/// Where it is no metadata, or that of a trace that this reader cannot decode.
pub fn parse_metadata(bytes: &[u8], path: &Path) -> Result<(TraceInfo, Vec<Class>), ReadError> {
    let layout = layout_of(bytes, path)?;
    Ok((layout.info, layout.classes))
}

fn layout_of(bytes: &[u8], path: &Path) -> Result<Layout, ReadError> {
    let not_text = |what| ReadError::NotText {
        path: path.to_owned(),
        what,
    };
    if bytes.is_empty() {
        return Err(ReadError::EmptyMetadata(path.to_owned()));
    }
    let magic = METADATA_MAGIC.to_le_bytes();
    if bytes.starts_with(&magic) || bytes.iter().take(4).rev().eq(magic.iter()) {
        return Err(not_text(
            "it is in packets; `babeltrace2 -o ctf-metadata` shows it as text",
        ));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| not_text("it is not UTF-8 text"))?;
    if !text.starts_with("/* CTF 1.8") {
        return Err(not_text("it does not start with `/* CTF 1.8 */`"));
    }
    let document = tsdl::parse(text).map_err(|source| ReadError::Metadata {
        path: path.to_owned(),
        source,
    })?;
    Layout::new(document).map_err(|what| ReadError::Unsupported {
        path: path.to_owned(),
        what,
    })
}

/// What happened next in a trace.
#[derive(Clone, Debug)]
pub enum Record<'a> {
    /// An event.
    Event(Event<'a>),
    /// Events are missing here.
    Loss(Loss),
}

/// The events of a trace in the order of time; at the same time, in that of the streams.
pub struct Events<'t> {
    streams: Vec<Stream<'t>>,
    /// What each stream has next.
    heads: Vec<Option<Head<'t>>>,
    /// Times of the heads, the first on top.
    queue: BinaryHeap<Reverse<(u64, usize)>>,
    /// The stream whose head was given out last, and is to be replaced.
    given: Option<usize>,
}

impl<'t> Events<'t> {
    /// The next event, which borrows from its packet until the next call; `None` at the
    /// end.
    ///
    /// # Errors
    /// Where a stream is corrupt. That stream ends there; the others can be read on.
    // not an `Iterator`, whose items could not borrow from it
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Record<'_>>, ReadError> {
        self.replace_given()?;
        let Some(&Reverse((_, index))) = self.queue.peek() else {
            return Ok(None);
        };
        self.given = Some(index);
        Ok(self.heads[index].map(|head| match head {
            Head::Loss(loss) => Record::Loss(loss),
            Head::Event {
                timestamp_ns,
                class,
                parts,
            } => Record::Event(self.streams[index].event(timestamp_ns, class, parts)),
        }))
    }

    /// What could not be read at the ends of the streams that were read to their end.
    pub fn tails(&self) -> impl Iterator<Item = &Tail> + use<'_, 't> {
        self.streams.iter().flat_map(Stream::tails)
    }

    fn replace_given(&mut self) -> Result<(), ReadError> {
        let Some(index) = self.given.take() else {
            return Ok(());
        };
        let advanced = self.streams[index].advance();
        let head = *advanced.as_ref().unwrap_or(&None);
        self.heads[index] = head;
        // the stream is still on top: its new time replaces the old one in place
        if let Some(mut top) = self.queue.peek_mut() {
            match &head {
                Some(head) => top.0.0 = head.timestamp_ns(),
                None => {
                    std::collections::binary_heap::PeekMut::pop(top);
                }
            }
        }
        advanced.map(|_| ())
    }
}
