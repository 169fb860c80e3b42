//! Events as babeltrace2 prints them, to compare each field.

use std::fmt::Write as _;
use std::path::Path;

use tracer::trace::ctf::{EnvValue, Event};
use tracer::trace::event::Display;
use tracer::trace::folder::{Record, Trace};
use tracer::trace::{ClassField, Fields, Number, Value, ValueLabel};

/// Options of variants in the traces of these tests. babeltrace2 does not print which of them
/// it is.
const OPTIONS: [&str; 3] = ["one", "two", "three"];

/// Compares all events of the trace in `dir` with `text`, which is what
/// `babeltrace2 --clock-cycles --no-delta` prints of it: time, name, CPU, context and payload.
///
/// Lengths, which this reader has no fields for, are passed over: they end in `_length`.
pub(crate) fn assert_same(dir: &Path, text: &str) {
    let trace = Trace::open(dir).unwrap();
    let host = match trace.info().env("hostname") {
        Some(EnvValue::Text(host)) => format!("{host} "),
        _ => String::new(),
    };
    let mut lines = text.lines();
    let mut events = trace.events(0).unwrap();
    while let Some(record) = events.next().unwrap() {
        if let Record::Event(event) = record {
            let line = lines.next().expect("babeltrace2 has fewer events");
            assert_line(&event, line, &host);
        }
    }
    assert_eq!(lines.next(), None, "babeltrace2 has more events");
}

fn assert_line(event: &Event<'_>, line: &str, host: &str) {
    let start = format!("[{:020}] {host}{}: ", event.timestamp_ns, event.class.name);
    let rest = line
        .strip_prefix(&start)
        .unwrap_or_else(|| panic!("expected `{start}` in: {line}"));
    let mut fields = fields_of(&format!("[ {rest} ]"), line)
        .into_iter()
        .flat_map(|group| fields_of(&group, line))
        .filter(|field| !is_length(field))
        .collect::<Vec<_>>();
    let mut take = |name: &str| {
        let start = format!("{name} = ");
        let found = fields.iter().position(|field| field.starts_with(&start));
        found.map(|index| fields.remove(index).split_off(start.len()))
    };
    if let Some(cpu) = take("cpu_id") {
        assert_eq!(cpu, event.cpu.to_string(), "{line}");
    }
    if let Some(comm) = event.comm {
        assert_eq!(take("procname"), Some(quoted(comm)), "{line}");
    }
    assert_eq!(take("tid"), Some(event.tid.to_string()), "{line}");
    assert_eq!(take("pid"), Some(event.pid.to_string()), "{line}");
    let read: Vec<String> = shown(event.context())
        .chain(shown(event.fields()))
        .collect();
    let expected: Vec<String> = fields.iter().map(|field| without_lengths(field)).collect();
    assert_eq!(read, expected, "{line}");
}

/// The fields in `{ a = 1, b = 2 }`, or the groups in `[ { … }, { … } ]`.
fn fields_of(group: &str, line: &str) -> Vec<String> {
    let inner = group.trim();
    let inner = inner
        .get(1..inner.len() - 1)
        .unwrap_or_else(|| panic!("no fields in: {line}"));
    let mut fields = Vec::new();
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    let mut field = String::new();
    for c in inner.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '{' | '[' | '(' if !quoted => depth += 1,
            '}' | ']' | ')' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                fields.push(std::mem::take(&mut field).trim().to_owned());
                continue;
            }
            _ => {}
        }
        field.push(c);
    }
    if !field.trim().is_empty() {
        fields.push(field.trim().to_owned());
    }
    fields
}

fn is_length(field: &str) -> bool {
    field
        .split_once(" = ")
        .is_some_and(|(name, _)| name.ends_with("_length"))
}

/// A field without the lengths inside it, and without marks of values that have no name.
fn without_lengths(field: &str) -> String {
    let field = field.replace("( <unknown> : container = 42 )", "42");
    let mut out = String::new();
    let mut rest = field.as_str();
    while let Some(at) = rest.find("_length = ") {
        let start = rest[..at].rfind(' ').map_or(0, |space| space + 1);
        let end = rest[at..].find(", ").map_or(rest.len(), |end| at + end + 2);
        out.push_str(&rest[..start]);
        rest = &rest[end..];
    }
    out + rest
}

fn shown(fields: Fields<'_>) -> impl Iterator<Item = String> {
    fields.map(|(field, value)| format!("{} = {}", field.name, text(value)))
}

fn text(value: Value<'_>) -> String {
    match value {
        Value::Number(number) | Value::Labeled(number, ValueLabel::Bits(_)) => number_text(number),
        Value::Labeled(number, ValueLabel::Value("true" | "false")) => {
            (number.raw != 0).to_string()
        }
        Value::Labeled(number, ValueLabel::Value(label)) => {
            format!(
                "( {} : container = {} )",
                quoted(label.as_bytes()),
                number_text(number)
            )
        }
        Value::Text(text) => quoted(text),
        Value::Float(number) => float(number),
        Value::Numbers(numbers) => list(numbers.map(number_text)),
        Value::List(values) => list(values.map(text)),
        Value::Struct(fields) => {
            let shown = |(field, value): (&ClassField, Value<'_>)| match field.name.as_str() {
                name if OPTIONS.contains(&name) => text(value),
                name => format!("{name} = {}", text(value)),
            };
            let fields: Vec<_> = fields.map(shown).collect();
            if fields.is_empty() {
                "{ }".to_owned()
            } else {
                format!("{{ {} }}", fields.join(", "))
            }
        }
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    let mut out = "[ ".to_owned();
    for (index, item) in items.enumerate() {
        let separator = if index > 0 { ", " } else { "" };
        let _ = write!(out, "{separator}[{index}] = {item}");
    }
    if !out.ends_with("[ ") {
        out.push(' ');
    }
    out + "]"
}

fn number_text(number: Number) -> String {
    match number.ty.display {
        Display::Hexadecimal => format!("0x{:X}", number.stored_bits()),
        Display::Octal => format!("0{:o}", number.stored_bits()),
        Display::Decimal | Display::Text => number.value().to_string(),
    }
}

/// As `%g` of C.
fn float(number: f64) -> String {
    let text = format!("{number:.5e}");
    let (digits, exponent) = text.split_once('e').unwrap();
    let exponent: i32 = exponent.parse().unwrap();
    let trimmed = |text: &str| {
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text.to_owned()
        }
    };
    if (-4..6).contains(&exponent) {
        trimmed(&format!("{number:.*}", (5 - exponent) as usize))
    } else {
        format!(
            "{}e{}{:02}",
            trimmed(digits),
            if exponent < 0 { '-' } else { '+' },
            exponent.abs()
        )
    }
}

fn quoted(bytes: &[u8]) -> String {
    let mut out = "\"".to_owned();
    for c in String::from_utf8_lossy(bytes).chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
