//! Events as JSON, one object per line.
//!
//! Strings of JSON are UTF-8, and those of events are any bytes. Bytes that are not UTF-8 are
//! replaced by U+FFFD, which all parsers accept (unlike lone surrogates), and the string's bytes
//! follow in hexadecimal, in the member `bytes` of the event.

use crate::trace::ctf::{Event, Loss};
use crate::trace::sidecar::tasks::Tasks;
use crate::trace::{Class, ClassField, Fields, Number, Numbers, Value};
use crate::view::report::line::Line;
use crate::view::report::names::{is_result, name};
use crate::view::report::stack::{Address, Frame, Side, Stacks};

/// Writes records as JSON.
#[derive(Debug)]
pub(super) struct Json {
    classes: Vec<ClassJson>,
}

/// The parts of an object that are the same for all events of a class.
#[derive(Debug)]
struct ClassJson {
    /// The name as a JSON string.
    name: Vec<u8>,
    context: Vec<FieldJson>,
    fields: Vec<FieldJson>,
}

/// How to print a field.
#[derive(Debug)]
struct FieldJson {
    /// The name as a JSON string, with a colon.
    name: Vec<u8>,
    /// Whether it can be an error number.
    is_result: bool,
    /// Set if it is a stack.
    stack: Option<Side>,
}

/// An event being printed.
struct Parts<'p, 'e> {
    /// Values.
    line: &'p mut Line,
    /// Names of numbers.
    names: &'p mut Line,
    /// Bytes of strings that are not UTF-8.
    bytes: &'p mut Line,
    event: &'p Event<'e>,
    stacks: &'p mut Stacks,
}

impl Json {
    pub(super) fn new(classes: &[Class]) -> Self {
        let string = |text: &str, after: &str| {
            let mut line = Line::default();
            line.json(text.as_bytes());
            line.text(after);
            line.0
        };
        let fields = |class: &Class, fields: &[ClassField]| {
            let field = |field: &ClassField| FieldJson {
                name: string(&field.name, ":"),
                is_result: is_result(&class.name, &field.name),
                stack: Side::of_field(&field.name),
            };
            fields.iter().map(field).collect()
        };
        let class_json = |class: &Class| ClassJson {
            name: string(&class.name, ""),
            context: fields(class, &class.context),
            fields: fields(class, &class.fields),
        };
        Self {
            classes: classes.iter().map(class_json).collect(),
        }
    }

    pub(super) fn event(
        &self,
        line: &mut Line,
        event: &Event<'_>,
        tasks: &Tasks,
        stacks: &mut Stacks,
    ) {
        let texts = &self.classes[event.class.index];
        line.text("{\"timestamp_ns\":");
        line.decimal(event.timestamp_ns);
        line.text(",\"cpu\":");
        line.decimal(u64::from(event.cpu));
        line.text(",\"comm\":");
        let comm = event
            .comm
            .unwrap_or_else(|| tasks.name_at(event.tid, event.timestamp_ns));
        line.json(comm);
        push_bytes(line, "comm_bytes", comm);
        line.text(",\"tid\":");
        line.decimal(u64::from(event.tid));
        line.text(",\"pid\":");
        line.decimal(u64::from(event.pid));
        line.text(",\"name\":");
        line.0.extend_from_slice(&texts.name);
        let (mut names, mut bytes) = (Line::default(), Line::default());
        let mut parts = Parts {
            line,
            names: &mut names,
            bytes: &mut bytes,
            event,
            stacks,
        };
        if !texts.context.is_empty() {
            parts.line.text(",\"context\":{");
            parts.push(event.context(), &texts.context);
            parts.line.byte(b'}');
        }
        parts.line.text(",\"fields\":{");
        parts.push(event.fields(), &texts.fields);
        line.byte(b'}');
        for (key, mut object) in [("names", names), ("bytes", bytes)] {
            if !object.0.is_empty() {
                line.key(key);
                line.byte(b'{');
                line.0.append(&mut object.0);
                line.byte(b'}');
            }
        }
        line.text("}\n");
    }

    // same signature as `Text::loss`
    #[allow(clippy::unused_self)]
    pub(super) fn loss(&self, line: &mut Line, loss: &Loss) {
        line.text("{\"timestamp_ns\":");
        line.decimal(loss.timestamp_ns);
        line.text(",\"cpu\":");
        line.decimal(u64::from(loss.cpu));
        line.text(",\"events_dropped\":");
        line.decimal(loss.events);
        line.text(",\"packets_missing\":");
        line.decimal(loss.packets);
        line.text("}\n");
    }
}

impl Parts<'_, '_> {
    fn push(&mut self, fields: Fields<'_>, texts: &[FieldJson]) {
        for (index, ((_, value), text)) in fields.zip(texts).enumerate() {
            if index > 0 {
                self.line.byte(b',');
            }
            self.line.0.extend_from_slice(&text.name);
            if let Some(name) = name(&value, text.is_result) {
                self.names.member(&text.name);
                self.names.json(name.as_str().as_bytes());
            }
            if let Value::Text(string) = value
                && str::from_utf8(string).is_err()
            {
                self.bytes.member(&text.name);
                self.bytes.hexadecimal_string(string);
            }
            match (text.stack, value) {
                (Some(side), Value::Numbers(addresses)) => self.push_stack(side, addresses),
                (_, value) => push_value(self.line, value),
            }
        }
    }

    fn push_stack(&mut self, side: Side, addresses: Numbers<'_>) {
        self.line.byte(b'[');
        let mut separator = "";
        for address in Address::of_stack(side, self.event, addresses) {
            self.line.text(separator);
            separator = ",";
            push_frame(self.line, address.value, self.stacks.frame(address));
        }
        self.line.byte(b']');
    }
}

fn push_frame(line: &mut Line, address: u64, frame: Frame<'_>) {
    line.text("{\"address\":");
    line.decimal(address);
    if let Some((name, offset)) = frame.symbol {
        line.text(",\"symbol\":");
        line.json(name.as_bytes());
        line.text(",\"offset\":");
        line.decimal(offset);
    }
    if let Some(object) = frame.object {
        line.text(",\"object\":");
        line.json(object);
        push_bytes(line, "object_bytes", object);
    }
    line.byte(b'}');
}

/// Appends the bytes of a string that is not UTF-8 as a member of the object.
fn push_bytes(line: &mut Line, key: &str, string: &[u8]) {
    if str::from_utf8(string).is_err() {
        line.key(key);
        line.hexadecimal_string(string);
    }
}

fn push_value(line: &mut Line, value: Value<'_>) {
    match value {
        Value::Number(number) | Value::Labeled(number, _) => push_number(line, number),
        // JSON has neither infinity nor NaN
        Value::Float(number) if !number.is_finite() => line.text("null"),
        Value::Float(number) => line.float(number),
        Value::Text(text) => line.json(text),
        Value::Numbers(numbers) => push_list(line, numbers, push_number),
        Value::List(list) => push_list(line, list, push_value),
        Value::Struct(fields) => {
            line.byte(b'{');
            for (index, (field, value)) in fields.enumerate() {
                if index > 0 {
                    line.byte(b',');
                }
                line.json(field.name.as_bytes());
                line.byte(b':');
                push_value(line, value);
            }
            line.byte(b'}');
        }
    }
}

fn push_list<T>(line: &mut Line, items: impl Iterator<Item = T>, push: fn(&mut Line, T)) {
    line.byte(b'[');
    for (index, item) in items.enumerate() {
        if index > 0 {
            line.byte(b',');
        }
        push(line, item);
    }
    line.byte(b']');
}

fn push_number(line: &mut Line, number: Number) {
    if number.ty.signed {
        line.signed(number.raw as i64);
    } else {
        line.decimal(number.raw);
    }
}
