//! Filters, on an event that may be damaged, too.

use std::borrow::Cow;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::sync::OnceLock;

use tracer::probe::filter::{EventContext, Filter, FilterError, probe_and_filter};
use tracer::trace::event::EventClass;

use crate::common;
use crate::random::Random;
use crate::subjects::{Outcome, Subject};

pub(crate) const SUBJECT: Subject = Subject {
    name: "filter",
    tokens: &[
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
        "uid",
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
        "bits == 1",
        "string ~ 'x*'",
        "!(",
        "&& (",
        "u8 & 1",
    ],
    default_runs: 2_000,
    run,
};

fn run(bytes: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(bytes);
    let (probe, filter) = probe_and_filter(&text);
    assert!(text.contains(probe));
    assert!(filter.is_none_or(|filter| text.contains(filter)));
    match Filter::parse(&text) {
        Ok(filter) => {
            check_filter(&filter, &text);
            Outcome::Accepted
        }
        Err(error) => {
            check_error(&error, &text);
            Outcome::Refused
        }
    }
}

fn check_filter(filter: &Filter, text: &str) {
    let shown = filter.expr().to_string();
    let again = Filter::parse(&shown);
    assert_eq!(
        again.as_ref().map(Filter::expr),
        Ok(filter.expr()),
        "{shown}"
    );
    if let Err(error) = filter.condition_of(class()) {
        check_error(&error, text);
    }
    match filter.resolve(class()) {
        Ok(resolved) => {
            let comm = |_: &_| Some(Cow::Borrowed(&b"bash"[..]));
            // Whether it matches damaged bytes says nothing; that it comes back does.
            let _ = resolved.matches(
                &event(text),
                &EventContext {
                    cpu: 0,
                    comm: &comm,
                },
            );
        }
        Err(error) => check_error(&error, text),
    }
}

/// It shows the place in the text.
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

/// A class with each type of field.
fn class() -> &'static EventClass {
    static CLASS: OnceLock<EventClass> = OnceLock::new();
    CLASS.get_or_init(|| {
        let mut classes = common::classes().into_iter();
        classes
            .find(|class| class.id == common::EVERYTHING)
            .expect("a class with each type of field")
    })
}

/// An event of it with some bytes changed, or only bytes; the same for the same text.
fn event(text: &str) -> Vec<u8> {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let mut random = Random::new(hasher.finish());
    if random.one_of(5) {
        return (0..random.below(200))
            .map(|_| random.next() as u8)
            .collect();
    }
    let mut event = common::everything(0, 3);
    for _ in 0..random.below(4) {
        let at = random.below(event.len());
        event[at] = random.next() as u8;
    }
    let half = event.len() / 2;
    event.truncate(half + random.below(event.len() - half + 1));
    event
}
