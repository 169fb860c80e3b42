//! What a trace has beside its events: metadata, functions of the kernel, code of processes.

use std::path::Path;

use tracer::trace::folder::parse_metadata;
use tracer::trace::sidecar::kallsyms::KernelSymbols;
use tracer::trace::sidecar::mappings::{Mappings, format_look};

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
    ],
    default_runs: 800,
    run: run_metadata,
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
