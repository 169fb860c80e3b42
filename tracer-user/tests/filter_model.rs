//! Filters against a model that a person can check: values by name, numbers as wide as
//! none of the fields.

mod common;

use std::borrow::Cow;

use proptest::prelude::*;
use tracer::probe::filter::{EventContext, Expr, Filter, Literal, Name, Operator, Relation, Test};
use tracer::trace::event::{Display, EventClass, FieldType, IntegerType};

/// Name, bytes and sign of the numbers of an event, in the order of its payload.
const NUMBERS: [(&str, u16, bool); 8] = [
    ("u8", 1, false),
    ("s8", 1, true),
    ("u16", 2, false),
    ("s16", 2, true),
    ("u32", 4, false),
    ("s32", 4, true),
    ("u64", 8, false),
    ("s64", 8, true),
];

/// Numbers of each event, as wide as an id.
const CONTEXTS: [&str; 3] = ["tid", "pid", "cpu"];

const CLASS: u32 = 1;

fn class() -> EventClass {
    let number = |(name, bytes, signed): (&str, u16, bool)| {
        let ty = IntegerType::natural(bytes, signed, Display::Decimal);
        common::field(name, FieldType::Integer(ty.packed()))
    };
    let mut fields = vec![common::field("path", FieldType::String)];
    fields.extend(NUMBERS.map(number));
    common::class(CLASS, "model:model", fields)
}

/// The values of an event.
#[derive(Clone, Debug)]
struct Model {
    path: String,
    comm: String,
    numbers: [u64; NUMBERS.len()],
    contexts: [u32; CONTEXTS.len()],
}

/// A number at an end of some range, near one, or anything.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        (-3..4i64).prop_map(|number| number as u64),
        (0..64u32, -1..2i64).prop_map(|(bit, near)| (1u64 << bit).wrapping_add_signed(near)),
        any::<u64>(),
    ]
}

fn word() -> impl Strategy<Value = String> {
    "[ab/]{0,4}"
}

fn model() -> impl Strategy<Value = Model> {
    let numbers = prop::array::uniform8(number());
    let contexts = prop::array::uniform3(number().prop_map(|number| number as u32));
    (word(), word(), numbers, contexts).prop_map(|(path, comm, numbers, contexts)| Model {
        path,
        comm,
        numbers,
        contexts,
    })
}

/// The low bytes of `number`, as a number with a sign or without.
fn narrowed(number: u64, bytes: u16, signed: bool) -> i128 {
    let span = 1i128 << (bytes * 8);
    let stored = i128::from(number) % span;
    if signed && stored >= span / 2 {
        stored - span
    } else {
        stored
    }
}

impl Model {
    fn event(&self) -> Vec<u8> {
        let mut payload = self.path.as_bytes().to_vec();
        payload.push(0);
        for (number, (_, bytes, _)) in self.numbers.iter().zip(NUMBERS) {
            payload.extend(&number.to_le_bytes()[..usize::from(bytes)]);
        }
        let mut event = common::event(0, CLASS, self.contexts[0], &payload);
        event[16..20].copy_from_slice(&self.contexts[1].to_le_bytes());
        event
    }

    /// The number called `name`, and its size in bytes.
    fn number(&self, name: &str) -> (i128, u16) {
        if let Some(index) = CONTEXTS.iter().position(|context| *context == name) {
            return (self.contexts[index].into(), 4);
        }
        let index = NUMBERS.iter().position(|(number, ..)| *number == name);
        let index = index.expect("a number of the class");
        let (_, bytes, signed) = NUMBERS[index];
        (narrowed(self.numbers[index], bytes, signed), bytes)
    }

    fn bits(&self, name: &str, mask: i128) -> i128 {
        let (number, bytes) = self.number(name);
        (number & mask).rem_euclid(1 << (bytes * 8))
    }

    fn holds(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Any(parts) => parts.iter().any(|part| self.holds(part)),
            Expr::All(parts) => parts.iter().all(|part| self.holds(part)),
            Expr::Not(part) => !self.holds(part),
            Expr::Test(Test::Bits { name, mask }) => self.bits(plain(&name.value), mask.value) != 0,
            Expr::Test(Test::Compare {
                name,
                mask,
                operator,
                literal,
            }) => {
                let name = plain(&name.value);
                match (&literal.value, operator.value) {
                    (Literal::Number(right), Operator::Relation(relation)) => {
                        let left = match mask {
                            Some(mask) => self.bits(name, mask.value),
                            None => self.number(name).0,
                        };
                        compare(&left, relation, right)
                    }
                    (Literal::Text(right), operator) => {
                        let left = if name == "comm" {
                            &self.comm
                        } else {
                            &self.path
                        };
                        match operator {
                            Operator::Glob => like(right.as_bytes(), left.as_bytes()),
                            Operator::Relation(relation) => compare(left, relation, right),
                        }
                    }
                    (Literal::Number(_) | Literal::Time(_), _) => panic!("no filter"),
                }
            }
        }
    }
}

fn plain(name: &Name) -> &str {
    match name {
        Name::Plain(name) | Name::Context(name) => name,
    }
}

fn compare<T: Ord>(left: &T, relation: Relation, right: &T) -> bool {
    match relation {
        Relation::Equal => left == right,
        Relation::NotEqual => left != right,
        Relation::Less => left < right,
        Relation::LessOrEqual => left <= right,
        Relation::Greater => left > right,
        Relation::GreaterOrEqual => left >= right,
    }
}

/// Patterns of `*` and `?`.
fn like(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => like(rest, text) || !text.is_empty() && like(pattern, &text[1..]),
        ([b'?', rest @ ..], [_, others @ ..]) => like(rest, others),
        ([first, rest @ ..], [other, others @ ..]) => first == other && like(rest, others),
        _ => false,
    }
}

fn relation() -> impl Strategy<Value = Relation> {
    prop::sample::select(vec![
        Relation::Equal,
        Relation::NotEqual,
        Relation::Less,
        Relation::LessOrEqual,
        Relation::Greater,
        Relation::GreaterOrEqual,
    ])
}

/// Name, bytes and sign of any number.
fn numeric() -> impl Strategy<Value = (Name, u16, bool)> {
    let field = prop::sample::select(&NUMBERS[..])
        .prop_map(|(name, bytes, signed)| (Name::Plain(name.into()), bytes, signed));
    let context = (prop::sample::select(&CONTEXTS[..]), any::<bool>()).prop_map(|(name, plain)| {
        let name = name.to_owned();
        let name = if plain {
            Name::Plain(name)
        } else {
            Name::Context(name)
        };
        (name, 4, false)
    });
    prop_oneof![3 => field, 1 => context]
}

fn number_test() -> impl Strategy<Value = Test> {
    let mask = prop::option::of(number());
    let parts = (numeric(), mask, prop::option::of(relation()), number());
    parts.prop_map(|((name, bytes, signed), mask, relation, right)| {
        let mask = mask.map(|mask| narrowed(mask, bytes, signed));
        let right = narrowed(right, bytes, signed && mask.is_none());
        match (mask, relation) {
            (Some(mask), None) => Test::Bits {
                name: name.into(),
                mask: mask.into(),
            },
            (mask, relation) => Test::Compare {
                name: name.into(),
                mask: mask.map(Into::into),
                operator: Operator::Relation(relation.unwrap_or(Relation::Equal)).into(),
                literal: Literal::Number(right).into(),
            },
        }
    })
}

fn text_test() -> impl Strategy<Value = Test> {
    let name = prop::sample::select(vec!["path", "comm"]);
    let operator = prop::sample::select(vec![
        Operator::Relation(Relation::Equal),
        Operator::Relation(Relation::NotEqual),
        Operator::Glob,
    ]);
    (name, operator, "[ab/*?]{0,4}").prop_map(|(name, operator, text)| Test::Compare {
        name: Name::Plain(name.into()).into(),
        mask: None,
        operator: operator.into(),
        literal: Literal::Text(text).into(),
    })
}

/// Trees of which `test` makes the leaves.
fn tree(test: impl Strategy<Value = Test> + 'static) -> impl Strategy<Value = Expr> {
    test.prop_map(Expr::Test).prop_recursive(5, 24, 4, |inner| {
        let parts = prop::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            parts.clone().prop_map(Expr::Any),
            parts.prop_map(Expr::All),
            inner.prop_map(|part| Expr::Not(Box::new(part))),
        ]
    })
}

fn any_test() -> impl Strategy<Value = Test> {
    // Any characters, to be shown with quotes and escapes.
    let odd_text = any::<String>().prop_map(|text| Test::Compare {
        name: Name::Context("comm".into()).into(),
        mask: None,
        operator: Operator::Glob.into(),
        literal: Literal::Text(text).into(),
    });
    prop_oneof![number_test(), text_test(), odd_text]
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(1_000))]

    #[test]
    fn a_tree_that_is_shown_parses_to_itself(expr in tree(any_test())) {
        let shown = expr.to_string();
        let filter = Filter::parse(&shown);
        prop_assert_eq!(filter.as_ref().map(Filter::expr), Ok(&expr), "{}", shown);
    }

    #[test]
    fn filters_hold_where_the_model_does(
        expr in tree(prop_oneof![number_test(), text_test()]),
        model in model(),
    ) {
        let filter = Filter::parse(&expr.to_string()).unwrap();
        let resolved = filter.resolve(&class());
        let context = EventContext {
            cpu: model.contexts[2],
            comm: &|_| Some(Cow::Borrowed(model.comm.as_bytes())),
        };
        let found = resolved.unwrap().matches(&model.event(), &context);
        prop_assert_eq!(found, model.holds(&expr), "{}", filter);
    }
}
