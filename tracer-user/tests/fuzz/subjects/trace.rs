//! The parts of a trace: metadata, streams, functions of the kernel, code of processes.

use std::cell::OnceCell;
use std::fs;
use std::path::Path;

use tempfile::TempDir;
use tracer::trace::folder::{Record, Trace, parse_metadata};
use tracer::trace::sidecar::kallsyms::KernelSymbols;
use tracer::trace::sidecar::mappings::{Mappings, format_look};
use tracer::trace::{Fields, Value};

use crate::subjects::{Outcome, Subject};

pub(crate) const METADATA: Subject = Subject {
    name: "metadata",
    tokens: &[
        "/* CTF 1.8 */\n",
        "trace",
        "env",
        "clock",
        "stream",
        "event",
        "callsite",
        "typealias",
        "struct",
        "enum",
        "variant",
        "integer",
        "string",
        "floating_point",
        "{",
        "}",
        ";",
        ":=",
        "=",
        "...",
        "[",
        "]",
        "<",
        ">",
        ":",
        ".",
        ",",
        "align(",
        ")",
        "size = 64;",
        "align = 8;",
        "signed = true;",
        "byte_order = be;",
        "encoding = UTF8;",
        "base = 16;",
        "map = clock.monotonic.value;",
        "id = 1048577;",
        "stream_id = 0;",
        "fields := struct {",
        "uint8_t a;",
        "uint32_t _len; uint8_t seq[_len];",
        "event.header := struct",
        "\"",
        "\\x",
        "\\777",
        "//",
        "/*",
        "*/",
        "18446744073709551615",
        "18446744073709551616",
        "-1",
        "0x",
        "é",
        "typedef uint8_t x;",
        "floating_point { exp_dig = 8; mant_dig = 24; align = 8; }",
        "variant <tag> { uint8_t a; string b; }",
        "event.fields.len",
        "[len][2]",
        "\x1e",
        "\x1e{\"type\":\"",
        "{\"type\":\"structure\",\"member-classes\":[",
        "\"field-class\":",
        "\"fixed-length-unsigned-integer\"",
        "\"variable-length-signed-integer\"",
        "\"dynamic-length-array\"",
        "\"length-field-location\":{\"path\":[null,\"len\"]}",
        "\"selector-field-ranges\":[[0,127]]",
        "\"minimum-alignment\":32768",
        "\"length\":64",
        "\"byte-order\":\"big-endian\"",
        "\"roles\":[\"packet-total-length\"]",
    ],
    default_runs: 800,
    run: run_metadata,
};

/// Between the metadata and the stream of an input of [`STREAM`].
const STREAM_STARTS: &[u8] = b"\n=== stream ===\n";

/// A whole trace of one stream.
pub(crate) const STREAM: Subject = Subject {
    name: "stream",
    tokens: &[
        "\0",
        "\0\0\0\0",
        "\x7f",
        "\x01\0\0\0",
        "text\0",
        "=== stream ===",
        "[len]",
        "align(64)",
        "size = 1;",
        "size = 64;",
        "align = 1;",
        "byte_order = be;",
        "signed = true;",
        "struct {",
        "};",
        "string",
        "\"alignment\":64",
        "\"length\":1",
        "\"packet-total-length\"",
        "\"big-endian\"",
    ],
    default_runs: 800,
    run: run_stream,
};

pub(crate) const KALLSYMS: Subject = Subject {
    name: "kallsyms",
    tokens: &[
        "ffffffff81000000",
        "0000000000000000",
        "ffffffffffffffff",
        "10000000000000000",
        " T ",
        " t ",
        " w ",
        " D ",
        "vfs_read",
        "\t[kvm]",
        "[",
        "]",
        "\n",
        "\r\n",
        " ",
        "é",
        "\0",
    ],
    default_runs: 2_000,
    run: run_kallsyms,
};

pub(crate) const MAPS: Subject = Subject {
    name: "maps",
    tokens: &[
        "5 7 ",
        "new",
        "new 7",
        "1000 2000 0 ",
        "2000 1000 0 ",
        "ffffffffffffffff ",
        "- ",
        "ab01 ",
        "ab0 ",
        "/bin/x",
        "[vdso]",
        "\\x0a",
        "\\x5c",
        "\\x",
        "\n",
        " ",
        "18446744073709551616",
        "-1",
        "é",
        "\0",
    ],
    default_runs: 2_000,
    run: run_maps,
};

fn run_metadata(bytes: &[u8]) -> Outcome {
    match parse_metadata(bytes, Path::new("metadata")) {
        Ok((_, classes)) => {
            for (index, class) in classes.iter().enumerate() {
                assert_eq!(class.index, index);
            }
            Outcome::Accepted
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            Outcome::Refused
        }
    }
}

thread_local! {
    static FOLDER: OnceCell<TempDir> = const { OnceCell::new() };
}

/// All events and all their values are read, or there is an error.
fn run_stream(bytes: &[u8]) -> Outcome {
    let split = bytes
        .windows(STREAM_STARTS.len())
        .position(|window| window == STREAM_STARTS);
    let Some(split) = split else {
        return Outcome::Refused;
    };
    let (metadata, stream) = bytes.split_at(split);
    FOLDER.with(|folder| {
        let folder = folder.get_or_init(|| tempfile::tempdir().expect("a temporary folder"));
        let write = |name: &str, bytes: &[u8]| {
            fs::write(folder.path().join(name), bytes).expect("a file of the trace");
        };
        write("metadata", metadata);
        write("stream", &stream[STREAM_STARTS.len()..]);
        match read_all(folder.path()) {
            Ok(events) => Outcome::from(events > 0),
            Err(error) => {
                assert!(!error.to_string().is_empty());
                Outcome::Refused
            }
        }
    })
}

fn read_all(dir: &Path) -> Result<u64, tracer::trace::ctf::ReadError> {
    let trace = Trace::open(dir)?;
    trace.start_ns()?;
    let mut events = trace.events(0)?;
    let mut count = 0;
    while let Some(record) = events.next()? {
        if let Record::Event(event) = record {
            count += 1;
            let fields = event.fields();
            let read = look_at(fields) + look_at(event.context());
            let expected = event.class.fields.len() + event.class.context.len();
            assert_eq!(read, expected, "fields of `{}`", event.class.name);
        }
    }
    Ok(count)
}

/// Reads each value; returns how many there are at the top.
fn look_at(fields: Fields<'_>) -> usize {
    fields.map(|(_, value)| look_at_value(value)).count()
}

fn look_at_value(value: Value<'_>) {
    match value {
        Value::Numbers(numbers) => numbers.for_each(drop),
        Value::List(list) => list.for_each(look_at_value),
        Value::Struct(fields) => drop(look_at(fields)),
        _ => {}
    }
}

/// A function is found by its address.
fn run_kallsyms(bytes: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let addresses: Vec<u64> = text
        .split_ascii_whitespace()
        .filter_map(|word| u64::from_str_radix(word, 16).ok())
        .take(100)
        .collect();
    let symbols = KernelSymbols::parse(text.clone());
    let mut any = false;
    for address in addresses.into_iter().chain([0, u64::MAX]) {
        for address in [address, address.wrapping_add(1), address.wrapping_sub(1)] {
            if let Some(found) = symbols.find(address) {
                any = true;
                assert!(found.address != 0 && found.address <= address);
                assert!(text.contains(found.name));
            }
        }
    }
    Outcome::from(any)
}

/// What is found can be written and is found again.
fn run_maps(bytes: &[u8]) -> Outcome {
    let mappings = Mappings::parse(bytes);
    let mut any = false;
    for line in bytes.split(|&byte| byte == b'\n').take(100) {
        let text = String::from_utf8_lossy(line);
        let mut words = text.split(' ');
        let mut number = |radix| u64::from_str_radix(words.next()?, radix).ok();
        let (Some(time), Some(pid), Some(address)) = (number(10), number(10), number(16)) else {
            continue;
        };
        let Ok(pid) = u32::try_from(pid) else {
            continue;
        };
        let Some(found) = mappings.find(pid, time, address) else {
            continue;
        };
        any = true;
        assert!(mappings.knows(pid, time) && found.range.contains(&address));
        let written = format_look(time, pid, std::slice::from_ref(found));
        let again = Mappings::parse(written.as_bytes());
        assert_eq!(again.find(pid, time, address), Some(found), "{written}");
    }
    Outcome::from(any)
}
