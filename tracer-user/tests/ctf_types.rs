//! Traces with every type of CTF, and what babeltrace2 reads in them.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tracer::trace::folder::{Record, Trace};

use self::common::fields::assert_same;

const UUID: [u8; 16] = *b"types of CTF 1+2";

/// Types of CTF 1.8, in a big-endian trace of two streams.
const TSDL: &str = r#"/* CTF 1.8 */
typealias integer { size = 8; align = 8; signed = false; } := uint8_t;
typealias integer { size = 16; align = 8; signed = false; } := uint16_t;
typealias integer { size = 32; align = 8; signed = false; } := uint32_t;
typealias integer { size = 64; align = 8; signed = false; } := uint64_t;
trace {
    major = 1; minor = 8; byte_order = be;
    uuid = "74797065-7320-6f66-2043-544620312b32";
    packet.header := struct { uint32_t magic; uint8_t uuid[16]; uint32_t stream_id; };
};
env { tracer_name = "test"; };
clock { name = clk; freq = 1000000000; offset_s = 1000; offset = 5; };
typealias integer { size = 64; align = 8; map = clock.clk.value; } := time_t;
typealias integer { size = 32; align = 8; map = clock.clk.value; } := short_time_t;
struct packet_context {
    time_t timestamp_begin; time_t timestamp_end;
    uint64_t content_size; uint64_t packet_size; uint16_t cpu_id;
};
stream {
    id = 0;
    packet.context := struct packet_context;
    event.header := struct { uint8_t id; short_time_t timestamp; };
    event.context := struct { uint32_t _tid; uint32_t _pid; uint8_t _weight; };
};
stream {
    id = 7;
    packet.context := struct packet_context;
    event.header := struct {
        enum : integer { size = 4; align = 8; } { compact = 0 ... 14, extended = 15 } id;
        variant <id> {
            struct { integer { size = 12; align = 1; map = clock.clk.value; } timestamp; } compact;
            struct { uint16_t id; time_t timestamp; } extended;
        } v;
    } align(8);
    event.context := struct { uint32_t _tid; uint32_t _pid; };
};
event {
    name = "all types"; id = 3; stream_id = 0;
    context := struct { uint8_t _own; uint8_t _count; };
    fields := struct {
        typedef integer { size = 3; align = 1; } three_bits;
        three_bits _a;
        integer { size = 5; align = 1; signed = true; } _b;
        integer { size = 12; align = 1; base = 16; } _c;
        integer { size = 4; align = 1; base = 8; } _d;
        integer { size = 16; align = 16; byte_order = le; } _little;
        floating_point { exp_dig = 8; mant_dig = 24; align = 8; } _float;
        floating_point { exp_dig = 11; mant_dig = 53; align = 8; byte_order = le; } _double;
        string _string;
        enum kind : uint8_t { one = 1, two, three = 3 ... 9 } _kind;
        variant choice <_kind> {
            uint32_t one;
            struct { uint8_t _p; uint16_t _q; } two;
            string three;
        } _chosen;
        uint8_t _len;
        uint8_t _other;
        uint16_t _far[_len];
        uint8_t __list_length;
        struct { uint8_t _k; string _t; } _list[__list_length];
        uint8_t _grid[2][3];
        uint8_t __rows_length;
        uint8_t _rows[__rows_length][_len];
        uint8_t __text_length;
        integer { size = 8; encoding = UTF8; } _text[__text_length];
        struct { uint8_t __in_length; uint32_t _in[__in_length]; } align(32) _aligned;
        uint8_t _outer[event.context._count];
        enum kind _again;
    };
};
event {
    name = "second stream"; id = 2; stream_id = 7;
    fields := struct { integer { size = 64; align = 8; signed = true; } _x; };
};
event { name = "without fields"; id = 300; stream_id = 7; };
"#;

/// A packet of these events, each a time and its bytes.
fn packet(stream: u32, cpu: u16, events: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let content: Vec<u8> = events.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
    let header_len = 4 + 16 + 4 + 4 * 8 + 2;
    let bits = (header_len + content.len()) as u64 * 8;
    let mut packet = 0xC1FC_1FC1_u32.to_be_bytes().to_vec();
    packet.extend(UUID);
    packet.extend(stream.to_be_bytes());
    for number in [events[0].0, events[events.len() - 1].0, bits, bits + 64] {
        packet.extend(number.to_be_bytes());
    }
    packet.extend(cpu.to_be_bytes());
    packet.extend(content);
    packet.extend([0xee; 8]);
    packet
}

/// The bytes of "all types", which starts `start` bytes into its packet.
fn all_types(time: u64, tid: u32, kind: u8, chosen: &[u8], start: usize) -> Vec<u8> {
    let mut bytes = vec![3];
    bytes.extend((time as u32).to_be_bytes());
    bytes.extend(tid.to_be_bytes());
    bytes.extend(5u32.to_be_bytes());
    bytes.push(77);
    bytes.extend([99, 1]);
    let align = |bytes: &mut Vec<u8>, to: usize| {
        let len = (start + bytes.len()).next_multiple_of(to) - start;
        bytes.resize(len, 0);
    };
    // the structure is aligned as `_aligned` in it
    align(&mut bytes, 4);
    bytes.extend([0b101_11101, 0xab, 0xc9]);
    align(&mut bytes, 2);
    bytes.extend(0x1234_u16.to_le_bytes());
    bytes.extend(1.5f32.to_be_bytes());
    bytes.extend((-2.25f64).to_le_bytes());
    bytes.extend(b"h\xc3\xa9 \"x\"\0");
    bytes.push(kind);
    bytes.extend(chosen);
    bytes.extend([2, 9]);
    bytes.extend([0, 1, 0xff, 0xff]);
    bytes.extend(b"\x02\x01a\0\x02bc\0");
    bytes.extend([1, 2, 3, 4, 5, 6]);
    bytes.extend([3, 11, 12, 21, 22, 31, 32]);
    bytes.extend(b"\x04text");
    align(&mut bytes, 4);
    bytes.push(2);
    align(&mut bytes, 1);
    bytes.extend([0, 0, 0, 1, 0x80, 0, 0, 0]);
    bytes.push(0x55);
    bytes.push(42);
    bytes
}

fn write_streams(dir: &Path) {
    let start = 4 + 16 + 4 + 4 * 8 + 2;
    let first = all_types(0xffff_fff0, 7, 2, &[7, 1, 2], start);
    // its 32 bits of time have gone round
    let second = all_types(
        0x1_0000_0010,
        8,
        1,
        &0xdead_beef_u32.to_be_bytes(),
        start + first.len(),
    );
    let third = all_types(
        0x1_0000_0020,
        9,
        5,
        b"three\0",
        start + first.len() + second.len(),
    );
    let events = [
        (0xffff_fff0, first),
        (0x1_0000_0010, second),
        (0x1_0000_0020, third),
    ];
    fs::write(dir.join("a"), packet(0, 3, &events)).unwrap();

    let thread = [0, 0, 0, 1, 0, 0, 0, 2];
    let compact = [&[0x20, 0x30][..], &thread, &(-5i64).to_be_bytes()].concat();
    let mut full = vec![0xf0, 1, 44];
    full.extend(0x1_0000_1018_u64.to_be_bytes());
    full.extend(thread);
    let after = [&[0x20, 0x17][..], &thread, &6i64.to_be_bytes()].concat();
    let events = [
        (0x1_0000_0015, Vec::new()),
        (0, compact),
        (0, full),
        (0x1_0000_2017, after),
    ];
    fs::write(dir.join("b"), packet(7, 1, &events)).unwrap();
}

fn babeltrace(dir: &Path) -> String {
    let output = Command::new("babeltrace2")
        .args(["--clock-cycles", "--no-delta"])
        .arg(dir)
        .output()
        .expect("`babeltrace2` must be installed to run this test (`apt install babeltrace2`)");
    assert_eq!(common::stderr(&output), "");
    assert!(output.status.success());
    common::stdout(&output)
}

fn of_tsdl() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("metadata"), TSDL).unwrap();
    write_streams(dir.path());
    dir
}

#[test]
fn every_type_of_ctf_1_8_is_read_as_babeltrace2_does() {
    let dir = of_tsdl();
    let text = babeltrace(dir.path());
    assert_eq!(text.lines().count(), 6);
    assert_same(dir.path(), &text);
}

/// The path of a trace that is kept with the tests.
fn kept(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/traces")
        .join(name)
}

/// What babeltrace2 2.0 prints of the trace of LTTng, and babeltrace2 2.1 of both.
fn kept_text() -> String {
    fs::read_to_string(kept("lttng-2.13.txt")).unwrap()
}

#[test]
fn a_trace_of_lttng_2_13_is_read() {
    assert_same(&kept("lttng-2.13"), &kept_text());
}

/// As babeltrace2 2.1 has converted it.
#[test]
fn the_same_trace_in_ctf_2_is_read() {
    assert_same(&kept("ctf-2"), &kept_text());
}

#[test]
fn a_trace_anywhere_below_a_folder_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let below = dir.path().join("session/kernel");
    copy(&kept("lttng-2.13"), &below);
    fs::write(dir.path().join("session/notes"), "").unwrap();
    assert_same(dir.path(), &kept_text());
}

/// Two traces with clocks that have different offsets.
#[test]
fn traces_below_one_folder_are_merged_by_absolute_time() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("1"), dir.path().join("2"));
    for (folder, offset) in [(&first, "offset = 5;"), (&second, "offset = 12;")] {
        fs::create_dir(folder).unwrap();
        write_streams(folder);
        let text = TSDL.replace("offset = 5;", offset);
        fs::write(folder.join("metadata"), text).unwrap();
    }
    let trace = Trace::open(dir.path()).unwrap();
    assert_eq!(trace.classes().len(), 6);
    let mut events = trace.events(0).unwrap();
    let mut read = Vec::new();
    while let Some(record) = events.next().unwrap() {
        if let Record::Event(event) = record {
            read.push((event.timestamp_ns, event.class.index / 3));
        }
    }
    let (own, other): (Vec<_>, Vec<_>) = read.iter().partition(|(_, trace)| *trace == 0);
    let times = |events: &[&(u64, usize)], back: u64| -> Vec<u64> {
        events.iter().map(|(time, _)| time - back).collect()
    };
    assert_eq!(own.len(), 6);
    assert_eq!(times(&own, 0), times(&other, 7));
    assert!(read.is_sorted());
}

/// A stream that its recorder has put into several files, as LTTng does on request.
#[test]
fn files_of_one_stream_follow_each_other() {
    let whole = common::StreamBytes::new(4)
        .packet(
            &[common::event(common::START_NS, common::GETPPID, 1, &[])],
            0,
        )
        .packet(
            &[common::event(common::START_NS + 1, common::GETPPID, 1, &[])],
            3,
        );
    let dir = common::TraceDir::new(std::slice::from_ref(&whole));
    let (first, second) = whole.bytes.split_at(common::PACKET_LEN);
    dir.write("channel0_4", second);
    dir.write("channel0_4_0", first);
    let trace = Trace::open(dir.path()).unwrap();
    assert_eq!(trace.stream_count(), 1);
    let mut events = trace.events(0).unwrap();
    let mut lost = 0;
    while let Some(record) = events.next().unwrap() {
        if let Record::Loss(loss) = record {
            lost += loss.events;
        }
    }
    assert_eq!(lost, 3);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}

/// Types that only CTF 2 has.
// the metadata of a trace, as one literal
#[allow(clippy::too_many_lines)]
fn of_json() -> TempDir {
    let unsigned = |bits: u32, role: &str| {
        json!({
            "type": "fixed-length-unsigned-integer", "length": bits, "alignment": 8,
            "byte-order": "little-endian", "roles": if role.is_empty() { vec![] } else { vec![role] },
        })
    };
    let member = |name: &str, class: Json| json!({ "name": name, "field-class": class });
    let structure = |members: Vec<Json>| json!({ "type": "structure", "member-classes": members });
    let length = |name: &str| json!({ "path": [name] });
    let payload = vec![
        member(
            "flag",
            json!({
                "type": "fixed-length-boolean", "length": 8, "byte-order": "little-endian",
            }),
        ),
        member("big", json!({ "type": "variable-length-unsigned-integer" })),
        member(
            "small",
            json!({
                "type": "variable-length-signed-integer", "preferred-display-base": 10,
            }),
        ),
        member(
            "fixed_text",
            json!({ "type": "static-length-string", "length": 5 }),
        ),
        member(
            "_n_length",
            json!({ "type": "variable-length-unsigned-integer" }),
        ),
        member(
            "text",
            json!({
                "type": "dynamic-length-string", "length-field-location": length("_n_length"),
            }),
        ),
        member(
            "there",
            json!({
                "type": "optional",
                "selector-field-location": length("count"),
                "selector-field-ranges": [[2, 2]],
                "field-class": unsigned(16, ""),
            }),
        ),
        member(
            "state",
            json!({
                "type": "fixed-length-signed-integer", "length": 8, "byte-order": "big-endian",
                "mappings": { "low": [[-5, -1]], "high": [[0, 9]] },
            }),
        ),
        member(
            "choice",
            json!({
                "type": "variant",
                "selector-field-location": { "origin": "event-record-payload", "path": ["state"] },
                "options": [
                    { "name": "one", "selector-field-ranges": [[-128, -1]],
                      "field-class": unsigned(8, "") },
                    { "name": "two", "selector-field-ranges": [[0, 127]],
                      "field-class": structure(vec![
                          member("outer", json!({
                              "type": "dynamic-length-array",
                              "length-field-location": { "path": [null, "count"] },
                              "element-field-class": unsigned(8, ""),
                          })),
                      ]) },
                ],
            }),
        ),
        member("last", json!("a word")),
    ];
    let mut payload = payload;
    payload.insert(0, member("count", unsigned(8, "")));
    let fragments = [
        json!({ "type": "preamble", "version": 2, "uuid": UUID }),
        json!({ "type": "field-class-alias", "name": "a word", "field-class": unsigned(32, "") }),
        json!({
            "type": "trace-class",
            "environment": { "tracer_name": "test" },
            "packet-header-field-class": structure(vec![
                member("magic", unsigned(32, "packet-magic-number")),
                member("uuid", json!({
                    "type": "static-length-blob", "length": 16, "roles": ["metadata-stream-uuid"],
                })),
            ]),
        }),
        json!({
            "type": "clock-class", "id": "clk", "frequency": 1_000_000_000, "origin": "unix-epoch",
            "offset-from-origin": { "seconds": 7 },
        }),
        json!({
            "type": "data-stream-class", "default-clock-class-id": "clk",
            "packet-context-field-class": structure(vec![
                member("size", unsigned(64, "packet-total-length")),
                member("content", unsigned(64, "packet-content-length")),
                member("begin", unsigned(64, "default-clock-timestamp")),
                member("cpu_id", unsigned(8, "")),
            ]),
            "event-record-header-field-class": structure(vec![
                member("t", unsigned(64, "default-clock-timestamp")),
            ]),
            "event-record-common-context-field-class": structure(vec![
                member("tid", unsigned(16, "")),
                member("pid", unsigned(16, "")),
            ]),
        }),
        json!({ "type": "event-record-class", "name": "only", "payload-field-class": structure(payload) }),
    ];
    let text = fragments
        .map(|fragment| format!("\x1e{fragment}\n"))
        .concat();

    let mut content = Vec::new();
    let mut event = |time: u64, count: u8, flag: u8, rest: &[u8]| {
        content.extend(time.to_le_bytes());
        content.extend([1, 0, 2, 0]);
        content.extend([count, flag]);
        content.extend([0xe5, 0x8e, 0x26]);
        content.extend([0xc0, 0xbb, 0x78]);
        content.extend(b"ab\0\0\0");
        content.extend(b"\x03xyz");
        content.extend(rest);
        content.extend(0xabcd_u32.to_le_bytes());
    };
    event(50, 2, 1, &[0x34, 0x12, 3, 7, 8]);
    event(51, 3, 0, &[0xfe, 9]);
    let size = 4 + 16 + 3 * 8 + 1 + content.len();
    let mut packet = 0xC1FC_1FC1_u32.to_le_bytes().to_vec();
    packet.extend(UUID);
    for number in [size as u64 * 8, size as u64 * 8, 50] {
        packet.extend(number.to_le_bytes());
    }
    packet.push(6);
    packet.extend(content);

    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("metadata"), text).unwrap();
    fs::write(dir.path().join("stream"), packet).unwrap();
    dir
}

/// As babeltrace2 2.1.2 prints it, but for the optional field: `{ 4660 }` and `<none>` there.
const TEXT_OF_JSON: &str = r#"[00000000000000000050] only: { cpu_id = 6 }, { tid = 1, pid = 2 }, { count = 2, flag = true, big = 624485, small = -123456, fixed_text = "ab", _n_length = 3, text = "xyz", there = 4660, state = ( "high" : container = 3 ), choice = { { outer = [ [0] = 7, [1] = 8 ] } }, last = 43981 }
[00000000000000000051] only: { cpu_id = 6 }, { tid = 1, pid = 2 }, { count = 3, flag = false, big = 624485, small = -123456, fixed_text = "ab", _n_length = 3, text = "xyz", there = { }, state = ( "low" : container = -2 ), choice = { 9 }, last = 43981 }
"#;

#[test]
fn types_of_ctf_2_are_read_as_babeltrace2_2_1_does() {
    assert_same(of_json().path(), TEXT_OF_JSON);
}
