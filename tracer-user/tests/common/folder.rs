//! Folders of synthetic traces.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;
use tracer::trace::ctf::{Clock, EnvValue, FIRST_EVENT_OFFSET, PacketHeader, TraceInfo, metadata};
use tracer::trace::event::EventClass;
use tracer::trace::folder::chunk;
use tracer::trace::sidecar::tasks;

use crate::common::classes::classes;

/// Size in bytes of the packets of these traces.
pub(crate) const PACKET_LEN: usize = 4096;

/// Time stamp of the first event of most of these traces.
pub(crate) const START_NS: u64 = 12_345_678_901_000;

pub(crate) const UUID: [u8; 16] = *b"\x01\x23\x45\x67\x89\xab\xcd\xef0123456\xff";

pub(crate) fn info() -> TraceInfo {
    TraceInfo {
        uuid: UUID,
        clock: Clock {
            uuid: *b"boot-id-16-bytes",
            offset_ns: 1_795_250_777_478_227_952,
        },
        env: vec![
            ("domain".into(), EnvValue::Text("kernel".into())),
            ("tracer_name".into(), EnvValue::Text("lttng-modules".into())),
            ("tracer_major".into(), EnvValue::Number(2)),
            (
                "note".into(),
                EnvValue::Text("a \"b\"\n\\ \u{1b}1 é".into()),
            ),
        ],
    }
}

/// Packets of one stream.
#[derive(Clone)]
pub(crate) struct StreamBytes {
    header: PacketHeader,
    pub(crate) bytes: Vec<u8>,
    pub(crate) packet_len: usize,
}

impl StreamBytes {
    pub(crate) fn new(cpu: u32) -> Self {
        Self {
            header: PacketHeader {
                uuid: UUID,
                stream_instance_id: u64::from(cpu),
                cpu,
                ..PacketHeader::default()
            },
            bytes: Vec::new(),
            packet_len: PACKET_LEN,
        }
    }

    /// Adds a packet of these events, before which `lost` were discarded.
    pub(crate) fn packet(mut self, events: &[Vec<u8>], lost: u64) -> Self {
        let mut packet = vec![0; FIRST_EVENT_OFFSET];
        let mut end = 0;
        for event in events {
            packet.resize(packet.len().next_multiple_of(8), 0);
            packet.extend(event);
            end = packet.len();
        }
        assert!(packet.len() <= self.packet_len);
        packet.resize(self.packet_len, 0xee);
        let timestamp = |event: Option<&Vec<u8>>| {
            event.map(|event| u64::from_le_bytes(event[..8].try_into().unwrap()))
        };
        let begin = timestamp(events.first()).unwrap_or(self.header.timestamp_end);
        self.header = PacketHeader {
            timestamp_begin: begin,
            timestamp_end: timestamp(events.last()).unwrap_or(begin),
            content_bits: PacketHeader::content_bits_for(end),
            packet_bits: self.packet_len as u64 * 8,
            events_discarded: self.header.events_discarded + lost,
            ..self.header
        };
        self.header.write_to(&mut packet);
        self.header.sequence += 1;
        self.bytes.extend(packet);
        self
    }

    /// The stream as it goes on in the next chunk: without the packets that are in this one.
    pub(crate) fn next_chunk(&self) -> Self {
        Self {
            bytes: Vec::new(),
            ..self.clone()
        }
    }

    /// As if `count` packets had been overwritten here.
    pub(crate) fn skip(mut self, count: u64) -> Self {
        self.header.sequence += count;
        self
    }
}

/// One chunk: streams, and the names of threads.
pub(crate) type Chunk<'a> = (&'a [StreamBytes], &'a [(u32, &'a str)]);

/// A trace in a temporary folder.
pub(crate) struct TraceDir(TempDir);

impl TraceDir {
    pub(crate) fn new(streams: &[StreamBytes]) -> Self {
        Self::with_classes(&classes(), streams)
    }

    pub(crate) fn with_classes(classes: &[EventClass], streams: &[StreamBytes]) -> Self {
        let dir = Self(tempfile::tempdir().expect("a temporary folder"));
        dir.write("metadata", metadata(&info(), classes).as_bytes());
        for stream in streams {
            dir.write(&format!("channel0_{}", stream.header.cpu), &stream.bytes);
        }
        dir
    }

    /// A folder of these chunks. The names of their folders are [`chunk_name`]s.
    pub(crate) fn of_chunks(chunks: &[Chunk<'_>]) -> Self {
        let dir = Self(tempfile::tempdir().expect("a temporary folder"));
        for (number, (streams, names)) in chunks.iter().enumerate() {
            let chunk = chunk_name(number as u64);
            fs::create_dir(dir.file(&chunk)).expect("a folder for the chunk");
            let text = metadata(&info(), &classes());
            dir.write(&format!("{chunk}/metadata"), text.as_bytes());
            for stream in *streams {
                let name = format!("{chunk}/channel0_{}", stream.header.cpu);
                dir.write(&name, &stream.bytes);
            }
            let names = tasks_file(names);
            dir.write(&format!("{chunk}/{}", tasks::FILE_NAME), names.as_bytes());
        }
        dir
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.file(name), bytes).expect("a file of the trace");
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.file(name)).expect("a file of the trace")
    }

    pub(crate) fn name_threads(&self, names: &[(u32, &str)]) {
        self.write(tasks::FILE_NAME, tasks_file(names).as_bytes());
    }

    /// Runs `tracer COMMAND DIR ARGS…`.
    pub(crate) fn tracer(&self, command: &str, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_tracer"))
            .arg(command)
            .arg(self.path())
            .args(args)
            .output()
            .expect("the built tracer")
    }
}

fn tasks_file(names: &[(u32, &str)]) -> String {
    names
        .iter()
        .map(|(tid, comm)| tasks::format_line(START_NS, *tid, comm.as_bytes()))
        .collect()
}

/// The name of the folder of a chunk.
pub(crate) fn chunk_name(number: u64) -> String {
    chunk::folder_name(number, "20261121T130532Z")
}
