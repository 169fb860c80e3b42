//! Our traces as read by babeltrace2.

mod common;

use std::path::Path;
use std::process::Command;

use tracer::trace::event::{Display, FieldType};

use self::common::{
    EVERYTHING, GETPPID, START_NS, StreamBytes, TraceDir, class, event, field, labeled_sample,
    number, sample, slot, switch, with_context,
};

/// The output of babeltrace2, which must print no warnings.
fn babeltrace(dir: &Path) -> String {
    let output = Command::new("babeltrace2")
        .args(["--clock-cycles", "--no-delta"])
        .arg(dir)
        .output()
        .expect("`babeltrace2` must be installed to run this test (`apt install babeltrace2`)");
    let stderr = common::stderr(&output);
    assert!(output.status.success(), "babeltrace2 failed:\n{stderr}");
    assert_eq!(stderr, "");
    common::stdout(&output)
}

/// The only line with `name`.
fn line<'a>(text: &'a str, name: &str) -> &'a str {
    let mut lines = text.lines().filter(|line| line.contains(name));
    let found = lines
        .next()
        .unwrap_or_else(|| panic!("no {name} in\n{text}"));
    assert!(lines.next().is_none(), "more than one {name} in\n{text}");
    found
}

#[test]
fn events_of_both_streams_come_in_the_order_of_time() {
    let text = babeltrace(sample().path());
    let cycles: Vec<u64> = text
        .lines()
        .map(|line| line[1..].split(']').next().unwrap().trim().parse().unwrap())
        .collect();
    let expected = [0, 1_000, 2_000, 3_000, 4_000, 9_000, 9_001].map(|ns| START_NS + ns);
    assert_eq!(cycles, expected);
}

#[test]
fn a_system_call_has_its_arguments() {
    let text = babeltrace(sample().path());
    let line = line(&text, "syscall_entry_openat");
    assert!(
        line.ends_with("{ dfd = -100, filename = \"/etc/passwd\", flags = 0x80000, mode = 0644 }"),
        "{line}"
    );
    assert!(line.contains("{ tid = 41, pid = 40 }"), "{line}");
}

#[test]
fn a_tracepoint_has_its_fields() {
    let text = babeltrace(sample().path());
    assert!(line(&text, "sched:sched_switch").ends_with(
        "{ prev_comm = \"bash\", prev_pid = 41, prev_prio = 120, prev_state = 1, \
         next_comm = \"kworker/0:1\", next_pid = 7, next_prio = 120 }"
    ));
}

#[test]
fn names_with_quotes_and_backslashes_are_kept() {
    let text = babeltrace(sample().path());
    assert!(line(&text, "vfs_read").contains("kprobe:\"vfs_read\"+0x10\\: "));
}

#[test]
fn every_type_of_field_is_decoded() {
    let text = babeltrace(sample().path());
    let mut lines = text.lines().filter(|line| line.contains("test:everything"));
    let full = lines.next().unwrap();
    assert!(
        full.ends_with(
            "{ u8 = 200, s16 = -2, bits = -3, more_bits = 4321, packed = 18446744073709551615, \
         array = [ [0] = 1, [1] = 2, [2] = 65535 ], _sequence_length = 3, \
         sequence = [ [0] = 0xA, [1] = 0xB, [2] = 0xC ], _packed_sequence_length = 3, \
         packed_sequence = [ [0] = 0, [1] = -1, [2] = -2 ], _text_length = 3, text = \"abc\", \
         string = \"tail é\", enum = 7 }"
        ),
        "{full}"
    );
    let empty = lines.next().unwrap();
    assert!(
        empty.contains("sequence = [ ]") && empty.ends_with("enum = 7 }"),
        "{empty}"
    );
}

#[test]
fn an_event_without_fields_may_end_a_packet() {
    let stream = StreamBytes::new(0).packet(
        &[
            event(START_NS, GETPPID, 1, &[]),
            event(START_NS, GETPPID, 1, &[]),
        ],
        0,
    );
    let text = babeltrace(TraceDir::new(&[stream]).path());
    assert_eq!(text.lines().count(), 2);
}

#[test]
fn empty_packets_and_empty_streams_are_fine() {
    let stream = StreamBytes::new(0).packet(&[], 0).packet(&[], 0);
    let text = babeltrace(TraceDir::new(&[stream, StreamBytes::new(1)]).path());
    assert_eq!(text, "");
}

#[test]
fn thousands_of_classes_are_read() {
    let classes: Vec<_> = (0..2000)
        .map(|id| {
            let fields =
                (0..10).map(|n| field(&format!("field_{n}"), slot(n % 2 == 0, Display::Decimal)));
            class(id, &format!("group:event_{id}"), fields.collect())
        })
        .collect();
    let stream = StreamBytes::new(0).packet(&[event(START_NS, 1999, 1, &[0; 76])], 0);
    let text = babeltrace(TraceDir::with_classes(&classes, &[stream]).path());
    assert!(line(&text, "group:event_1999").ends_with("field_9 = 0 }"));
}

#[test]
fn contexts_of_a_class_are_read() {
    let (class, first) = with_context(3, START_NS);
    let (_, second) = with_context(3, START_NS + 1);
    let stream = StreamBytes::new(0).packet(&[first, second], 0);
    let text = babeltrace(TraceDir::with_classes(&[class], &[stream]).path());
    let expected = "{ tid = 7, pid = 0 }, { uid = 1000, comm = \"cat\" }, { value = -1 }";
    assert!(text.lines().all(|line| line.ends_with(expected)), "{text}");
    assert_eq!(text.lines().count(), 2);
}

#[test]
fn names_of_values_and_bits_are_read() {
    let dir = labeled_sample();
    let text = babeltrace(dir.path());
    let payloads: Vec<_> = text
        .lines()
        .map(|line| line.rsplit_once("}, {").unwrap().1)
        .collect();
    assert_eq!(
        payloads[..2],
        [
            " state = ( \"TIMER\" : container = 3 ), flags = 0xC0, rwbs = 0x1 }",
            " state = ( \"unknown\" : container = -1 ), flags = 0x80000041, rwbs = 0x3 }",
        ]
    );
    assert_eq!(payloads[4], " vec = 3 }");
}

/// babeltrace 1 has a different CTF parser.
#[test]
fn babeltrace_1_reads_names_too() {
    let output = Command::new("babeltrace")
        .arg(labeled_sample().path())
        .output();
    // not every machine has it in addition to babeltrace2
    let Ok(output) = output else { return };
    assert_eq!(common::stderr(&output), "");
    assert_eq!(common::stdout(&output).lines().count(), 5);
}

#[test]
fn keywords_and_odd_names_can_be_fields() {
    let int = || FieldType::Integer(number(4, false, Display::Decimal));
    let names = [
        "event",
        "struct",
        "int",
        "__syscall_nr",
        "a[0]",
        "a[0]",
        "",
        "1st",
    ];
    let fields = names.iter().map(|name| field(name, int())).collect();
    let stream = StreamBytes::new(0).packet(&[event(START_NS, 0, 1, &[0; 32])], 0);
    let text = babeltrace(TraceDir::with_classes(&[class(0, "odd", fields)], &[stream]).path());
    assert!(
        line(&text, "odd").ends_with(
            "{ event = 0, struct = 0, int = 0, __syscall_nr = 0, a_0_ = 0, a_0__2 = 0, \
         unnamed = 0, 1st = 0 }"
        ),
        "{text}"
    );
}

#[test]
fn a_repaired_trace_is_read() {
    let whole = StreamBytes::new(0).packet(&[switch(START_NS, ("a", 1), ("b", 2))], 0);
    let mut torn = whole
        .clone()
        .packet(&[event(START_NS + 1, EVERYTHING, 1, &[])], 0);
    torn.bytes.truncate(torn.bytes.len() - 1);
    let dir = TraceDir::new(&[torn]);
    tracer::trace::folder::repair(dir.path()).unwrap();
    assert_eq!(babeltrace(dir.path()).lines().count(), 1);
}
