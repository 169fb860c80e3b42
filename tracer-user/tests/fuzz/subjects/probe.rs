//! Texts of probes, with what is fetched there.

use std::sync::OnceLock;

use tracer::kernel::btf::Btf;
use tracer::kernel::tracefs::format::Format;
use tracer::probe::ProbeText;
use tracer::probe::fetch::{FetchList, Scope};

use crate::subjects::{Outcome, Subject, btf};

pub(crate) const SUBJECT: Subject = Subject {
    name: "probe",
    tokens: &[
        "sched:",
        "syscall:",
        "kprobe:",
        "kretprobe:",
        "fentry:",
        "fexit:",
        "func:",
        "rawtp:",
        "uprobe:",
        "uretprobe:",
        "*",
        "[a-z]",
        "[",
        "?",
        "/bin/x:",
        "0x401136",
        "\"",
        "'",
        "\\",
        "::",
        "\"/a, {b} if c\":",
        "'f'",
        "operator+",
        "+0x10",
        "+",
        "+18446744073709551616",
        "{",
        "}",
        "(",
        ")",
        ",",
        "=",
        ":",
        ":str",
        ":x32",
        ":d",
        ":ustr",
        "str(",
        "->",
        ".",
        "&",
        "*(u8 *)",
        "(struct file *)",
        "(const struct",
        "(unsigned long)",
        "[0]",
        "[4294967295]",
        "arg0",
        "ret",
        "file",
        "f_path",
        "prev_comm",
        "__user",
        "é",
        "\0",
    ],
    default_runs: 2_000,
    run,
};

fn run(bytes: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(list) = FetchList::parse(&text) {
        check_list(&list);
    }
    match ProbeText::parse_list(&text) {
        Ok(probes) => {
            probes.iter().for_each(check_probe);
            Outcome::Accepted
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            Outcome::Refused
        }
    }
}

/// What is understood is shown so that it is understood again.
fn check_probe(probe: &ProbeText) {
    assert_eq!(probe.to_string().parse().as_ref(), Ok(probe));
    if let Some(list) = &probe.fetch {
        check_list(list);
    }
}

/// Each value has one way and one name, wherever the list is resolved.
pub(crate) fn check_list(list: &FetchList) {
    assert_eq!(FetchList::parse(&list.to_string()).as_ref(), Ok(list));
    let types = types();
    for scope in [
        Scope::user_entry(Some(types)),
        Scope::user_exit(None),
        Scope::instruction(Some(types)),
        Scope::record(Some(types), record()),
    ] {
        match list.resolve(&scope) {
            Ok(values) => assert_eq!(values.len(), list.items().len()),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

/// Those of the corpus.
fn types() -> &'static Btf {
    static TYPES: OnceLock<Btf> = OnceLock::new();
    TYPES.get_or_init(|| Btf::parse(btf::SAMPLE.to_vec(), None).expect("BTF of the corpus"))
}

fn record() -> &'static Format {
    static RECORD: OnceLock<Format> = OnceLock::new();
    const TEXT: &str = include_str!("../../corpus/format/accepted-sched_switch");
    RECORD.get_or_init(|| Format::parse(TEXT).expect("a format file of the corpus"))
}
