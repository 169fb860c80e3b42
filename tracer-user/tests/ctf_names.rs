//! Whatever the fields of a trace are called, babeltrace2 and our reader show each with its
//! value.

mod common;

use std::collections::HashSet;
use std::process::Command;

use proptest::prelude::*;
use tracer::trace::event::{Display, Field, FieldType};
use tracer::trace::folder::{Record, Trace};

use self::common::{START_NS, StreamBytes, TraceDir, class, event, field, number};

/// Names that readers could confuse: few letters, so that they meet often, underscores,
/// keywords, names of types, and names that the metadata gives itself.
fn name() -> impl Strategy<Value = String> {
    let tail = prop_oneof![
        "[a_]{1,3}",
        "[aA1é._ \\[\\]-]{0,4}",
        prop::sample::select(vec![
            "Bool",
            "Complex",
            "align",
            "event",
            "int",
            "string",
            "struct",
            "map",
            "size",
            "id",
            "u8a8",
            "uint8_t",
            "event_id_t",
            "tid",
            "timestamp",
            "unnamed",
            "a_length",
            "a_2",
            "_a_length",
        ])
        .prop_map(str::to_owned),
    ];
    ("_{0,3}", tail).prop_map(|(underscores, tail)| underscores + &tail)
}

/// A number, or a sequence of one number.
fn ty() -> impl Strategy<Value = FieldType> {
    let byte = number(1, false, Display::Decimal);
    prop_oneof![
        3 => Just(FieldType::Integer(byte)),
        1 => Just(FieldType::Sequence { element: byte }),
    ]
}

fn fields() -> impl Strategy<Value = Vec<Field>> {
    let one = (name(), ty()).prop_map(|(name, ty)| field(&name, ty));
    prop::collection::vec(one, 1..8)
}

/// The payload: the place of each field is its value.
fn payload(fields: &[Field]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (value, field) in fields.iter().enumerate() {
        if matches!(field.ty, FieldType::Sequence { .. }) {
            payload.extend(1u32.to_le_bytes());
        }
        payload.push(value as u8);
    }
    payload
}

/// The payload of a line of babeltrace2: names and values; sequences have a length first.
fn shown(line: &str) -> Vec<(String, String)> {
    let (_, payload) = line.rsplit_once("}, { ").expect(line);
    let payload = payload.strip_suffix(" }").expect(line);
    payload
        .replace("[ [0] = ", "")
        .replace(" ]", "")
        .split(", ")
        .map(|field| field.split_once(" = ").expect(line))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn is_distinct<'a>(names: impl IntoIterator<Item = &'a str>) -> bool {
    let mut seen = HashSet::new();
    names.into_iter().all(|name| seen.insert(name))
}

// A case is one trace with many classes, because starting babeltrace2 takes most of the time.
fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 12,
        max_shrink_iters: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_field_is_shown_with_its_value(all in prop::collection::vec(fields(), 60)) {
        let classes: Vec<_> = (0..)
            .zip(&all)
            .map(|(id, fields)| class(id, &format!("class_{id}"), fields.clone()))
            .collect();
        let events: Vec<_> = (0..)
            .zip(&all)
            .map(|(id, fields)| event(START_NS + u64::from(id), id, 1, &payload(fields)))
            .collect();
        let dir = TraceDir::with_classes(&classes, &[StreamBytes::new(0).packet(&events, 0)]);

        let output = Command::new("babeltrace2").arg(dir.path()).output().expect("babeltrace2");
        let stderr = common::stderr(&output);
        prop_assert!(output.status.success() && stderr.is_empty(), "{}", stderr);
        let stdout = common::stdout(&output);
        prop_assert_eq!(stdout.lines().count(), all.len());
        for (line, fields) in stdout.lines().zip(&all) {
            let shown = shown(line);
            prop_assert!(is_distinct(shown.iter().map(|(name, _)| name.as_str())), "{}", line);
            let expected: Vec<_> = fields
                .iter()
                .enumerate()
                .flat_map(|(value, field)| {
                    let length = matches!(field.ty, FieldType::Sequence { .. }).then(|| 1.to_string());
                    length.into_iter().chain([value.to_string()])
                })
                .collect();
            let values: Vec<_> = shown.into_iter().map(|(_, value)| value).collect();
            prop_assert_eq!(values, expected, "{}", line);
        }

        let trace = Trace::open(dir.path()).unwrap();
        let mut events = trace.events(0).unwrap();
        for fields in &all {
            let Some(Record::Event(event)) = events.next().unwrap() else {
                panic!("an event expected");
            };
            prop_assert!(is_distinct(event.fields().map(|(field, _)| field.name.as_str())));
            prop_assert_eq!(event.fields().count(), fields.len());
        }
    }
}
