use super::*;
use crate::probe::filter::Filter;
use crate::trace::event::{Display, EventClass, Field, FieldType, IntegerType};

const CLASS: u32 = 5;

fn class() -> EventClass {
    let integer =
        |bytes, signed| FieldType::Integer(IntegerType::natural(bytes, signed, Display::Decimal));
    let fields = [
        ("signed", integer(4, true)),
        ("unsigned", integer(4, false)),
        ("path", FieldType::String),
        ("after", integer(2, true)),
    ];
    let field = |(name, ty): (&str, FieldType)| Field {
        name: name.to_owned(),
        ty,
    };
    EventClass {
        id: CLASS,
        name: "a:b".to_owned(),
        context: vec![field(("uid", integer(4, false)))],
        fields: fields.map(field).to_vec(),
    }
}

/// `signed` is -1, `unsigned` is all ones, `path` is not UTF-8, `after` is -2.
fn event() -> Vec<u8> {
    // 1000, and what aligns the payload
    let context = b"\xe8\x03\0\0\xdd\xdd\xdd\xdd";
    let payload = b"\xff\xff\xff\xff\xff\xff\xff\xff/tmp/\xff\0\0\xfe\xff";
    let mut event = 1_000u64.to_le_bytes().to_vec();
    for word in [CLASS, 42, 40, 32 + payload.len() as u32] {
        event.extend(word.to_le_bytes());
    }
    event.extend(context);
    event.extend(payload);
    event
}

fn holds_for(text: &str, event: &[u8], comm: Option<&'static [u8]>) -> bool {
    let resolved = Filter::parse(text).unwrap().resolve(&class());
    let context = EventContext {
        cpu: 3,
        comm: &|header| (header.tid == 42).then(|| comm.map(Cow::Borrowed))?,
    };
    resolved.unwrap().matches(event, &context)
}

fn holds(text: &str) -> bool {
    holds_for(text, &event(), Some(b"chromium"))
}

#[test]
fn the_sign_counts_where_the_type_has_one() {
    assert!(holds("signed == -1 && signed < 0"));
    assert!(holds("unsigned == 0xffffffff && unsigned > 0"));
}

#[test]
fn relations_hold_as_their_signs_say() {
    let relations = |number| {
        ["==", "!=", "<", "<=", ">", ">="]
            .map(|relation| holds(&format!("after {relation} {number}")))
    };
    assert_eq!(relations(-2), [true, false, false, true, false, true]);
    assert_eq!(relations(-1), [false, true, true, true, false, false]);
    assert_eq!(relations(-3), [false, true, false, false, true, true]);
}

#[test]
fn bits_are_those_that_are_stored() {
    assert!(holds("signed & 0x80000000 && (signed & 0xf0) == 0xf0"));
    assert!(!holds("after & 1"));
    assert!(holds("(after & -1) == 0xfffe"));
}

#[test]
fn strings_are_compared_as_bytes() {
    assert!(holds("path ~ '/tmp/?'"));
    assert!(!holds("path == '/tmp/'"));
    assert!(holds("path != '/tmp/'"));
}

#[test]
fn contexts_are_those_of_the_event() {
    assert!(holds("pid == 40 && tid == 42 && cpu == 3"));
    assert!(holds("comm ~ 'chrom*' && comm != 'chrome'"));
}

#[test]
fn contexts_of_the_class_lie_before_the_payload() {
    assert!(holds("uid == 1000 && ctx.uid > 999"));
    assert!(!holds("ctx.uid == 0"));
}

#[test]
fn conditions_are_joined() {
    assert!(holds("pid == 1 || tid == 42"));
    assert!(!holds("pid == 1 && tid == 42"));
    assert!(holds("!(pid == 1 || tid == 1)"));
    assert!(holds("pid == 40 || tid == 1 && cpu == 1"));
}

#[test]
fn an_event_of_another_class_does_not_match() {
    let mut event = event();
    event[8] += 1;
    assert!(!holds_for("pid == 40", &event, None));
}

#[test]
fn an_event_that_is_cut_short_does_not_match() {
    let event = event();
    for text in ["pid == 40", "!(pid == 1)", "after != 1"] {
        assert!(holds_for(text, &event, None));
        for len in 0..event.len() {
            assert!(!holds_for(text, &event[..len], None), "{text}: {len}");
        }
    }
}

#[test]
fn a_value_that_an_event_lacks_is_not_even_different() {
    let mut event = event();
    // As if the event ended before the last field.
    event[20] -= 2;
    for text in ["after != 1", "!(after == 1)", "after == 1 || pid == 40"] {
        assert!(!holds_for(text, &event, None), "{text}");
    }
    assert!(holds_for("pid == 40 || after == 1", &event, None));
}

#[test]
fn bytes_after_an_event_are_ignored() {
    let mut event = event();
    event[20] -= 4;
    let string_without_end = "path != ''";
    assert!(!holds_for(string_without_end, &event, None));
}

#[test]
fn an_unknown_name_is_not_even_different() {
    for text in ["comm == 'x'", "comm != 'x'", "!(comm ~ '*')"] {
        assert!(!holds_for(text, &event(), None), "{text}");
    }
}

#[test]
fn a_name_that_is_not_looked_at_is_not_asked_for() {
    let resolved = Filter::parse("pid == 40").unwrap().resolve(&class());
    let context = EventContext {
        cpu: 0,
        comm: &|_| panic!("nobody asked"),
    };
    assert!(resolved.unwrap().matches(&event(), &context));
}
