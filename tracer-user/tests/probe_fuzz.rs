//! Damaged format files are errors or odd layouts, never panics.

use std::fs;
use std::path::{Path, PathBuf};

use tracer::probe::format::Format;
use tracer::probe::{ProbeText, labels, print_fmt, syscalls, tracepoint};

/// A small generator with a fixed seed, so that a failure repeats.
struct Random(u64);

impl Random {
    /// xorshift64 (Marsaglia 2003).
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn pick<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }
}

/// Pieces that the parsers look for, and numbers at the edges.
const TOKENS: [&str; 28] = [
    "field:",
    "__data_loc ",
    "__rel_loc ",
    "char[] ",
    "struct x ",
    "[",
    "]",
    "[0]",
    "[4294967295]",
    ":3",
    ":64",
    "offset:",
    "size:",
    "signed:1;",
    "4294967295",
    "18446744073709551616",
    "-1",
    ";",
    "\"",
    "%*.*lx",
    "REC->",
    "__print_flags(",
    "__print_symbolic(REC->",
    "{ 1, \"A\" }",
    "((1UL << (",
    "é",
    "\0",
    "\n",
];

fn mutate(text: &str, random: &mut Random) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=random.below(6) {
        let at = random.below(bytes.len());
        match random.below(4) {
            0 => bytes.truncate(at),
            1 if at < bytes.len() => bytes[at] = random.next() as u8,
            2 => {
                let end = (at + random.below(40)).min(bytes.len());
                bytes.drain(at..end);
            }
            _ => {
                let token = random.pick(&TOKENS);
                bytes.splice(at..at, token.bytes());
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn format_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            format_files(&path, found);
        } else if path.file_name().is_some_and(|name| name == "format") {
            found.push(path);
        }
    }
}

fn recorded_texts() -> Vec<String> {
    let mut files = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    format_files(&root, &mut files);
    files.sort();
    files
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect()
}

#[test]
fn damaged_format_files_are_no_panic() {
    let texts = recorded_texts();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut understood = 0;
    for round in 0..20_000 {
        let text = mutate(&texts[round % texts.len()], &mut random);
        drop(print_fmt::displays(&text));
        drop(labels::labels(&text));
        if let Ok(format) = Format::parse(&text) {
            understood += 1;
            drop(syscalls::entry_layout(&format.name, &format));
            if let Ok(tracepoint::Layout { fields, spec, .. }) = tracepoint::layout(&format) {
                assert!(fields.len() <= format.fields.len());
                assert!(spec.payload_len <= 8192);
            }
        }
    }
    // Most damage leaves a file that can be read, so the layouts are tried as well.
    assert!(understood > 2_000, "{understood}");
}

#[test]
fn damaged_probe_texts_are_no_panic() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for _ in 0..50_000 {
        let text = mutate(
            "sched:*,syscall:open[a-z],kprobe:vfs_read+0x10{a->b[3]:x32, n=*(u8 *)c},kretprobe:x,\
             uprobe:/bin/x:0x10+4{str(arg0)},fexit:f{&((struct a *)b).c, ret:d}",
            &mut random,
        );
        if let Ok(probes) = ProbeText::parse_list(&text) {
            for probe in probes {
                // What is understood is shown so that it is understood again.
                assert_eq!(probe.to_string().parse(), Ok(probe));
            }
        }
    }
}
