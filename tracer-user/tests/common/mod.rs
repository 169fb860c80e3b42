//! Synthetic traces, written with the code that the recorder uses; and, for tests of the
//! host, [recordings](recording) of its kernel.
// each test binary uses its part of this
#![allow(dead_code)]

#[cfg(feature = "host-tests")]
pub(crate) mod recording;
#[cfg(feature = "host-tests")]
pub(crate) mod trace;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use tempfile::TempDir;
use tracer::ctf::{
    Clock, EnvValue, FIRST_EVENT_OFFSET, PacketHeader, TraceInfo, chunk, metadata, tasks,
};
use tracer::event::{Display, EventClass, Field, FieldType, IntegerType, Label, LabelKind, Labels};

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

pub(crate) fn number(size_bytes: u16, signed: bool, display: Display) -> IntegerType {
    IntegerType::natural(size_bytes, signed, display)
}

pub(crate) fn field(name: &str, ty: FieldType) -> Field {
    Field {
        name: name.into(),
        ty,
    }
}

pub(crate) fn class(id: u32, name: &str, fields: Vec<Field>) -> EventClass {
    EventClass {
        id,
        name: name.into(),
        context: Vec::new(),
        fields,
    }
}

/// A class with two contexts and a payload of one number, and an event of it.
pub(crate) fn with_context(id: u32, timestamp_ns: u64) -> (EventClass, Vec<u8>) {
    let comm = FieldType::Array {
        element: number(1, false, Display::Text),
        length: 6,
    };
    let int = |signed| FieldType::Integer(number(4, signed, Display::Decimal));
    let class = EventClass {
        context: vec![field("uid", int(false)), field("comm", comm)],
        ..class(id, "test:context", vec![field("value", int(true))])
    };
    let parts = [
        &1000u32.to_le_bytes()[..],
        b"cat\0\0\0",
        // what aligns the payload to 8 bytes
        &[0xdd; 6],
        &(-1i32).to_le_bytes(),
    ];
    (class, event(timestamp_ns, id, 7, &parts.concat()))
}

/// A 32-bit number in a slot of 8 bytes, as arguments of system calls are.
pub(crate) fn slot(signed: bool, display: Display) -> FieldType {
    FieldType::Integer(IntegerType {
        align_bits: 64,
        ..number(4, signed, display)
    })
}

/// A signed number of 8 bytes.
pub(crate) fn slot64() -> FieldType {
    FieldType::Integer(number(8, true, Display::Decimal))
}

pub(crate) const SWITCH: u32 = 0;
pub(crate) const GETPPID: u32 = 1;
pub(crate) const OPENAT: u32 = 2;
pub(crate) const KPROBE: u32 = 3;
pub(crate) const EVERYTHING: u32 = 9;
pub(crate) const LABELED: u32 = 10;

/// Classes like those that are recorded, and one with each type of field.
pub(crate) fn classes() -> Vec<EventClass> {
    use Display::{Decimal, Hexadecimal, Octal, Text};
    let int = |bytes, signed, display| FieldType::Integer(number(bytes, signed, display));
    let comm = FieldType::Array {
        element: number(1, false, Text),
        length: 16,
    };
    let mut classes = vec![
        class(
            SWITCH,
            "sched:sched_switch",
            vec![
                field("prev_comm", comm.clone()),
                field("prev_pid", int(4, true, Decimal)),
                field("prev_prio", int(4, true, Decimal)),
                field("prev_state", int(8, true, Decimal)),
                field("next_comm", comm),
                field("next_pid", int(4, true, Decimal)),
                field("next_prio", int(4, true, Decimal)),
            ],
        ),
        class(GETPPID, "syscall_entry_getppid", vec![]),
        class(
            OPENAT,
            "syscall_entry_openat",
            vec![
                field("dfd", slot(true, Decimal)),
                field("filename", FieldType::String),
                field("flags", slot(false, Hexadecimal)),
                field("mode", slot(false, Octal)),
            ],
        ),
        class(
            KPROBE,
            "kprobe:\"vfs_read\"+0x10\\",
            vec![field("arg0", int(8, false, Hexadecimal))],
        ),
        class(
            EVERYTHING,
            "test:everything",
            vec![
                field("u8", int(1, false, Decimal)),
                field("s16", int(2, true, Decimal)),
                field(
                    "bits",
                    FieldType::Integer(IntegerType {
                        size_bits: 3,
                        align_bits: 1,
                        signed: true,
                        display: Decimal,
                    }),
                ),
                field(
                    "more_bits",
                    FieldType::Integer(IntegerType {
                        size_bits: 13,
                        align_bits: 1,
                        signed: false,
                        display: Decimal,
                    }),
                ),
                field(
                    "packed",
                    FieldType::Integer(number(8, false, Decimal).packed()),
                ),
                field(
                    "array",
                    FieldType::Array {
                        element: number(2, false, Decimal),
                        length: 3,
                    },
                ),
                field(
                    "sequence",
                    FieldType::Sequence {
                        element: number(8, false, Hexadecimal),
                    },
                ),
                field(
                    "packed_sequence",
                    FieldType::Sequence {
                        element: number(2, true, Decimal).packed(),
                    },
                ),
                field(
                    "text",
                    FieldType::Sequence {
                        element: number(1, false, Text),
                    },
                ),
                field("string", FieldType::String),
                field("enum", int(1, false, Decimal)),
            ],
        ),
    ];
    classes.extend(labeled_classes());
    classes
}

fn labeled_classes() -> [EventClass; 2] {
    [
        class(
            LABELED,
            "test:labeled",
            vec![
                field("state", labeled(4, true, LabelKind::Values, &STATES)),
                field("flags", labeled(4, false, bits("|"), &FLAGS)),
                field("rwbs", labeled(8, true, bits(""), &[(1, "R"), (2, "W")])),
            ],
        ),
        class(
            LABELED + 1,
            "irq_softirq_entry",
            vec![field("vec", labeled(4, false, LabelKind::Values, &STATES))],
        ),
    ]
}

const STATES: [(u64, &str); 4] = [
    (u64::MAX, "unknown"),
    (1, "run \"ning\""),
    (1, "second name"),
    (3, "TIMER"),
];

/// As `__print_flags` has them: what stands for several bits comes first.
const FLAGS: [(u64, &str); 5] = [
    (0xc0, "GFP_NOFS"),
    (0x40, "IO"),
    (0x80, "FS"),
    (1 << 31, "HIGH"),
    (0, "none"),
];

fn bits(delimiter: &str) -> LabelKind {
    LabelKind::Bits {
        delimiter: delimiter.into(),
    }
}

fn labeled(bytes: u16, signed: bool, kind: LabelKind, labels: &[(u64, &str)]) -> FieldType {
    let label = |&(value, name): &(u64, &str)| Label {
        value,
        name: name.into(),
    };
    let display = match kind {
        LabelKind::Values => Display::Decimal,
        LabelKind::Bits { .. } => Display::Hexadecimal,
    };
    let entries = labels.iter().map(label).collect();
    FieldType::Labeled {
        number: number(bytes, signed, display),
        labels: Arc::new(Labels { kind, entries }),
    }
}

/// An event of [`LABELED`].
pub(crate) fn labeled_event(timestamp_ns: u64, state: i32, flags: u32, rwbs: u64) -> Vec<u8> {
    let mut payload = state.to_le_bytes().to_vec();
    payload.extend(flags.to_le_bytes());
    payload.extend(rwbs.to_le_bytes());
    event(timestamp_ns, LABELED, 7, &payload)
}

/// Some of them, and one whose field must be a plain integer.
pub(crate) fn labeled_sample() -> TraceDir {
    let stream = StreamBytes::new(0).packet(
        &[
            labeled_event(START_NS, 3, 0xc0, 1),
            labeled_event(START_NS + 1, -1, 0x8000_0041, 3),
            labeled_event(START_NS + 2, 1, 0, 0x13),
            labeled_event(START_NS + 3, 2, 0x10, 0),
            event(START_NS + 4, LABELED + 1, 7, &3u32.to_le_bytes()),
        ],
        0,
    );
    TraceDir::new(&[stream])
}

/// An event as the recorder gets it, without padding at its end.
pub(crate) fn event(timestamp_ns: u64, class: u32, tid: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = timestamp_ns.to_le_bytes().to_vec();
    bytes.extend(class.to_le_bytes());
    bytes.extend(tid.to_le_bytes());
    bytes.extend((tid / 10 * 10).to_le_bytes());
    bytes.extend((24 + payload.len() as u32).to_le_bytes());
    bytes.extend(payload);
    bytes
}

pub(crate) fn switch(timestamp_ns: u64, prev: (&str, u32), next: (&str, u32)) -> Vec<u8> {
    let mut payload = Vec::new();
    for (comm, pid) in [prev, next] {
        let mut padded = [0; 16];
        padded[..comm.len()].copy_from_slice(comm.as_bytes());
        payload.extend(padded);
        payload.extend(pid.to_le_bytes());
        payload.extend(120u32.to_le_bytes());
        if payload.len() == 24 {
            payload.extend(1u64.to_le_bytes());
        }
    }
    event(timestamp_ns, SWITCH, prev.1, &payload)
}

pub(crate) fn openat(timestamp_ns: u64, tid: u32, filename: &[u8]) -> Vec<u8> {
    // a string is not aligned: it starts right behind the 32-bit number
    let mut payload = (-100i32).to_le_bytes().to_vec();
    payload.extend(filename);
    payload.push(0);
    payload.resize(payload.len().next_multiple_of(8), 0xdd);
    payload.extend(0x8_0000u64.to_le_bytes());
    payload.extend(0o644u32.to_le_bytes());
    event(timestamp_ns, OPENAT, tid, &payload)
}

/// With `sequence` elements in each sequence.
pub(crate) fn everything(timestamp_ns: u64, sequence: u32) -> Vec<u8> {
    let mut payload = vec![200, 0];
    payload.extend((-2i16).to_le_bytes());
    // 3 bits of -3, 13 bits of 4321
    payload.extend((0b101 | 4321u16 << 3).to_le_bytes());
    payload.extend(u64::MAX.to_le_bytes());
    payload.extend([1u16, 2, 65535].map(u16::to_le_bytes).concat());
    payload.resize(payload.len().next_multiple_of(8), 0xdd);
    payload.extend(sequence.to_le_bytes());
    payload.resize(payload.len().next_multiple_of(8), 0xdd);
    (0..sequence).for_each(|n| payload.extend(u64::from(n + 10).to_le_bytes()));
    payload.extend(sequence.to_le_bytes());
    (0..sequence).for_each(|n| payload.extend((-(n as i16)).to_le_bytes()));
    payload.extend(sequence.to_le_bytes());
    payload.extend((0..sequence).map(|n| b'a' + n as u8));
    payload.extend("tail é\0".as_bytes());
    payload.push(7);
    event(timestamp_ns, EVERYTHING, 77, &payload)
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

/// A trace in a folder of its own, which goes with it.
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

/// Two streams that take turns, with each class of event.
pub(crate) fn sample() -> TraceDir {
    let t = START_NS;
    let first = StreamBytes::new(0)
        .packet(
            &[
                switch(t, ("bash", 41), ("kworker/0:1", 7)),
                openat(t + 2_000, 41, b"/etc/passwd"),
                event(t + 4_000, GETPPID, 41, &[]),
            ],
            0,
        )
        .packet(&[everything(t + 9_000, 3), everything(t + 9_001, 0)], 0);
    let second = StreamBytes::new(1)
        .packet(
            &[event(
                t + 1_000,
                KPROBE,
                52,
                &0xffff_8000_0000_1234u64.to_le_bytes(),
            )],
            0,
        )
        .packet(&[], 0)
        .packet(&[event(t + 3_000, GETPPID, 0, &[])], 0);
    let dir = TraceDir::new(&[first, second]);
    dir.name_threads(&[(41, "bash"), (52, "a thread")]);
    dir
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone())
        .unwrap_or_else(|error| panic!("{}", String::from_utf8_lossy(error.as_bytes())))
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8 on stderr")
}
