//! `tracer calls` as users run it.

mod common;

use serde_json::{Value, json};
use tracer::trace::event::{Display, EventClass, FieldType};

use self::common::{
    START_NS, StreamBytes, TraceDir, class, event, field, number, openat, slot64, stderr, stdout,
};

const OPENAT_EXIT: u32 = 20;
const CLONE: u32 = 21;
const CLONE_EXIT: u32 = 22;
const EXIT_GROUP: u32 = 23;
const RAW_ENTRY: u32 = 30;
const RAW_EXIT: u32 = 31;

fn classes() -> Vec<EventClass> {
    let ret = || vec![field("ret", slot64())];
    let mut classes = common::classes();
    classes.extend([
        class(OPENAT_EXIT, "syscall_exit_openat", ret()),
        class(CLONE, "syscall_entry_clone", vec![]),
        class(CLONE_EXIT, "syscall_exit_clone", ret()),
        class(EXIT_GROUP, "syscall_entry_exit_group", vec![]),
    ]);
    classes
}

fn exit(time_ns: u64, class: u32, tid: u32, ret: i64) -> Vec<u8> {
    event(time_ns, class, tid, &ret.to_le_bytes())
}

/// An openat of this thread that takes `ns`.
fn call(start_ns: u64, ns: u64, tid: u32, ret: i64) -> [Vec<u8>; 2] {
    [
        openat(start_ns, tid, b"/etc/passwd"),
        exit(start_ns + ns, OPENAT_EXIT, tid, ret),
    ]
}

fn text(dir: &TraceDir, args: &[&str]) -> String {
    let output = dir.tracer("calls", args);
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

fn json(dir: &TraceDir, args: &[&str]) -> Value {
    let text = text(dir, &[args, &["--format", "json"]].concat());
    serde_json::from_str(&text).unwrap()
}

/// Counts of calls that are not in the table.
fn apart(calls: &Value) -> [u64; 6] {
    [
        "over_loss",
        "at_start",
        "at_end",
        "without_return",
        "without_entry",
        "without_exit",
    ]
    .map(|key| calls[key].as_u64().unwrap())
}

/// Calls of 1 to 5 us, of which two fail; the thread moves to another CPU in one of them.
fn sample() -> TraceDir {
    let t = START_NS;
    let mut first: Vec<Vec<u8>> = (1..=4)
        .flat_map(|n| call(t + n * 10_000, n * 1_000, 41, if n > 2 { -2 } else { 3 }))
        .collect();
    let [entry, exit] = call(t + 50_000, 5_000, 41, 4);
    first.push(entry);
    let second = [vec![exit], call(t + 60_000, 100, 52, -13).into()].concat();
    let streams = [
        StreamBytes::new(0).packet(&first, 0),
        StreamBytes::new(1).packet(&second, 0),
    ];
    let dir = TraceDir::with_classes(&classes(), &streams);
    dir.name_threads(&[(40, "main"), (41, "worker"), (50, "other")]);
    dir
}

#[test]
fn calls_are_summed_up_by_process() {
    let calls = json(&sample(), &[]);
    assert_eq!(
        (&calls["calls"], &calls["total_ns"]),
        (&json!(6), &json!(15_100))
    );
    assert_eq!(apart(&calls), [0; 6]);
    assert_eq!(
        calls["rows"],
        json!([
            {
                "calls": 5, "errors": 2, "total_ns": 15_000, "min_ns": 1_000, "mean_ns": 3_000,
                "p50_ns": 3_000, "p99_ns": 5_000, "p99.9_ns": 5_000, "max_ns": 5_000,
                "pid": 40, "process": "main", "call": "openat", "errors_by_name": {"ENOENT": 2},
            },
            {
                "calls": 1, "errors": 1, "total_ns": 100, "min_ns": 100, "mean_ns": 100,
                "p50_ns": 100, "p99_ns": 100, "p99.9_ns": 100, "max_ns": 100,
                "pid": 50, "process": "other", "call": "openat", "errors_by_name": {"EACCES": 1},
            },
        ])
    );
}

#[test]
fn calls_are_summed_up_by_thread_or_call() {
    let dir = sample();
    let threads = json(&dir, &["--by", "thread"]);
    assert_eq!(threads["rows"][0]["thread"], "worker");
    assert_eq!(
        text(&dir, &["--by", "call"]),
        "6 system calls, 15.100 us in total\n\
         \n\
         CALLS  ERRORS  TOTAL us  MIN us  MEAN us  P50 us  P99 us  P99.9 us  MAX us  CALL    \
         ERRORS BY NAME\n    \
         6       3    15.100   0.100    2.516   2.000   5.000     5.000   5.000  openat  \
         ENOENT 2, EACCES 1\n"
    );
}

#[test]
fn slow_calls_are_listed_with_arguments_and_results() {
    let dir = sample();
    assert_eq!(
        text(&dir, &["--slower", "4us"]),
        "          worker-41      [000] 12345.678941: openat(dfd=-100, filename=/etc/passwd, \
         flags=0x80000, mode=0644) = -2 (ENOENT) <0.000004>\n          \
         worker-41      [001] 12345.678951: openat(dfd=-100, filename=/etc/passwd, \
         flags=0x80000, mode=0644) = 4 <0.000005>\n"
    );
    let csv = text(&dir, &["--slower", "5us", "--format", "csv"]);
    assert_eq!(csv.lines().count(), 2, "{csv}");
}

#[test]
fn calls_over_losses_are_counted_apart() {
    let t = START_NS;
    let before = [call(t, 10, 41, 3).into(), vec![openat(t + 20, 41, b"/a")]].concat();
    let lossy = [
        vec![exit(t + 100, OPENAT_EXIT, 41, 3)],
        call(t + 110, 10, 41, 3).into(),
    ]
    .concat();
    let stream = StreamBytes::new(0)
        .packet(&before, 0)
        .packet(&lossy, 7)
        .packet(&call(t + 200, 10, 41, 3), 0);
    // a CPU without losses
    let other = StreamBytes::new(1).packet(&call(t + 105, 10, 52, 3), 0);
    let dir = TraceDir::with_classes(&classes(), &[stream, other]);
    let calls = json(&dir, &[]);
    assert_eq!(calls["calls"], 3);
    assert_eq!(apart(&calls), [2, 0, 0, 0, 0, 0]);
    let text = text(&dir, &[]);
    assert!(
        text.ends_with(
            "not in the table:\n           2  overlaps lost events: its entry and exit may be of \
             different calls\n"
        ),
        "{text}"
    );
}

#[test]
fn calls_at_the_start_and_the_end_are_counted_apart() {
    let t = START_NS;
    let events = [
        exit(t, OPENAT_EXIT, 41, 3),
        // the parent, and the new thread that returns as well
        event(t + 1, CLONE, 41, &[]),
        exit(t + 2, CLONE_EXIT, 52, 0),
        exit(t + 3, CLONE_EXIT, 41, 52),
        event(t + 4, EXIT_GROUP, 52, &[]),
        openat(t + 5, 41, b"/a"),
    ];
    let stream = StreamBytes::new(0).packet(&events, 0);
    let calls = json(&TraceDir::with_classes(&classes(), &[stream]), &[]);
    assert_eq!(calls["calls"], 1);
    assert_eq!(apart(&calls), [0, 1, 1, 1, 0, 0]);
}

#[test]
fn unmatched_events_are_counted_apart() {
    let t = START_NS;
    let events = [
        openat(t, 41, b"/a"),
        exit(t + 1, CLONE_EXIT, 41, 5),
        openat(t + 2, 41, b"/a"),
        openat(t + 3, 41, b"/a"),
        exit(t + 4, OPENAT_EXIT, 41, 5),
        exit(t + 5, OPENAT_EXIT, 41, 5),
    ];
    let stream = StreamBytes::new(0).packet(&events, 0);
    let calls = json(&TraceDir::with_classes(&classes(), &[stream]), &[]);
    assert_eq!(calls["calls"], 1);
    assert_eq!(apart(&calls), [0, 0, 0, 0, 2, 2]);
}

#[test]
fn raw_events_have_the_number_of_their_call() {
    let id = || field("id", slot64());
    let array = FieldType::Array {
        element: number(8, false, Display::Decimal),
        length: 1,
    };
    let classes = [
        class(
            RAW_ENTRY,
            "raw_syscalls:sys_enter",
            vec![id(), field("args", array)],
        ),
        class(
            RAW_EXIT,
            "raw_syscalls:sys_exit",
            vec![id(), field("ret", slot64())],
        ),
    ];
    let payload = |second: i64| [900i64.to_le_bytes(), second.to_le_bytes()].concat();
    let stream = StreamBytes::new(0).packet(
        &[
            event(START_NS, RAW_ENTRY, 41, &payload(1)),
            event(START_NS + 7, RAW_EXIT, 41, &payload(-22)),
        ],
        0,
    );
    let calls = json(&TraceDir::with_classes(&classes, &[stream]), &[]);
    let row = &calls["rows"][0];
    assert_eq!(row["call"], "sys_900");
    assert_eq!(row["errors_by_name"], json!({"EINVAL": 1}));
    assert_eq!(row["total_ns"], 7);
}

#[test]
fn calls_that_are_one_event_are_summed_up() {
    let fields = ["fd", "ret", "duration", "unfinished"];
    let fields = fields.map(|name| field(name, slot64()));
    let class = class(40, "call:read", fields.into());
    let read = |time, values: [i64; 4]| {
        let payload = values.map(i64::to_le_bytes).concat();
        event(time, 40, 41, &payload)
    };
    let t = START_NS;
    let events = [
        read(t, [7, 100, 5_000, 0]),
        read(t + 1, [7, -4, 3_000, 0]),
        read(t + 2, [7, 0, -1, 1]),
        read(t + 3, [7, 0, -1, 0]),
    ];
    let dir = TraceDir::with_classes(&[class], &[StreamBytes::new(0).packet(&events, 0)]);
    let calls = json(&dir, &[]);
    assert_eq!(
        (&calls["calls"], &calls["total_ns"]),
        (&json!(2), &json!(8_000))
    );
    assert_eq!(apart(&calls), [0, 1, 0, 1, 0, 0]);
    assert_eq!(
        text(&dir, &["--slower", "5us"]).lines().next().unwrap(),
        "           <...>-41      [000] 12345.678896: read(fd=7) = 100 <0.000005>"
    );
}

#[test]
fn a_trace_without_system_calls_names_the_probes_to_record() {
    let output = common::sample().tracer("calls", &[]);
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    for part in ["no events of exits of system calls", "-e 'syscall:*'"] {
        assert!(message.contains(part), "{message}");
    }
}
