//! Conditions of any kind, such as events of a class satisfy or not.

use proptest::prelude::*;
use serde_json::Value;
use tracer::trace::event::{Display, EventClass, FieldType, IntegerType};

use crate::common::trace::Event;

/// What no filter can decide about in the kernel, and what differs from run to run.
const LEFT_OUT: [&str; 5] = ["string_cut", "string_fault", "pid", "old_pid", "tid"];

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Conditions on a number, near the values that it has.
fn number_tests(name: &str, ty: IntegerType, values: Vec<i128>) -> BoxedStrategy<String> {
    let bits = u32::from(ty.size_bits);
    let (min, max) = if ty.signed {
        (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1)
    } else {
        (0, (1i128 << bits) - 1)
    };
    let near = (prop::sample::select(values), -1..=1i128)
        .prop_map(move |(value, by)| (value + by).clamp(min, max));
    let relation = prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]);
    let mask = (0..bits).prop_flat_map(move |low| {
        (Just(low), 1..=bits - low).prop_map(|(low, width)| ((1i128 << width) - 1) << low)
    });
    let mask = mask.prop_map(move |mask| mask.min(max));
    let (first, second, third) = (name.to_owned(), name.to_owned(), name.to_owned());
    prop_oneof![
        3 => (near.clone(), relation).prop_map(move |(value, relation)| {
            format!("{first} {relation} {value}")
        }),
        1 => mask.clone().prop_map(move |mask| format!("{second} & {mask:#x}")),
        1 => (near, mask).prop_map(move |(value, mask)| {
            format!("({third} & {mask:#x}) == {:#x}", value & mask)
        }),
    ]
    .boxed()
}

/// A pattern that resembles `text`; `part` and `kind` choose how.
fn pattern_like(text: &str, part: usize, kind: u8) -> String {
    let text: Vec<char> = text.chars().take(50).collect();
    let part = part % (text.len() + 1);
    let join = |chars: &[char]| chars.iter().collect::<String>();
    let (before, after) = (join(&text[..part]), join(&text[part..]));
    let rest = join(text.get(part + 1..).unwrap_or_default());
    match (kind, text.get(part)) {
        (0, _) => format!("{before}*"),
        (1, _) => format!("*{after}"),
        (2, _) => format!("{before}*{rest}*"),
        (3, Some(_)) => format!("{before}?{rest}*"),
        (4, Some(one)) if !"]!^-".contains(*one) => format!("{before}[{one}z]*{rest}*"),
        (5, Some(one)) if !"]!^-".contains(*one) => format!("{before}[!{one}]*"),
        (6, _) => format!("*{after}*{before}*"),
        _ => join(&text),
    }
}

/// Conditions on a string, like the values that it has.
fn text_tests(name: &str, max: Option<usize>, values: Vec<String>) -> BoxedStrategy<String> {
    let value = prop::sample::select(values);
    let whole = value.clone().prop_filter("one that fits", move |value| {
        max.is_none_or(|max| value.len() <= max)
    });
    let (first, second) = (name.to_owned(), name.to_owned());
    prop_oneof![
        (whole, prop::sample::select(vec!["==", "!="]))
            .prop_map(move |(value, relation)| format!("{first} {relation} {}", quoted(&value))),
        (value, any::<usize>(), 0..8u8).prop_map(move |(value, part, kind)| {
            format!("{second} ~ {}", quoted(&pattern_like(&value, part, kind)))
        }),
    ]
    .boxed()
}

/// Conditions on the events of a class, of the kind that its own events satisfy or not.
pub(crate) fn filters_for(class: &EventClass, events: &[&Event]) -> BoxedStrategy<String> {
    let id = IntegerType::natural(4, false, Display::Decimal);
    let mut tests = vec![number_tests("cpu", id, vec![1])];
    // While a thread is renamed, a trace may have either name.
    if class.name != "task:task_rename" {
        tests.push(text_tests(
            "comm",
            Some(16),
            vec!["work".into(), "first".into()],
        ));
    }
    for field in class
        .fields
        .iter()
        .filter(|field| !LEFT_OUT.contains(&field.name.as_str()))
    {
        let values = || events.iter().map(|event| &event.fields[&field.name]);
        let name = &field.name;
        tests.push(match &field.ty {
            FieldType::Integer(ty) | FieldType::Labeled { number: ty, .. } => {
                let number = |value: &Value| {
                    let signed = value.as_i64().map(i128::from);
                    signed.or_else(|| value.as_u64().map(i128::from)).unwrap()
                };
                number_tests(name, *ty, values().map(number).collect())
            }
            ty => {
                let max = match ty {
                    FieldType::Array { length, .. } => Some(*length as usize),
                    _ => None,
                };
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                text_tests(name, max, values().map(text).collect())
            }
        });
    }
    let join = |by: &'static str| move |parts: Vec<String>| format!("({})", parts.join(by));
    prop::strategy::Union::new(tests)
        .prop_recursive(3, 6, 3, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 2..4).prop_map(join(" && ")),
                prop::collection::vec(inner.clone(), 2..4).prop_map(join(" || ")),
                inner.prop_map(|part| format!("!({part})")),
            ]
        })
        .boxed()
}
