//! Texts that are no filters are errors that can be shown, and no bytes make a filter
//! panic.

mod common;

use std::borrow::Cow;

use proptest::prelude::*;
use tracer::event::EventClass;
use tracer::filter::{Context, Filter, FilterError, probe_and_filter};

/// What filters are made of, and what they are not.
const TOKENS: [&str; 44] = [
    "u8",
    "s16",
    "bits",
    "more_bits",
    "packed",
    "array",
    "sequence",
    "text",
    "string",
    "enum",
    "pid",
    "ctx.tid",
    "comm",
    "ctx.",
    "nothing",
    "0",
    "1",
    "-1",
    "0x40",
    "017",
    "4M",
    "18446744073709551615",
    "18446744073709551616",
    "\"a*\"",
    "'[b'",
    "\"",
    "'\\",
    "==",
    "!=",
    "<",
    ">=",
    "~",
    "&",
    "&&",
    "||",
    "!",
    "(",
    ")",
    "=",
    "|",
    "if",
    "é",
    "\0",
    "\n",
];

fn everything_class() -> EventClass {
    let mut classes = common::classes().into_iter();
    classes
        .find(|class| class.id == common::EVERYTHING)
        .expect("a class with each type of field")
}

/// Texts of tokens, with a blank between most of them.
fn tokens() -> impl Strategy<Value = String> {
    let token = (prop::sample::select(&TOKENS[..]), prop::bool::weighted(0.8));
    prop::collection::vec(token, 0..12).prop_map(|tokens| {
        let separated = tokens
            .into_iter()
            .map(|(token, blank)| [token, if blank { " " } else { "" }]);
        separated.flatten().collect()
    })
}

/// A comparison or what is almost one, so that many get past the parser.
fn comparison() -> impl Strategy<Value = String> {
    let part = |range: std::ops::Range<usize>| prop::sample::select(&TOKENS[range]);
    (part(0..15), part(27..33), part(15..25))
        .prop_map(|(name, operator, literal)| format!("{name} {operator} {literal}"))
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![tokens(), comparison(), any::<String>()]
}

/// An event with some bytes changed, or only bytes.
fn event() -> impl Strategy<Value = Vec<u8>> {
    let event = common::everything(0, 3);
    let len = event.len();
    let changes = prop::collection::vec((0..len, any::<u8>()), 0..4);
    let damaged = (changes, 0..=len).prop_map(move |(changes, end)| {
        let mut event = event.clone();
        for (at, byte) in changes {
            event[at] = byte;
        }
        event.truncate(end.max(len / 2));
        event
    });
    prop_oneof![4 => damaged, 1 => prop::collection::vec(any::<u8>(), 0..200)]
}

fn check_error(error: &FilterError, text: &str) {
    let span = error.span();
    assert!(text.get(span.start..span.end).is_some(), "{span:?}");
    let shown = error.to_string();
    let lines: Vec<&str> = shown.lines().collect();
    let [_, _, marks] = lines[..] else {
        panic!("three lines expected: {shown:?}");
    };
    assert!(marks.trim_start().starts_with('^'), "{shown}");
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(2_000))]

    #[test]
    fn any_text_and_any_event_is_no_panic(text in text(), event in event()) {
        let filter = match Filter::parse(&text) {
            Ok(filter) => filter,
            Err(error) => {
                check_error(&error, &text);
                return Ok(());
            }
        };
        match filter.resolve(&everything_class()) {
            Ok(resolved) => {
                let comm = |_: &_| Some(Cow::Borrowed(&b"bash"[..]));
                let _ = resolved.matches(&event, &Context { cpu: 0, comm: &comm });
            }
            Err(error) => check_error(&error, &text),
        }
    }

    #[test]
    fn what_is_understood_is_shown_so_that_it_is_understood_again(text in text()) {
        if let Ok(filter) = Filter::parse(&text) {
            let shown = filter.expr().to_string();
            let again = Filter::parse(&shown);
            prop_assert_eq!(again.as_ref().map(Filter::expr), Ok(filter.expr()), "{}", shown);
        }
    }

    #[test]
    fn a_probe_and_its_filter_are_parts_of_the_text(text in text()) {
        let (probe, filter) = probe_and_filter(&text);
        prop_assert!(text.contains(probe));
        prop_assert!(filter.is_none_or(|filter| text.contains(filter)));
    }
}
