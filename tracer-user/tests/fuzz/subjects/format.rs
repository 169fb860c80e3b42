//! Format files of tracefs, and their `print fmt` by itself.

use tracer::kernel::tracefs::format::Format;
use tracer::kernel::tracefs::{labels, print_fmt};
use tracer::probe::{syscalls, tracepoint};
use tracer::trace::event::{FieldType, IntegerType};

use crate::subjects::{Outcome, Subject};

pub(crate) const FORMAT: Subject = Subject {
    name: "format",
    tokens: &[
        "name: x\n",
        "ID: 7\n",
        "ID:",
        "\tfield:",
        "__data_loc ",
        "__rel_loc ",
        "char[] ",
        "struct x ",
        "const char * ",
        "unsigned int ",
        "enum e ",
        "[",
        "]",
        "[0]",
        "[16]",
        "[4294967295]",
        ":3",
        ":64",
        ";\toffset:",
        ";\tsize:",
        ";\tsigned:1;\n",
        "4294967295",
        "18446744073709551616",
        "-1",
        "8",
        ";",
        "\"",
        "print fmt: ",
        "REC->",
        "é",
        "\0",
        "\n",
    ],
    default_runs: 1_000,
    run: run_format,
};

pub(crate) const PRINT_FMT: Subject = Subject {
    name: "print_fmt",
    tokens: &[
        "\"",
        "\\\"",
        "%s",
        "%*.*lx",
        "%#x",
        "%%",
        "%llo",
        "REC->",
        "REC->x",
        "REC->flags & 3",
        "__print_flags(",
        "__print_flags_u64(",
        "__print_symbolic(",
        "__print_symbolic(REC->x, ",
        "__get_str(",
        "{ 1, \"A\" }",
        "{ 0x80UL, \"B\" \"C\" }",
        "{ -1, ((void *)0) }",
        "\"|\", ",
        "((1UL << (",
        "(( gfp_t)(",
        "(unsigned long)",
        "(u8)",
        ")",
        "(",
        "?",
        ":",
        " : \"none\"",
        ",",
        "~",
        "-",
        "+",
        "*",
        "<<",
        ">>",
        "&",
        "^",
        "|",
        "18446744073709551616",
        "é",
        "\0",
    ],
    default_runs: 800,
    run: run_print_fmt,
};

fn run_format(bytes: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(bytes);
    let Ok(format) = Format::parse(&text) else {
        return Outcome::Refused;
    };
    for argument in syscalls::arguments(&format) {
        assert!(!syscalls::declaration(argument).is_empty());
    }
    let (fields, spec) = syscalls::entry_layout(&format.name, &format);
    assert_eq!(syscalls::entry_sources(&spec).len(), fields.len());
    match tracepoint::layout(&format) {
        Ok(tracepoint::Layout {
            fields,
            sources,
            spec,
            ..
        }) => {
            assert!(fields.len() <= format.fields.len());
            assert_eq!(sources.len(), fields.len());
            assert!(spec.payload_len <= 8192);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    Outcome::Accepted
}

/// It says how a field is shown or what its values are called.
fn run_print_fmt(bytes: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(bytes);
    let displays = print_fmt::displays(&text);
    let labels = labels::labels(&text);
    for size_bytes in [1, 8] {
        for (field, labels) in &labels {
            assert!(text.contains(field) && !labels.entries.is_empty());
            let number = IntegerType::natural(
                size_bytes,
                size_bytes == 8,
                tracer::trace::event::Display::Decimal,
            );
            if let FieldType::Labeled { labels, .. } = labels::labeled(number, labels) {
                assert!(!labels.entries.is_empty());
            }
        }
    }
    Outcome::from(!displays.is_empty() || !labels.is_empty())
}
