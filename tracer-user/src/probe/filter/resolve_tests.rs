use super::*;
use crate::probe::filter::{Filter, FilterError};
use crate::trace::event::{Display, Field, FieldType, IntegerType};

fn field(name: &str, ty: FieldType) -> Field {
    Field {
        name: name.into(),
        ty,
    }
}

fn integer(size_bytes: u16, signed: bool) -> IntegerType {
    IntegerType::natural(size_bytes, signed, Display::Decimal)
}

fn class() -> EventClass {
    let number = |name, bytes, signed| field(name, FieldType::Integer(integer(bytes, signed)));
    let comm = FieldType::Array {
        element: IntegerType::natural(1, false, Display::Text),
        length: 16,
    };
    let saddr = FieldType::Array {
        element: integer(1, false),
        length: 4,
    };
    EventClass {
        id: 3,
        name: "a:b".into(),
        context: vec![number("uid", 4, false)],
        fields: vec![
            field("prev_comm", comm),
            number("prev_pid", 4, true),
            number("flags", 1, false),
            number("ret", 8, true),
            field("filename", FieldType::String),
            field("saddr", saddr),
            number("cpu", 2, false),
        ],
    }
}

/// The class of a call, named so.
fn call(name: &str) -> EventClass {
    let duration = field("duration", FieldType::Integer(integer(8, true)));
    EventClass {
        name: name.into(),
        fields: vec![duration, field("fd", FieldType::Integer(integer(4, true)))],
        ..class()
    }
}

#[test]
fn durations_of_calls_are_compared_with_times() {
    for name in ["call:read", "kretprobe:f", "fexit:f", "uretprobe:/bin/x:f"] {
        let resolved = Filter::parse("duration > 10ms")
            .unwrap()
            .resolve(&call(name));
        let Condition::Number(test) = resolved.unwrap().condition else {
            panic!("a number expected");
        };
        assert_eq!((test.relation, test.value), (Relation::Greater, 10_000_000));
    }
}

#[test]
fn other_numbers_have_no_unit_of_time() {
    let refused = |text: &str, name: &str| {
        let filter = Filter::parse(text).unwrap();
        filter.resolve(&call(name)).unwrap_err().to_string()
    };
    let error = refused("fd == 10ms", "call:read");
    assert!(
        error.contains("cannot compare `fd` with the time `10ms`"),
        "{error}"
    );
    let error = refused("duration > 1s", "nfsd:odd");
    assert!(error.contains("remove the unit"), "{error}");
    let error = refused("(duration & 3) == 1s", "call:read");
    assert!(error.contains("remove the unit"), "{error}");
}

fn resolved(text: &str) -> Condition {
    let resolved = Filter::parse(text).unwrap().resolve(&class());
    resolved.unwrap_or_else(|error| panic!("{error}")).condition
}

fn number(text: &str) -> NumberTest {
    match resolved(text) {
        Condition::Number(number) => number,
        other => panic!("a number expected: {other:?}"),
    }
}

fn refused(text: &str) -> FilterError {
    match Filter::parse(text).unwrap().resolve(&class()) {
        Ok(resolved) => panic!("{text}: {resolved:?}"),
        Err(error) => error,
    }
}

fn message(text: &str) -> String {
    refused(text).problem().to_string()
}

/// The part of the text that is marked.
fn marked(text: &str) -> &str {
    let span = refused(text).span();
    &text[span.start..span.end]
}

#[test]
fn a_field_comes_before_a_context_of_its_name() {
    assert!(matches!(
        number("cpu == 1").source,
        NumberSource::Field { .. }
    ));
    assert!(matches!(number("ctx.cpu == 1").source, NumberSource::Cpu));
    assert!(matches!(number("pid == 1").source, NumberSource::Pid));
    assert!(matches!(number("tid == 1").source, NumberSource::Tid));
}

#[test]
fn constants_are_sign_extended() {
    assert_eq!(number("prev_pid == -2").value, -2i64 as u64);
    assert!(number("prev_pid == -2").is_signed());
}

#[test]
fn a_mask_takes_the_sign_away() {
    let test = number("(prev_pid & -2) == 0xfffffffe");
    assert_eq!((test.mask, test.value), (Some(0xffff_fffe), 0xffff_fffe));
    assert!(!test.is_signed());
}

#[test]
fn a_name_that_is_missing_is_told_with_those_there_are() {
    assert_eq!(
        refused("ret == 0 && prev_pidd == 5").to_string(),
        "`a:b` has no field `prev_pidd`; did you mean `prev_pid` or `prev_comm`? it has \
         `prev_comm`, `prev_pid`, `flags`, `ret`, `filename`, `saddr`, `cpu`; every event has `pid`, `tid`, \
         `comm`, `cpu`, `uid`\n  ret == 0 && prev_pidd == 5\n              ^^^^^^^^^"
    );
    assert_eq!(
        message("ctx.prio == 1"),
        "unknown context field `prio`; every event has `pid`, `tid`, `comm`, `cpu`, `uid`"
    );
}

#[test]
fn a_class_without_fields_lists_none() {
    let empty = EventClass {
        context: Vec::new(),
        fields: Vec::new(),
        ..class()
    };
    let error = Filter::parse("zzz == 1").unwrap().resolve(&empty);
    let message = error.unwrap_err().problem().to_string();
    assert_eq!(
        message,
        "`a:b` has no field `zzz`; it has no fields; every event has `pid`, `tid`, `comm`, `cpu`"
    );
}

#[test]
fn strings_and_numbers_are_not_compared() {
    assert_eq!(
        message("filename == 5"),
        "cannot compare `filename`, a string, with `5`, a number; put strings in quotes"
    );
    assert_eq!(
        message("prev_pid != '5'"),
        "cannot compare `prev_pid`, a signed 32-bit number, with `\"5\"`, a string; numbers \
         stand without quotes"
    );
    assert_eq!(marked("prev_pid != '5'"), "'5'");
}

#[test]
fn operators_are_those_of_the_type() {
    assert_eq!(
        message("flags ~ '4*'"),
        "`~` is for strings, but `flags` is an unsigned 8-bit number; use `==`, `!=`, `<`, `<=`, \
         `>`, `>=` or `&`"
    );
    assert_eq!(marked("flags ~ '4*'"), "~");
    let for_numbers = |operator| {
        format!("`{operator}` is for numbers, but `filename` is a string; use `==`, `!=` or `~`")
    };
    assert_eq!(message("filename < 'x'"), for_numbers("<"));
    assert_eq!(message("filename & 1"), for_numbers("&"));
    assert_eq!(message("(filename & 1) == 1"), for_numbers("&"));
}

#[test]
fn arrays_of_numbers_are_not_compared() {
    assert_eq!(
        message("saddr == 1"),
        "cannot compare `saddr`: it is an array of unsigned 8-bit numbers; only strings and \
        single numbers can be compared"
    );
}

#[test]
fn a_number_beyond_the_type_is_refused_with_the_range() {
    assert_eq!(
        message("prev_pid < 0x80000000"),
        "`2147483648` is out of range for `prev_pid`, a signed 32-bit number: -2147483648 to \
        2147483647"
    );
    assert_eq!(
        message("pid == -1"),
        "`-1` is out of range for `pid`, an unsigned 32-bit number: 0 to 4294967295"
    );
    assert_eq!(
        message("(flags & 0xf0) == 256"),
        "`256` is out of range for `flags & 0xf0`, an unsigned 8-bit number: 0 to 255"
    );
}

#[test]
fn the_ends_of_a_range_are_within_it() {
    for text in [
        "flags == 0",
        "flags == 255",
        "ret == -9223372036854775808",
        "ret == 9223372036854775807",
        "prev_pid & 0x80000000",
        "prev_pid & -1",
    ] {
        resolved(text);
    }
    for text in ["flags == 256", "ret == 9223372036854775808", "flags & -1"] {
        assert!(matches!(
            refused(text).problem(),
            FilterProblem::Range { .. }
        ));
    }
}

#[test]
fn a_string_that_the_field_cannot_hold_is_refused() {
    assert_eq!(
        message("prev_comm == 'gnome-terminal-server'"),
        "the string is 21 bytes long, but `prev_comm` holds at most 16; use a pattern: \
         `prev_comm ~ \"gnome-terminal-*\"`"
    );
    resolved("prev_comm == 'gnome-terminal-s'");
    resolved("prev_comm ~ 'gnome-terminal-server*'");
    resolved("filename == '/usr/libexec/gnome-terminal-server'");
}
