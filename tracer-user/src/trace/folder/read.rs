//! Traces back from their files: all events of all streams in the order of time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::trace::class::Class;
use crate::trace::ctf::ReadError;
use crate::trace::ctf::layout::{Layout, Thread};
use crate::trace::ctf::metadata::TraceInfo;
use crate::trace::ctf::scan::{Scanner, Tail};
use crate::trace::ctf::stream::{Event, Head, Loss, Piece, Shared, Stream, StreamFile};
use crate::trace::folder::chunk::{self, Before};
use crate::trace::folder::find::{
    at, by_stream, folders_below, layout_of, read_metadata, stream_files,
};
use crate::trace::folder::packets::Packets;
use crate::trace::sidecar::kallsyms::{self, KernelSymbols};
use crate::trace::sidecar::mappings::{self, Mappings};
use crate::trace::sidecar::tasks::{self, Tasks};

/// A trace on disk: a folder of streams or of [chunks](super::chunk), or one with several
/// traces anywhere below it.
#[derive(Debug)]
pub struct Trace {
    dir: PathBuf,
    /// One for each different metadata.
    layouts: Vec<Layout>,
    classes: Vec<Class>,
    /// The folders with metadata; none: the trace is `dir` itself.
    chunks: Vec<PathBuf>,
    /// The files of each stream, in the order of time.
    streams: Vec<Vec<StreamFile>>,
    /// The last packets of the streams before the trace, or what is left of it, for each
    /// layout.
    before: Vec<Before>,
    tasks: Tasks,
}

impl Trace {
    /// Opens a trace: reads its metadata and the start of its stream files.
    ///
    /// # Errors
    /// If there is no trace in or below `dir`, or none that this reader supports.
    pub fn open(dir: &Path) -> Result<Self, ReadError> {
        let chunks = folders_below(dir).map_err(at(dir))?;
        let whole = [dir.to_owned()];
        let folders = if chunks.is_empty() { &whole } else { &*chunks };
        let mut trace = Self {
            dir: dir.to_owned(),
            layouts: Vec::new(),
            classes: Vec::new(),
            chunks: Vec::new(),
            streams: Vec::new(),
            before: Vec::new(),
            tasks: Tasks::default(),
        };
        let mut known: Vec<Vec<u8>> = Vec::new();
        let mut files = Vec::new();
        for folder in folders {
            let bytes = read_metadata(folder)?;
            let layout = match known.iter().position(|known| *known == bytes) {
                Some(layout) => layout,
                None if !known.is_empty() && is_chunk(folder) && is_chunk(&folders[0]) => {
                    return Err(ReadError::OtherTrace {
                        path: folder.clone(),
                        first: folders[0].clone(),
                    });
                }
                None => {
                    trace.add_layout(folder, &bytes)?;
                    known.push(bytes);
                    known.len() - 1
                }
            };
            let paths = stream_files(folder)?.into_iter();
            files.extend(paths.map(|path| StreamFile { path, layout }));
            let names = folder.join(tasks::FILE_NAME);
            trace.tasks.read(folder).map_err(at(&names))?;
        }
        trace.streams = by_stream(files, &trace.layouts)?;
        trace.chunks = chunks;
        Ok(trace)
    }

    fn add_layout(&mut self, folder: &Path, bytes: &[u8]) -> Result<(), ReadError> {
        let path = chunk::metadata_path(folder);
        let (mut layout, classes) = layout_of(bytes, &path, self.classes.len())?;
        let own_ns = layout.streams[0].time.offset_ns();
        let first = self.layouts.first().unwrap_or(&layout);
        let offset_ns = first
            .streams
            .first()
            .map_or(own_ns, |stream| stream.time.offset_ns());
        for stream in &mut layout.streams {
            stream.time.relative_to(offset_ns);
        }
        self.classes.extend(classes);
        self.layouts.push(layout);
        let before = Before::open(folder).map_err(at(&folder.join(chunk::BEFORE)))?;
        self.before.push(before);
        Ok(())
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What holds for the whole trace; of several traces, for the first.
    #[must_use]
    pub fn info(&self) -> &TraceInfo {
        &self.layouts[0].info
    }

    /// Event classes, in the order of the metadata.
    #[must_use]
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }

    /// Whether each event has the ID of its thread: traces of LTTng can lack it.
    #[must_use]
    pub fn has_threads(&self) -> bool {
        let mut streams = self.layouts.iter().flat_map(|layout| &layout.streams);
        streams.all(|stream| !matches!(stream.thread, Thread::Fixed { tid: None, .. }))
    }

    /// Names of threads.
    #[must_use]
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// The functions of the kernel that was recorded; `None` if the trace does not have
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

    /// The mappings of processes.
    pub fn mappings(&self) -> Result<Mappings, ReadError> {
        let mut mappings = Mappings::default();
        for folder in self.folders() {
            let path = folder.join(mappings::FILE_NAME);
            mappings.read(folder).map_err(at(&path))?;
        }
        Ok(mappings)
    }

    /// The folders with sidecar files: the folder, its chunks and, for a single chunk, the folder
    /// above it.
    fn folders(&self) -> impl Iterator<Item = &Path> {
        let name = self.dir.file_name().and_then(|name| name.to_str());
        let above = name.and_then(chunk::number).and(self.dir.parent());
        std::iter::once(self.dir.as_path())
            .chain(self.chunks.iter().map(PathBuf::as_path))
            .chain(above)
    }

    /// The folders of its chunks or traces, in their order; none: it is one folder.
    #[must_use]
    pub fn chunks(&self) -> &[PathBuf] {
        &self.chunks
    }

    /// Number of streams that have a file.
    #[must_use]
    pub fn stream_count(&self) -> usize {
        self.streams.len()
    }

    /// The stream files, each stream's in the order of time.
    pub fn stream_files(&self) -> impl Iterator<Item = &Path> {
        self.files().map(|(path, _)| path)
    }

    /// The stream files with their layouts.
    pub(super) fn files(&self) -> impl Iterator<Item = (&Path, &Layout)> {
        let files = self.streams.iter().flatten();
        files.map(|file| (file.path.as_path(), &self.layouts[file.layout]))
    }

    /// When the first packet starts, in nanoseconds of the trace's clock; `None` if no stream
    /// has a packet.
    pub fn start_ns(&self) -> Result<Option<u64>, ReadError> {
        let mut start_ns = None;
        for file in self.streams.iter().filter_map(|files| files.first()) {
            let layout = &self.layouts[file.layout];
            let mut scanner = Scanner::open(&file.path, layout)?;
            if let Some((_, packet)) = scanner.next()? {
                let time = layout.streams[packet.stream].time;
                let begin = time.ns(packet.header.timestamp_begin);
                start_ns = Some(start_ns.map_or(begin, |start: u64| start.min(begin)));
            }
        }
        Ok(start_ns)
    }

    /// The packets of all streams, by their headers alone.
    ///
    /// # Errors
    /// If a packet header is corrupt.
    pub fn packets(&self) -> Result<Packets, ReadError> {
        let mut packets = Packets::default();
        let mut before = None;
        for (stream, file) in self.numbered_files() {
            let layout = &self.layouts[file.layout];
            let start = &self.before[file.layout].0;
            let mut scanner = Scanner::open(&file.path, layout)?;
            while let Some((_, packet)) = scanner.next()? {
                let header = &packet.header;
                let last = before.and_then(|(of, last)| (of == stream).then_some(last));
                let last = last.or_else(|| start.get(&header.stream_instance_id).copied());
                before = Some((stream, header.into()));
                packets.add(stream, &packet, layout, last);
            }
            packets.tails.extend(scanner.tail().cloned());
        }
        Ok(packets)
    }

    /// The files with the number of their stream.
    fn numbered_files(&self) -> impl Iterator<Item = (usize, &StreamFile)> {
        let streams = self.streams.iter().enumerate();
        streams.flat_map(|(stream, files)| files.iter().map(move |file| (stream, file)))
    }

    /// The events from `from_ns` on (0: all). Stream files are mapped one at a time for each
    /// stream; nothing is kept of what was read.
    pub fn events(&self, from_ns: u64) -> Result<Events<'_>, ReadError> {
        self.events_of(0..self.streams.len(), from_ns, Piece::ALL)
    }

    /// The same of some of the [`stream_count`](Self::stream_count) streams, and only in a
    /// piece of the trace.
    pub fn events_of(
        &self,
        streams: Range<usize>,
        from_ns: u64,
        piece: Piece,
    ) -> Result<Events<'_>, ReadError> {
        let files = &self.streams[streams];
        let shared = Shared {
            layouts: &self.layouts,
            classes: &self.classes,
            from_ns,
            piece,
        };
        let mut streams = Vec::with_capacity(files.len());
        for (first, rest) in files.iter().filter_map(|files| files.split_first()) {
            let before = &self.before[first.layout];
            streams.push(Stream::open(shared, first, rest, before)?);
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

/// Whether a folder has the name of a chunk.
fn is_chunk(folder: &Path) -> bool {
    let name = folder.file_name().and_then(|name| name.to_str());
    name.and_then(chunk::number).is_some()
}

/// What happened next in a trace.
#[derive(Clone, Debug)]
pub enum Record<'a> {
    /// An event.
    Event(Event<'a>),
    /// Events are missing here.
    Loss(Loss),
}

/// The events of a trace by time; events of the same time in the order of their streams.
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
    /// If a stream is corrupt. That stream ends there; the others can still be read.
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
