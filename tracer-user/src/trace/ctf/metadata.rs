//! Metadata: the text that describes the layout of a trace.
//!
//! TSDL of CTF 1.8 (<https://diamon.org/ctf/v1.8.3/>, §7 and appendix C), limited to what
//! babeltrace2 and Trace Compass read without a warning. Integer types are declared once as
//! aliases, which keeps the text short in a trace with thousands of classes.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;

use crate::trace::ctf::labels;
use crate::trace::event::{Display, EventClass, Field, FieldType, IntegerType};

/// Properties of a whole trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceInfo {
    /// Identity of the trace; the same in each packet header.
    pub uuid: [u8; 16],
    /// The clock of all time stamps.
    pub clock: Clock,
    /// Environment: shown by viewers.
    pub env: Vec<(String, EnvValue)>,
}

impl TraceInfo {
    /// The value of an `env` entry.
    #[must_use]
    pub fn env(&self, name: &str) -> Option<&EnvValue> {
        self.env
            .iter()
            .find_map(|(key, value)| (key == name).then_some(value))
    }
}

/// A clock that counts nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// Traces whose clocks have the same identity are from the same boot.
    pub uuid: [u8; 16],
    /// Nanoseconds from the epoch to the clock's zero: `CLOCK_REALTIME` minus
    /// `CLOCK_MONOTONIC`.
    pub offset_ns: u64,
}

/// The value of an environment entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvValue {
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
}

/// Layout of packets and event headers, as [`PacketHeader`](super::PacketHeader) and
/// [`EventHeader`](tracer_common::EventHeader) have it.
const PACKET_HEADER: &str = "\
typealias integer { size = 8; align = 8; signed = false; } := uint8_t;
typealias integer { size = 32; align = 8; signed = false; } := uint32_t;
typealias integer { size = 64; align = 8; signed = false; } := uint64_t;

trace {
\tmajor = 1;
\tminor = 8;
\tuuid = \"@UUID@\";
\tbyte_order = le;
\tpacket.header := struct {
\t\tuint32_t magic;
\t\tuint8_t uuid[16];
\t\tuint32_t stream_id;
\t\tuint64_t stream_instance_id;
\t};
};

";

const STREAM: &str = "\
typealias integer { size = 64; align = 8; signed = false; map = clock.monotonic.value; } := packet_time_t;
typealias integer { size = 64; align = 64; signed = false; map = clock.monotonic.value; } := event_time_t;
typealias integer { size = 32; align = 32; signed = false; } := event_id_t;
typealias integer { size = 32; align = 32; signed = true; } := thread_id_t;

stream {
\tid = 0;
\tpacket.context := struct {
\t\tpacket_time_t timestamp_begin;
\t\tpacket_time_t timestamp_end;
\t\tuint64_t content_size;
\t\tuint64_t packet_size;
\t\tuint64_t packet_seq_num;
\t\tuint64_t events_discarded;
\t\tuint32_t cpu_id;
\t};
\tevent.header := struct {
\t\tevent_time_t timestamp;
\t\tevent_id_t id;
\t};
\tevent.context := struct {
\t\tthread_id_t _tid;
\t\tthread_id_t _pid;
\t};
};

";

/// The metadata of a trace with these event classes.
///
/// CTF has no padding except for alignment, and a string is aligned to a byte only: it starts
/// right after the field before it, even if that is a 32-bit number in a 64-bit slot. A payload ends
/// at the end of a byte.
///
/// A field's name is written after an underscore, which readers strip, because it could be a
/// keyword; `FieldNames` has the exceptions. `ctf::labels` says how names of values and bits are
/// declared. Characters that no identifier of TSDL has become underscores, and a name that comes
/// twice in a payload gets a number.
#[must_use]
pub fn metadata(info: &TraceInfo, classes: &[EventClass]) -> String {
    let mut out = String::with_capacity(4096 + classes.len() * 512);
    out.push_str("/* CTF 1.8 */\n\n");
    out.push_str(&PACKET_HEADER.replace("@UUID@", &format_uuid(&info.uuid)));
    push_env(&mut out, &info.env);
    push_clock(&mut out, &info.clock);
    out.push_str(STREAM);

    let types = Types {
        numbers: push_aliases(&mut out, classes),
        labels: labels::Types::declare(&mut out, classes),
    };
    for class in classes {
        push_class(&mut out, class, &types);
    }
    out
}

/// The type of the number of elements that lies before a sequence of `element`s.
#[must_use]
pub fn sequence_length_type(element: IntegerType) -> IntegerType {
    IntegerType {
        size_bits: 32,
        align_bits: element.align_bits.max(8),
        signed: false,
        display: Display::Decimal,
    }
}

/// As `be36d771-0210-43b6-9b2c-bfd035152159`.
#[must_use]
pub fn format_uuid(uuid: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (index, byte) in uuid.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        // writing to a string cannot fail
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn push_env(out: &mut String, env: &[(String, EnvValue)]) {
    out.push_str("env {\n");
    for (name, value) in env {
        let name = identifier(name);
        let _ = match value {
            EnvValue::Text(text) => writeln!(out, "\t{name} = {};", quoted(text)),
            EnvValue::Number(number) => writeln!(out, "\t{name} = {number};"),
        };
    }
    out.push_str("};\n\n");
}

fn push_clock(out: &mut String, clock: &Clock) {
    let _ = write!(
        out,
        "clock {{\n\tname = \"monotonic\";\n\tuuid = \"{}\";\n\
         \tdescription = \"Monotonic Clock\";\n\tfreq = 1000000000;\n\toffset = {};\n}};\n\n",
        format_uuid(&clock.uuid),
        clock.offset_ns,
    );
}

type Aliases = BTreeMap<String, IntegerType>;

/// The types that fields refer to.
struct Types<'a> {
    numbers: Aliases,
    labels: labels::Types<'a>,
}

/// Declares each type of number that `classes` use, once.
fn push_aliases(out: &mut String, classes: &[EventClass]) -> Aliases {
    let mut aliases = Aliases::new();
    for field in classes
        .iter()
        .flat_map(|class| class.context.iter().chain(&class.fields))
    {
        match field.ty {
            FieldType::Integer(ty)
            | FieldType::Labeled { number: ty, .. }
            | FieldType::Array { element: ty, .. } => {
                aliases.insert(alias(ty), ty);
            }
            FieldType::Sequence { element } => {
                let length = sequence_length_type(element);
                aliases.insert(alias(length), length);
                aliases.insert(alias(element), element);
            }
            FieldType::String => {}
        }
    }
    for (name, ty) in &aliases {
        let _ = writeln!(
            out,
            "typealias integer {{ {} }} := {name};",
            attributes(*ty)
        );
    }
    out.push('\n');
    aliases
}

/// What is declared of a number.
pub(crate) fn attributes(ty: IntegerType) -> String {
    let display = match ty.display {
        Display::Decimal => "base = 10;",
        Display::Hexadecimal => "base = 16;",
        Display::Octal => "base = 8;",
        Display::Text => "encoding = UTF8;",
    };
    format!(
        "size = {}; align = {}; signed = {}; {display}",
        ty.size_bits, ty.align_bits, ty.signed,
    )
}

/// The name of a type alias: `s32a64x` is signed, 32 bits, aligned to 64, hexadecimal.
pub(crate) fn alias(ty: IntegerType) -> String {
    let sign = if ty.signed { 's' } else { 'u' };
    let display = match ty.display {
        Display::Decimal => "",
        Display::Hexadecimal => "x",
        Display::Octal => "o",
        Display::Text => "t",
    };
    format!("{sign}{}a{}{display}", ty.size_bits, ty.align_bits)
}

fn push_class(out: &mut String, class: &EventClass, types: &Types<'_>) {
    let _ = write!(
        out,
        "event {{\n\tname = {};\n\tid = {};\n\tstream_id = 0;\n",
        quoted(&class.name),
        class.id
    );
    if !class.context.is_empty() {
        push_struct(out, "context", class, &class.context, types);
    }
    // even without fields: the 4 bytes before the payload are not content
    push_struct(out, "fields", class, &class.fields, types);
    out.push_str("};\n\n");
}

/// One part of an event, which starts at a multiple of 8 bytes.
fn push_struct(
    out: &mut String,
    part: &str,
    class: &EventClass,
    fields: &[Field],
    types: &Types<'_>,
) {
    let _ = writeln!(out, "\t{part} := struct {{");
    let mut names = FieldNames::default();
    for field in fields {
        push_field(out, class, field, &mut names, types);
    }
    out.push_str("\t} align(64);\n");
}

fn push_field(
    out: &mut String,
    class: &EventClass,
    field: &Field,
    names: &mut FieldNames,
    types: &Types<'_>,
) {
    let name = names.declare(out, &field.name);
    let type_name = |ty| {
        let name = alias(ty);
        debug_assert!(types.numbers.contains_key(&name));
        name
    };
    let _ = match field.ty {
        FieldType::Integer(ty) => writeln!(out, "\t\t{} {name};", type_name(ty)),
        FieldType::Labeled { number, ref labels } => {
            let ty = types.labels.name(class, number, labels);
            writeln!(out, "\t\t{ty} {name};")
        }
        FieldType::Array { element, length } => {
            writeln!(out, "\t\t{} {name}[{length}];", type_name(element))
        }
        FieldType::Sequence { element } => {
            let length = names.declare(out, &format!("_{}_length", shown(&name)));
            let length_type = type_name(sequence_length_type(element));
            writeln!(
                out,
                "\t\t{length_type} {length};\n\t\t{} {name}[{length}];",
                type_name(element)
            )
        }
        FieldType::String => writeln!(out, "\t\tstring {name};"),
    };
}

/// The names of one structure, as readers show them.
///
/// babeltrace2 refuses a trace if a field is written as an earlier one is shown: `_x` after
/// `__x`, which it shows as `_x`. Such a name is written without the underscore if it can be, and
/// gets a number if it cannot.
#[derive(Default)]
struct FieldNames(HashSet<String>);

impl FieldNames {
    /// The identifier to write for a field called `name`. Types are declared in `metadata`.
    fn declare(&mut self, metadata: &str, name: &str) -> String {
        let name = identifier(name);
        let mut candidate = name.clone();
        let mut number = 2;
        loop {
            if let Some(written) = self.written(metadata, &candidate) {
                self.0.insert(candidate);
                return written;
            }
            candidate = format!("{name}_{number}");
            number += 1;
        }
    }

    fn written(&self, metadata: &str, name: &str) -> Option<String> {
        if self.0.contains(name) {
            return None;
        }
        let prefixed = format!("_{name}");
        if !self.0.contains(&prefixed) && !KEYWORDS.contains(&prefixed.as_str()) {
            return Some(prefixed);
        }
        let can_be_bare = name.starts_with(|c: char| c.is_ascii_alphabetic())
            && !KEYWORDS.contains(&name)
            && !metadata.contains(&format!(":= {name};"));
        can_be_bare.then(|| name.to_owned())
    }
}

/// A field's name as readers show it.
fn shown(written: &str) -> &str {
    written.strip_prefix('_').unwrap_or(written)
}

/// The keywords of TSDL (CTF 1.8, appendix C.1.2), and those that babeltrace adds.
const KEYWORDS: [&str; 28] = [
    "_Bool",
    "_Complex",
    "_Imaginary",
    "align",
    "callsite",
    "char",
    "clock",
    "const",
    "double",
    "enum",
    "env",
    "event",
    "float",
    "floating_point",
    "int",
    "integer",
    "long",
    "short",
    "signed",
    "stream",
    "string",
    "struct",
    "trace",
    "typealias",
    "typedef",
    "unsigned",
    "variant",
    "void",
];

fn identifier(name: &str) -> String {
    if name.is_empty() {
        return "unnamed".to_owned();
    }
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect()
}

/// A string literal of TSDL, which are those of C. Control characters are written in
/// octal, whose length is limited, unlike that of hexadecimal escapes.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_ascii_control() => {
                let _ = write!(out, "\\{:03o}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(fields: Vec<Field>) -> EventClass {
        EventClass {
            id: 1,
            name: "a:b".into(),
            context: Vec::new(),
            fields,
        }
    }

    fn field(name: &str, ty: FieldType) -> Field {
        Field {
            name: name.into(),
            ty,
        }
    }

    const U32: IntegerType = IntegerType::natural(4, false, Display::Decimal);

    #[test]
    fn starts_with_the_signature_of_plain_metadata() {
        assert!(metadata(&TraceInfo::default(), &[]).starts_with("/* CTF 1.8 */"));
    }

    #[test]
    fn each_type_of_number_is_declared_once() {
        let fields = vec![
            field("a", FieldType::Integer(U32)),
            field("b", FieldType::Integer(U32)),
        ];
        let text = metadata(&TraceInfo::default(), &[class(fields)]);
        assert_eq!(text.matches(":= u32a32;").count(), 1);
    }

    #[test]
    fn names_that_come_twice_get_a_number() {
        let fields = vec![
            field("a[0]", FieldType::Integer(U32)),
            field("a-0-", FieldType::Integer(U32)),
        ];
        let text = metadata(&TraceInfo::default(), &[class(fields)]);
        assert!(text.contains("u32a32 _a_0_;") && text.contains("u32a32 _a_0__2;"));
    }

    /// The names of fields in the metadata of a class with fields of these names.
    fn written(names: &[&str]) -> Vec<String> {
        let fields = names
            .iter()
            .map(|name| field(name, FieldType::Integer(U32)))
            .collect();
        let text = metadata(&TraceInfo::default(), &[class(fields)]);
        text.lines()
            .filter_map(|line| line.strip_prefix("\t\tu32a32 ")?.strip_suffix(';'))
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn no_name_is_written_as_an_earlier_one_is_shown() {
        assert_eq!(written(&["x", "_x", "__x"]), ["_x", "__x", "___x"]);
        assert_eq!(written(&["_x", "x"]), ["__x", "x"]);
        assert_eq!(written(&["__x", "_x", "x"]), ["___x", "__x_2", "_x"]);
    }

    #[test]
    fn a_name_that_must_have_an_underscore_gets_a_number() {
        assert_eq!(written(&["_int", "int"]), ["__int", "_int_2"]);
        assert_eq!(written(&["_u32a32", "u32a32"]), ["__u32a32", "_u32a32_2"]);
        assert_eq!(written(&["_1", "1"]), ["__1", "_1_2"]);
    }

    #[test]
    fn no_name_becomes_a_keyword_by_its_underscore() {
        assert_eq!(
            written(&["Bool", "Complex", "Bool", "_Bool"]),
            ["Bool", "Complex", "_Bool_2", "__Bool"]
        );
    }

    #[test]
    fn a_sequence_has_its_length_before_it() {
        let ty = FieldType::Sequence {
            element: U32.packed(),
        };
        let text = metadata(&TraceInfo::default(), &[class(vec![field("v", ty)])]);
        assert!(text.contains("\t\tu32a8 __v_length;\n\t\tu32a8 _v[__v_length];\n"));
    }

    #[test]
    fn quotes_and_control_characters_are_escaped() {
        assert_eq!(quoted("a\"\\\u{1b}1\n"), r#""a\"\\\0331\n""#);
    }

    #[test]
    fn uuid_is_formatted_in_five_groups() {
        assert_eq!(
            format_uuid(b"\x01#Eg\x89\xab\xcd\xef\xfe\xdc\xba\x98vT2\x10"),
            "01234567-89ab-cdef-fedc-ba9876543210"
        );
    }
}
