//! Traces of ours as our own reader reads them, whole and damaged.

mod common;

use std::fs;

use tracer::trace::ctf::index::{self, IndexEntry};
use tracer::trace::ctf::{Loss, PacketHeader, ReadError};
use tracer::trace::folder::{Record, Trace, repair};
use tracer::trace::{Value, ValueLabel};

use self::common::{GETPPID, PACKET_LEN, START_NS, StreamBytes, TraceDir, event, info, sample};

/// Reads all of a trace, and each value in it.
fn read_all(dir: &TraceDir) -> Result<Vec<(u64, u32, String)>, ReadError> {
    let trace = Trace::open(dir.path())?;
    let mut events = trace.events(0)?;
    let mut read = Vec::new();
    while let Some(record) = events.next()? {
        if let Record::Event(event) = record {
            for (_, value) in event.fields() {
                if let Value::Numbers(numbers) = value {
                    numbers.for_each(drop);
                }
            }
            read.push((event.timestamp_ns, event.cpu, event.class.name.clone()));
        }
    }
    Ok(read)
}

fn losses(dir: &TraceDir) -> Vec<Loss> {
    let trace = Trace::open(dir.path()).unwrap();
    let mut events = trace.events(0).unwrap();
    let mut losses = Vec::new();
    while let Some(record) = events.next().unwrap() {
        if let Record::Loss(loss) = record {
            losses.push(loss);
        }
    }
    losses
}

fn one_event(timestamp_ns: u64) -> [Vec<u8>; 1] {
    [event(timestamp_ns, GETPPID, 1, &[])]
}

fn two_packets() -> StreamBytes {
    StreamBytes::new(0)
        .packet(&one_event(START_NS), 0)
        .packet(&one_event(START_NS + 1), 0)
}

#[test]
fn what_holds_for_the_trace_reads_back() {
    assert_eq!(*Trace::open(sample().path()).unwrap().info(), info());
}

#[test]
fn classes_read_back() {
    let dir = sample();
    let trace = Trace::open(dir.path()).unwrap();
    let written = common::classes();
    assert_eq!(trace.classes().len(), written.len());
    for (read, written) in trace.classes().iter().zip(&written) {
        assert_eq!((read.id, &read.name), (written.id, &written.name));
        let names = |class: &tracer::trace::Class| -> Vec<String> {
            class
                .fields
                .iter()
                .map(|field| field.name.clone())
                .collect()
        };
        let expected: Vec<_> = written
            .fields
            .iter()
            .map(|field| field.name.clone())
            .collect();
        assert_eq!(names(read), expected);
    }
}

#[test]
fn streams_are_merged_in_the_order_of_time() {
    let read = read_all(&sample()).unwrap();
    let order: Vec<_> = read
        .iter()
        .map(|(ns, cpu, _)| (ns - START_NS, *cpu))
        .collect();
    let expected = [
        (0, 0),
        (1_000, 1),
        (2_000, 0),
        (3_000, 1),
        (4_000, 0),
        (9_000, 0),
        (9_001, 0),
    ];
    assert_eq!(order, expected);
}

#[test]
fn reading_can_start_at_a_time() {
    let dir = sample();
    let trace = Trace::open(dir.path()).unwrap();
    let mut events = trace.events(START_NS + 3_001).unwrap();
    let Some(Record::Event(first)) = events.next().unwrap() else {
        panic!("an event expected");
    };
    assert_eq!(first.timestamp_ns, START_NS + 4_000);
}

#[test]
fn a_rise_of_discarded_events_is_a_loss() {
    let stream = StreamBytes::new(2)
        .packet(&one_event(START_NS), 0)
        .packet(&one_event(START_NS + 5), 1204)
        .packet(&one_event(START_NS + 9), 0);
    let expected = Loss {
        timestamp_ns: START_NS + 5,
        cpu: 2,
        events: 1204,
        packets: 0,
    };
    assert_eq!(losses(&TraceDir::new(&[stream])), [expected]);
}

#[test]
fn a_jump_of_the_sequence_is_a_loss_of_packets() {
    let stream = StreamBytes::new(0)
        .packet(&one_event(START_NS), 0)
        .skip(3)
        .packet(&one_event(START_NS + 5), 0);
    let losses = losses(&TraceDir::new(&[stream]));
    assert_eq!(losses.len(), 1);
    assert_eq!((losses[0].events, losses[0].packets), (0, 3));
}

#[test]
fn half_a_packet_at_the_end_is_noted() {
    for cut in [1, PACKET_LEN - 83, PACKET_LEN - 1] {
        let mut stream = two_packets();
        stream.bytes.truncate(2 * PACKET_LEN - cut);
        let dir = TraceDir::new(&[stream]);
        let trace = Trace::open(dir.path()).unwrap();
        let mut events = trace.events(0).unwrap();
        let mut count = 0;
        while events.next().unwrap().is_some() {
            count += 1;
        }
        let tails: Vec<_> = events.tails().cloned().collect();
        assert_eq!(count, 1, "cut by {cut}");
        assert_eq!(tails.len(), 1, "cut by {cut}");
        assert_eq!(tails[0].offset, PACKET_LEN as u64);
        assert_eq!(tails[0].bytes, (PACKET_LEN - cut) as u64);
    }
}

#[test]
fn zeros_at_the_end_are_noted() {
    let mut stream = two_packets();
    stream.bytes.resize(5 * PACKET_LEN, 0);
    assert_eq!(read_all(&TraceDir::new(&[stream])).unwrap().len(), 2);
}

#[test]
fn a_packet_of_another_trace_is_an_error() {
    let mut stream = two_packets();
    stream.bytes[PACKET_LEN + 4] ^= 1;
    let error = read_all(&TraceDir::new(&[stream])).unwrap_err();
    assert!(
        matches!(error, ReadError::ForeignPacket { offset: 4096, .. }),
        "{error}"
    );
}

#[test]
fn content_larger_than_its_packet_is_an_error() {
    let mut stream = two_packets();
    stream.bytes[48..56].copy_from_slice(&(PACKET_LEN as u64 * 8 + 1).to_le_bytes());
    let error = read_all(&TraceDir::new(&[stream])).unwrap_err();
    assert!(
        matches!(error, ReadError::Packet { offset: 0, .. }),
        "{error}"
    );
}

#[test]
fn a_packet_of_absurd_size_is_an_error() {
    let mut stream = two_packets();
    stream.bytes[56..64].copy_from_slice(&(1u64 << 60).to_le_bytes());
    let error = read_all(&TraceDir::new(&[stream])).unwrap_err();
    assert!(
        matches!(error, ReadError::Packet { offset: 0, .. }),
        "{error}"
    );
}

#[test]
fn an_event_that_its_content_cuts_is_an_error() {
    let mut stream = two_packets();
    stream.bytes[48..56].copy_from_slice(&(90u64 * 8).to_le_bytes());
    let error = read_all(&TraceDir::new(&[stream])).unwrap_err();
    assert!(
        matches!(error, ReadError::PastContent { offset: 88, .. }),
        "{error}"
    );
}

#[test]
fn an_unknown_class_is_an_error() {
    let stream = StreamBytes::new(0).packet(&[event(START_NS, 4711, 1, &[])], 0);
    let error = read_all(&TraceDir::new(&[stream])).unwrap_err();
    assert!(
        matches!(
            error,
            ReadError::UnknownClass {
                id: 4711,
                offset: 88,
                ..
            }
        ),
        "{error}"
    );
}

/// The index of two packets.
fn index_of(stream: &StreamBytes) -> Vec<u8> {
    let mut index = index::header().to_vec();
    for offset in [0, PACKET_LEN] {
        let header = PacketHeader::parse(&stream.bytes[offset..]).unwrap();
        index.extend(IndexEntry::new(offset as u64, &header).to_bytes());
    }
    index
}

#[test]
fn an_index_leads_past_earlier_packets() {
    let stream = StreamBytes::new(0)
        .packet(&one_event(START_NS), 7)
        .packet(&one_event(START_NS + 5), 1);
    let mut damaged = stream.clone();
    damaged.bytes[0] = 0;
    for (has_index, has_damage) in [(true, true), (true, false), (false, false)] {
        let dir = TraceDir::new(&[if has_damage { &damaged } else { &stream }.clone()]);
        if has_index {
            fs::create_dir(dir.file(index::FOLDER_NAME)).unwrap();
            dir.write("index/channel0_0.idx", &index_of(&stream));
        }
        let trace = Trace::open(dir.path()).unwrap();
        let mut events = trace.events(START_NS + 1).unwrap();
        let Some(Record::Loss(loss)) = events.next().unwrap() else {
            panic!("a loss expected");
        };
        assert_eq!(loss.events, 1);
        let Some(Record::Event(event)) = events.next().unwrap() else {
            panic!("an event expected");
        };
        assert_eq!(event.timestamp_ns, START_NS + 5);
    }
}

#[test]
fn an_index_that_does_not_fit_is_not_used() {
    let stream = two_packets();
    let mut index = index_of(&stream);
    let last = index.len() - 1;
    index[last] ^= 1;
    let dir = TraceDir::new(&[stream]);
    fs::create_dir(dir.file(index::FOLDER_NAME)).unwrap();
    dir.write("index/channel0_0.idx", &index);
    let trace = Trace::open(dir.path()).unwrap();
    let mut events = trace.events(START_NS + 1).unwrap();
    assert!(matches!(events.next(), Ok(Some(Record::Event(_)))));
    assert!(matches!(events.next(), Ok(None)));
}

#[test]
fn repair_keeps_whole_packets_and_is_idempotent() {
    let mut stream = two_packets();
    stream.bytes.truncate(PACKET_LEN + 100);
    let dir = TraceDir::new(&[stream, StreamBytes::new(1)]);
    let first = repair(dir.path()).unwrap();
    assert_eq!((first.streams, first.packets, first.cuts.len()), (2, 1, 1));
    assert_eq!(first.cuts[0].cut_bytes, 100);
    assert_eq!(dir.read("channel0_0").len(), PACKET_LEN);
    let second = repair(dir.path()).unwrap();
    assert_eq!((second.packets, second.cuts.len()), (1, 0));
}

#[test]
fn repair_completes_the_indexes() {
    let whole = two_packets();
    let mut torn = StreamBytes::new(1).packet(&[], 0).packet(&[], 0);
    torn.bytes.truncate(PACKET_LEN + 100);
    let dir = TraceDir::new(&[whole, torn, StreamBytes::new(2)]);
    fs::create_dir(dir.file(index::FOLDER_NAME)).unwrap();
    // killed before the first entry, and with an entry of what is torn
    dir.write("index/channel0_0.idx", &index::header());
    let mut both = index::header().to_vec();
    both.extend([0; 2 * index::ENTRY_LEN]);
    dir.write("index/channel0_1.idx", &both);
    let indexes = ["index/channel0_0.idx", "index/channel0_1.idx"].map(|name| dir.file(name));
    assert_eq!(repair(dir.path()).unwrap().indexes, indexes);
    assert!(repair(dir.path()).unwrap().changed_nothing());
    let offsets = |name| -> Vec<u64> {
        let entries = index::parse(&dir.read(name)).unwrap();
        entries.iter().map(|entry| entry.offset).collect()
    };
    assert_eq!(offsets("index/channel0_0.idx"), [0, PACKET_LEN as u64]);
    assert_eq!(offsets("index/channel0_1.idx"), [0]);
    assert!(!dir.file("index/channel0_2.idx").exists());
}

#[test]
fn repair_cuts_damage_and_says_so() {
    let mut stream = two_packets();
    stream.bytes[PACKET_LEN] = 0;
    let dir = TraceDir::new(&[stream]);
    let summary = repair(dir.path()).unwrap();
    assert_eq!(summary.cuts[0].cut_bytes, PACKET_LEN as u64);
    assert!(summary.cuts[0].damage.is_some());
}

#[test]
fn repair_leaves_files_alone_that_are_not_of_the_trace() {
    let mut torn = two_packets();
    torn.bytes.truncate(PACKET_LEN + 1);
    let dir = TraceDir::new(&[torn]);
    dir.write("notes", &[b'x'; 200]);
    assert!(repair(dir.path()).is_err());
    assert_eq!(dir.read("notes").len(), 200);
    assert_eq!(dir.read("channel0_0").len(), PACKET_LEN + 1);
}

#[test]
fn repair_refuses_a_folder_that_is_no_trace() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "x").unwrap();
    assert!(matches!(repair(dir.path()), Err(ReadError::NoMetadata(_))));
}

/// Pseudo-random numbers, the same in each run (xorshift64).
fn random(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state as usize
}

#[test]
fn no_damage_of_a_stream_makes_the_reader_panic() {
    let dir = sample();
    let whole = dir.read("channel0_0");
    let mut state = 0x9e37_79b9_7f4a_7c15;
    // every byte of what has content, and some of the rest
    let positions = (0..400).chain(PACKET_LEN..PACKET_LEN + 500);
    for position in positions {
        for bit in [0, 3, 7] {
            let mut damaged = whole.clone();
            damaged[position] ^= 1 << bit;
            dir.write("channel0_0", &damaged);
            let _ = read_all(&dir);
        }
    }
    for _ in 0..300 {
        dir.write("channel0_0", &whole[..random(&mut state) % whole.len()]);
        assert!(read_all(&dir).is_ok());
    }
}

#[test]
fn no_damage_of_the_metadata_makes_the_parser_panic() {
    let dir = sample();
    let whole = dir.read("metadata");
    for end in 0..whole.len() {
        dir.write("metadata", &whole[..end]);
        let _ = Trace::open(dir.path());
    }
    let mut state = 0x9e37_79b9_7f4a_7c15;
    for _ in 0..5000 {
        let mut damaged = whole.clone();
        for _ in 0..=random(&mut state) % 3 {
            let position = 12 + random(&mut state) % (whole.len() - 12);
            damaged[position] = b"{}[]();:=<>.,\"\\/*-9az_ \n\xff"[random(&mut state) % 25];
        }
        dir.write("metadata", &damaged);
        let _ = read_all(&dir);
    }
}

/// Metadata with `payload` as the only event's structure.
fn open_with(payload: &str) -> Result<Trace, ReadError> {
    let dir = TraceDir::with_classes(&[], &[]);
    let mut text = String::from_utf8(dir.read("metadata")).unwrap();
    text.push_str("event { name = \"e\"; id = 0; stream_id = 0; fields := ");
    text.push_str(payload);
    text.push_str("; };\n");
    dir.write("metadata", text.as_bytes());
    Trace::open(dir.path())
}

#[test]
fn absurd_metadata_is_refused() {
    let deep = format!("{}int x;{}", "struct { ".repeat(1000), " } y;".repeat(1000));
    for payload in [
        "struct { integer { size = 65; } x; }",
        "struct { integer { size = 0; } x; }",
        "struct { integer { size = 8; align = 3; } x; }",
        "struct { integer { size = 8; align = 0; } x; }",
        "struct { uint32_t x[4294967295]; }",
        "struct { uint32_t x; } align(1099511627776)",
        "struct { uint32_t x[y]; }",
        "struct { floating_point { exp_dig = 9; mant_dig = 24; } x; }",
        "struct { variant <y> { uint8_t a; } x; }",
        "struct { nothing x; }",
        deep.as_str(),
    ] {
        assert!(open_with(payload).is_err(), "{payload:.60}");
    }
}

#[test]
fn an_error_of_metadata_names_its_line() {
    let error = open_with("struct {\n\n uint32_t 5; }").unwrap_err();
    let ReadError::Metadata { cause, .. } = &error else {
        panic!("{error}");
    };
    assert!(cause.what.contains("`5`"), "{error}");
}

/// What LTTng writes: compact headers, names in the context, enumerations, lengths of
/// sequences that are not 32 bits.
#[test]
fn compact_headers_and_enumerations_are_read() {
    let dir = TraceDir::with_classes(&[], &[]);
    let text = String::from_utf8(dir.read("metadata")).unwrap();
    let (before, rest) = text.split_once("\tevent.header").unwrap();
    let (_, after) = rest.split_once("};\n\n").unwrap();
    let text = format!(
        "{before}\tevent.header := struct {{
            enum : integer {{ size = 5; align = 1; }} {{ compact = 0 ... 30, extended = 31 }} id;
            variant <id> {{
                struct {{ integer {{ size = 27; align = 1; map = clock.monotonic.value; }} timestamp; }} compact;
                struct {{ uint32_t id; packet_time_t timestamp; }} extended;
            }} v;
        }} align(8);
        event.context := struct {{
            integer {{ size = 8; encoding = UTF8; }} _procname[4];
            integer {{ size = 32; align = 8; signed = 1; }} _tid;
        }};
        }};
        event {{ name = \"e\"; id = 3; stream_id = 0; fields := struct {{
            enum : uint8_t {{ \"zero\", two = 2, many = 10 ... 20, last }} _kind;
            uint8_t __v_length;
            uint32_t _v[__v_length];
        }}; }};
        {after}"
    );
    dir.write("metadata", text.as_bytes());

    let mut stream = StreamBytes::new(0).packet(&[], 0);
    let mut at = 84;
    let mut put = |bytes: &[u8]| {
        stream.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    let body = [
        &b"ab\0\0"[..],
        &7u32.to_le_bytes(),
        &[15, 2, 1, 0, 0, 0, 2, 0, 0, 0],
    ]
    .concat();
    // its time in full, then the low 27 bits of a time after they went round
    put(&[31, 3, 0, 0, 0]);
    put(&0x1_07ff_fff0u64.to_le_bytes());
    put(&body);
    put(&(3u32 | 0x10 << 5).to_le_bytes());
    put(&body);
    stream.bytes[48..56].copy_from_slice(&(at as u64 * 8).to_le_bytes());
    dir.write("channel0_0", &stream.bytes);

    let trace = Trace::open(dir.path()).unwrap();
    let mut events = trace.events(0).unwrap();
    for time in [0x1_07ff_fff0, 0x1_0800_0010] {
        let Some(Record::Event(event)) = events.next().unwrap() else {
            panic!("an event expected");
        };
        assert_eq!(event.timestamp_ns, time);
        assert_eq!((event.comm, event.tid), (Some(&b"ab"[..]), 7));
        let values: Vec<_> = event.fields().map(|(_, value)| value).collect();
        assert!(matches!(
            values[0],
            Value::Labeled(_, ValueLabel::Value("many"))
        ));
        let Value::Numbers(numbers) = &values[1] else {
            panic!("numbers expected");
        };
        assert_eq!(numbers.clone().map(|n| n.raw).collect::<Vec<_>>(), [1, 2]);
    }
    assert!(events.next().unwrap().is_none());
}
