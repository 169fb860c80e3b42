//! Filters find the fields of an event where the reader of the trace finds them, whatever
//! the layout.

mod common;

use proptest::prelude::*;
use tracer::probe::filter::{EventContext, Filter};
use tracer::trace::Value;
use tracer::trace::event::{Display, EventClass, Field, FieldType, IntegerType};
use tracer::trace::folder::{Record, Trace};

use self::common::{StreamBytes, TraceDir};

const CLASS: u32 = 1;

/// A field and its value.
#[derive(Clone, Debug)]
enum Part {
    Number(IntegerType, u64),
    Array(IntegerType, Vec<u64>),
    Sequence(IntegerType, Vec<u64>),
    Text(String),
}

/// Numbers of whole bytes aligned to any, and bit-fields.
fn integer() -> impl Strategy<Value = IntegerType> {
    let bytes = prop::sample::select(vec![1u16, 2, 4, 8]);
    let align_bits = prop::sample::select(vec![8u16, 16, 32, 64]);
    let whole = (bytes, align_bits).prop_map(|(bytes, align_bits)| (bytes * 8, align_bits));
    let bits = (1..=64u16).prop_map(|size_bits| (size_bits, 1));
    (prop_oneof![3 => whole, 1 => bits], any::<bool>()).prop_map(
        |((size_bits, align_bits), signed)| IntegerType {
            size_bits,
            align_bits,
            signed,
            display: Display::Decimal,
        },
    )
}

/// Elements: those of a trace are whole bytes.
fn element() -> impl Strategy<Value = IntegerType> {
    integer().prop_filter("whole bytes", |ty| ty.align_bits >= 8)
}

fn part() -> impl Strategy<Value = Part> {
    let values = || prop::collection::vec(any::<u64>(), 0..4);
    prop_oneof![
        4 => (integer(), any::<u64>()).prop_map(|(ty, value)| Part::Number(ty, value)),
        1 => (element(), prop::collection::vec(any::<u64>(), 1..4))
            .prop_map(|(ty, values)| Part::Array(ty, values)),
        1 => (element(), values()).prop_map(|(ty, values)| Part::Sequence(ty, values)),
        2 => "[a-zé ]{0,9}".prop_map(Part::Text),
    ]
}

/// Puts a payload together bit by bit, as CTF 1.8 lays it out.
#[derive(Default)]
struct Bits(Vec<bool>);

impl Bits {
    fn align(&mut self, bits: u16) {
        let len = self.0.len().next_multiple_of(usize::from(bits));
        // What is between fields is no content.
        self.0.resize(len, true);
    }

    fn number(&mut self, ty: IntegerType, value: u64) {
        self.align(ty.align_bits);
        self.0
            .extend((0..ty.size_bits).map(|bit| value >> bit & 1 == 1));
    }

    fn part(&mut self, part: &Part) {
        match part {
            Part::Number(ty, value) => self.number(*ty, *value),
            Part::Array(ty, values) => values.iter().for_each(|value| self.number(*ty, *value)),
            Part::Sequence(ty, values) => {
                let length = IntegerType {
                    size_bits: 32,
                    ..*ty
                };
                self.number(length, values.len() as u64);
                // An element's alignment counts even where there is none.
                self.align(ty.align_bits);
                for value in values {
                    self.number(*ty, *value);
                }
            }
            Part::Text(text) => {
                self.align(8);
                for byte in text.bytes().chain([0]) {
                    self.0.extend((0..8).map(|bit| byte >> bit & 1 == 1));
                }
            }
        }
    }

    fn bytes(mut self) -> Vec<u8> {
        self.align(8);
        let byte = |bits: &[bool]| {
            bits.iter()
                .rev()
                .fold(0, |byte, bit| byte << 1 | u8::from(*bit))
        };
        self.0.chunks(8).map(byte).collect()
    }
}

fn class(parts: &[Part]) -> EventClass {
    let field = |(index, part): (usize, &Part)| Field {
        name: format!("field_{index}"),
        ty: match part {
            Part::Number(ty, _) => FieldType::Integer(*ty),
            Part::Array(element, values) => FieldType::Array {
                element: *element,
                length: values.len() as u32,
            },
            Part::Sequence(element, _) => FieldType::Sequence { element: *element },
            Part::Text(_) => FieldType::String,
        },
    };
    let fields = parts.iter().enumerate().map(field).collect();
    common::class(CLASS, "layout:layout", fields)
}

/// The values of the event of a trace that a filter can ask for, each as a condition that
/// is true of it alone. Checks that the reader reads what was written.
fn conditions(trace: &Trace, parts: &[Part]) -> Vec<String> {
    let mut events = trace.events(0).unwrap();
    let Some(Record::Event(event)) = events.next().unwrap() else {
        panic!("an event expected");
    };
    let mut conditions = Vec::new();
    for ((field, value), part) in event.fields().zip(parts) {
        match (value, part) {
            (Value::Number(number), Part::Number(ty, written)) => {
                let all_bits = u64::MAX >> (64 - ty.size_bits);
                assert_eq!(number.stored_bits(), written & all_bits);
                let shown = if ty.signed {
                    (number.raw as i64).to_string()
                } else {
                    number.raw.to_string()
                };
                conditions.push(format!("{} == {shown}", field.name));
            }
            (Value::Text(text), Part::Text(written)) => {
                assert_eq!(text, written.as_bytes());
                conditions.push(format!("{} == '{written}'", field.name));
            }
            (Value::Numbers(_), Part::Array(..) | Part::Sequence(..)) => {}
            (value, part) => panic!("{value:?} read for {part:?}"),
        }
    }
    conditions
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 500,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn fields_are_where_the_reader_finds_them(parts in prop::collection::vec(part(), 1..8)) {
        let mut payload = Bits::default();
        for part in &parts {
            payload.part(part);
        }
        let event = common::event(common::START_NS, CLASS, 1, &payload.bytes());
        let class = class(&parts);
        let stream = StreamBytes::new(0).packet(std::slice::from_ref(&event), 0);
        let dir = TraceDir::with_classes(std::slice::from_ref(&class), &[stream]);
        let trace = Trace::open(dir.path()).unwrap();
        let context = EventContext { cpu: 0, comm: &|_| None };
        for condition in conditions(&trace, &parts) {
            let holds = |text: &str| {
                let resolved = Filter::parse(text).unwrap().resolve(&class);
                resolved.unwrap().matches(&event, &context)
            };
            prop_assert!(holds(&condition), "{}", condition);
            prop_assert!(!holds(&condition.replace("==", "!=")), "{}", condition);
        }
    }
}
