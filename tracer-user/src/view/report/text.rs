//! Events as lines of text, in the format of `trace-cmd report`.

use crate::trace::ctf::{Event, Loss};
use crate::trace::event::{Display, STRING_CUT, STRING_FAULT, UNFINISHED};
use crate::trace::sidecar::tasks::Tasks;
use crate::trace::{Class, ClassField, Fields, Number, Value};
use crate::view::line::Line;
use crate::view::names::{Name, is_result, name};
use crate::view::report::stack::{Address, Frame, Side, Stacks};

/// Writes records as text.
#[derive(Debug)]
pub(super) struct Text {
    /// Print timestamps with nine decimal places instead of six.
    nanoseconds: bool,
    classes: Vec<ClassText>,
}

/// The parts of a line that are the same for all events of a class.
#[derive(Debug)]
struct ClassText {
    /// `NAME:`.
    name: Vec<u8>,
    /// The first includes the opening bracket.
    context: Vec<FieldText>,
    fields: Vec<FieldText>,
}

/// How to print a field.
#[derive(Debug)]
struct FieldText {
    /// ` FIELD=`.
    name: Vec<u8>,
    /// Omitted while zero.
    is_mark: bool,
    /// Whether it can be an error number.
    is_result: bool,
    /// Set if it is a stack, which is printed below the line.
    stack: Option<Side>,
}

impl Text {
    pub(super) fn new(classes: &[Class], nanoseconds: bool) -> Self {
        let part = |before: &str, name: &str, after: &str| {
            let mut line = Line::default();
            line.text(before);
            line.bare(name.as_bytes());
            line.text(after);
            line.0
        };
        let field_texts = |class: &Class, before_first: &str, fields: &[ClassField]| {
            let text = |(index, field): (usize, &ClassField)| FieldText {
                name: part(
                    if index == 0 { before_first } else { " " },
                    &field.name,
                    "=",
                ),
                is_mark: [STRING_CUT, STRING_FAULT, UNFINISHED].contains(&field.name.as_str()),
                is_result: is_result(&class.name, &field.name),
                stack: Side::of_field(&field.name),
            };
            fields.iter().enumerate().map(text).collect()
        };
        let class_text = |class: &Class| ClassText {
            name: part("", &class.name, ":"),
            context: field_texts(class, " [", &class.context),
            fields: field_texts(class, " ", &class.fields),
        };
        Self {
            nanoseconds,
            classes: classes.iter().map(class_text).collect(),
        }
    }

    pub(super) fn event(
        &self,
        line: &mut Line,
        event: &Event<'_>,
        tasks: &Tasks,
        stacks: &mut Stacks,
    ) {
        let comm = event
            .comm
            .unwrap_or_else(|| tasks.name_at(event.tid, event.timestamp_ns));
        let start = line.0.len();
        line.pad_to(start, 16usize.saturating_sub(comm.len()));
        line.bare(comm);
        line.byte(b'-');
        let tid = line.0.len();
        line.decimal(u64::from(event.tid));
        line.pad_to(tid, 7);
        self.place(line, event.cpu, event.timestamp_ns);

        let texts = &self.classes[event.class.index];
        line.0.extend_from_slice(&texts.name);
        if !texts.context.is_empty() {
            push_fields(line, event.context(), &texts.context);
            line.byte(b']');
        }
        push_fields(line, event.fields(), &texts.fields);
        line.byte(b'\n');
        push_stacks(line, event, event.context(), &texts.context, stacks);
        push_stacks(line, event, event.fields(), &texts.fields, stacks);
    }

    pub(super) fn loss(&self, line: &mut Line, loss: &Loss) {
        for (count, what) in [(loss.packets, "PACKETS"), (loss.events, "EVENTS")] {
            if count == 0 {
                continue;
            }
            let start = line.0.len();
            line.pad_to(start, 24);
            self.place(line, loss.cpu, loss.timestamp_ns);
            line.text("CPU:");
            line.decimal(u64::from(loss.cpu));
            line.text(" [");
            line.decimal(count);
            line.byte(b' ');
            line.text(what);
            line.text(if what == "EVENTS" {
                " DROPPED]\n"
            } else {
                " MISSING]\n"
            });
        }
    }

    fn place(&self, line: &mut Line, cpu: u32, timestamp_ns: u64) {
        line.text(" [");
        line.decimal_padded(u64::from(cpu), 3);
        line.text("] ");
        let seconds = timestamp_ns / 1_000_000_000;
        let start = line.0.len();
        let width = seconds.checked_ilog10().unwrap_or(0) as usize + 1;
        line.pad_to(start, 5usize.saturating_sub(width));
        line.decimal(seconds);
        line.byte(b'.');
        let nanoseconds = timestamp_ns % 1_000_000_000;
        if self.nanoseconds {
            line.decimal_padded(nanoseconds, 9);
        } else {
            line.decimal_padded(nanoseconds / 1000, 6);
        }
        line.text(": ");
    }
}

fn push_fields(line: &mut Line, fields: Fields<'_>, texts: &[FieldText]) {
    for ((_, value), text) in fields.zip(texts) {
        let is_stack = text.stack.is_some() && matches!(value, Value::Numbers(_));
        let is_zero = matches!(value, Value::Number(Number { raw: 0, .. }));
        if is_stack || text.is_mark && is_zero {
            continue;
        }
        line.0.extend_from_slice(&text.name);
        match name(&value, text.is_result) {
            None => push_value(line, value),
            Some(Name::Beside(name)) => {
                push_value(line, value);
                line.text(" (");
                line.text(name);
                line.byte(b')');
            }
            Some(name) => line.string(name.as_str().as_bytes()),
        }
    }
}

/// The first `count` fields of an event as the arguments of a call: `dfd=-100,
/// filename=/etc/passwd`.
pub(in crate::view) fn push_arguments(line: &mut Line, event: &Event<'_>, count: usize) {
    let mut comma = "";
    for (field, value) in event.fields().take(count) {
        if field.name == STRING_CUT || field.name == STRING_FAULT {
            continue;
        }
        line.text(comma);
        comma = ", ";
        line.bare(field.name.as_bytes());
        line.byte(b'=');
        push_inner(line, value);
    }
}

/// One line for each address of the stacks in `fields`, as in `perf script`.
fn push_stacks(
    line: &mut Line,
    event: &Event<'_>,
    fields: Fields<'_>,
    texts: &[FieldText],
    stacks: &mut Stacks,
) {
    if texts.iter().all(|text| text.stack.is_none()) {
        return;
    }
    for ((_, value), text) in fields.zip(texts) {
        let (Some(side), Value::Numbers(addresses)) = (text.stack, value) else {
            continue;
        };
        for address in Address::of_stack(side, event, addresses) {
            push_frame(line, address.value, stacks.frame(address));
        }
    }
}

fn push_frame(line: &mut Line, address: u64, frame: Frame<'_>) {
    line.byte(b'\t');
    line.address(address);
    line.byte(b' ');
    match frame.symbol {
        Some((name, offset)) => {
            line.bare(name.as_bytes());
            line.byte(b'+');
            line.hexadecimal(offset);
        }
        None => line.text("[unknown]"),
    }
    line.text(" (");
    line.bare(frame.object.unwrap_or(b"[unknown]"));
    line.text(")\n");
}

pub(in crate::view) fn push_value(line: &mut Line, value: Value<'_>) {
    match value {
        Value::Number(number) | Value::Labeled(number, _) => push_number(line, number),
        Value::Float(number) => line.float(number),
        Value::Text(text) => line.string(text),
        Value::Numbers(numbers) => push_list(line, numbers, push_number),
        Value::List(list) => push_list(line, list, push_inner),
        Value::Struct(fields) => {
            line.byte(b'{');
            for (index, (field, value)) in fields.enumerate() {
                if index > 0 {
                    line.byte(b' ');
                }
                line.bare(field.name.as_bytes());
                line.byte(b'=');
                push_inner(line, value);
            }
            line.byte(b'}');
        }
    }
}

/// A value inside another, by its name if it has one.
fn push_inner(line: &mut Line, value: Value<'_>) {
    match name(&value, false) {
        None => push_value(line, value),
        Some(name) => line.string(name.as_str().as_bytes()),
    }
}

fn push_list<T>(line: &mut Line, items: impl Iterator<Item = T>, push: fn(&mut Line, T)) {
    line.byte(b'{');
    for (index, item) in items.enumerate() {
        if index > 0 {
            line.byte(b',');
        }
        push(line, item);
    }
    line.byte(b'}');
}

fn push_number(line: &mut Line, number: Number) {
    match number.ty.display {
        Display::Hexadecimal => line.hexadecimal(number.stored_bits()),
        Display::Octal => line.octal(number.stored_bits()),
        Display::Decimal | Display::Text if number.ty.signed => line.signed(number.raw as i64),
        Display::Decimal | Display::Text => line.decimal(number.raw),
    }
}
