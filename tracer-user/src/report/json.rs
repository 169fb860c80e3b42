//! Events as JSON, one object on each line.

use super::line::Line;
use super::names::{is_result, name};
use crate::ctf::tasks::Tasks;
use crate::ctf::{Class, ClassField, Event, Fields, Loss, Number, Value};

/// Writes records as JSON.
#[derive(Debug)]
pub(super) struct Json {
    classes: Vec<ClassJson>,
}

/// The parts of an object that all events of a class share.
#[derive(Debug)]
struct ClassJson {
    /// The name, as a string of JSON.
    name: Vec<u8>,
    context: Vec<FieldJson>,
    fields: Vec<FieldJson>,
}

/// How a field is shown in each event.
#[derive(Debug)]
struct FieldJson {
    /// The name with its colon.
    name: Vec<u8>,
    /// It can be an error.
    is_result: bool,
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

    pub(super) fn event(&self, line: &mut Line, event: &Event<'_>, tasks: &Tasks) {
        let texts = &self.classes[event.class.index];
        line.text("{\"timestamp_ns\":");
        line.decimal(event.timestamp_ns);
        line.text(",\"cpu\":");
        line.decimal(u64::from(event.cpu));
        line.text(",\"comm\":");
        line.json(
            event
                .comm
                .unwrap_or_else(|| tasks.name_at(event.tid, event.timestamp_ns)),
        );
        line.text(",\"tid\":");
        line.decimal(u64::from(event.tid));
        line.text(",\"pid\":");
        line.decimal(u64::from(event.pid));
        line.text(",\"name\":");
        line.0.extend_from_slice(&texts.name);
        let mut names = Line::default();
        if !texts.context.is_empty() {
            line.text(",\"context\":{");
            push_fields(line, &mut names, event.context(), &texts.context);
            line.byte(b'}');
        }
        line.text(",\"fields\":{");
        push_fields(line, &mut names, event.fields(), &texts.fields);
        line.byte(b'}');
        if !names.0.is_empty() {
            line.text(",\"names\":{");
            line.0.append(&mut names.0);
            line.byte(b'}');
        }
        line.text("}\n");
    }

    // shaped as `Text::loss`, which has settings
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

/// The values go to `line`, and what numbers are called to `names`.
fn push_fields(line: &mut Line, names: &mut Line, fields: Fields<'_>, texts: &[FieldJson]) {
    for (index, ((_, value), text)) in fields.zip(texts).enumerate() {
        if index > 0 {
            line.byte(b',');
        }
        line.0.extend_from_slice(&text.name);
        if let Some(name) = name(&value, text.is_result) {
            if !names.0.is_empty() {
                names.byte(b',');
            }
            names.0.extend_from_slice(&text.name);
            names.json(name.as_str().as_bytes());
        }
        push_value(line, value);
    }
}

fn push_value(line: &mut Line, value: Value<'_>) {
    match value {
        Value::Number(number) | Value::Named(number, _) => push_number(line, number),
        Value::Text(text) => line.json(text),
        Value::Numbers(numbers) => {
            line.byte(b'[');
            for (index, number) in numbers.enumerate() {
                if index > 0 {
                    line.byte(b',');
                }
                push_number(line, number);
            }
            line.byte(b']');
        }
    }
}

fn push_number(line: &mut Line, number: Number) {
    if number.ty.signed {
        line.signed(number.raw as i64);
    } else {
        line.decimal(number.raw);
    }
}
