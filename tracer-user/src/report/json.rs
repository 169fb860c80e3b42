//! Events as JSON, one object on each line.

use super::line::Line;
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
    /// The name of each field with its colon.
    context: Vec<Vec<u8>>,
    fields: Vec<Vec<u8>>,
}

impl Json {
    pub(super) fn new(classes: &[Class]) -> Self {
        let string = |text: &str, after: &str| {
            let mut line = Line::default();
            line.json(text.as_bytes());
            line.text(after);
            line.0
        };
        let names = |fields: &[ClassField]| {
            let name = |field: &ClassField| string(&field.name, ":");
            fields.iter().map(name).collect()
        };
        let class_json = |class: &Class| ClassJson {
            name: string(&class.name, ""),
            context: names(&class.context),
            fields: names(&class.fields),
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
        if !texts.context.is_empty() {
            line.text(",\"context\":{");
            push_fields(line, event.context(), &texts.context);
            line.byte(b'}');
        }
        line.text(",\"fields\":{");
        push_fields(line, event.fields(), &texts.fields);
        line.text("}}\n");
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

fn push_fields(line: &mut Line, fields: Fields<'_>, names: &[Vec<u8>]) {
    for (index, ((_, value), name)) in fields.zip(names).enumerate() {
        if index > 0 {
            line.byte(b',');
        }
        line.0.extend_from_slice(name);
        push_value(line, value);
    }
}

fn push_value(line: &mut Line, value: Value<'_>) {
    match value {
        Value::Number(number) => push_number(line, number),
        Value::Named(_, name) => line.json(name.as_bytes()),
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
