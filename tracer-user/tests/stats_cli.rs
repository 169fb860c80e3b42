//! `tracer stats` as users run it.

mod common;

use serde_json::{Value, json};

use self::common::{
    GETPPID, START_NS, StreamBytes, TraceDir, event, labeled_sample, openat, sample, stderr,
    stdout, switch,
};

fn text(dir: &TraceDir, args: &[&str]) -> String {
    let output = dir.tracer("stats", args);
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

fn json(dir: &TraceDir, args: &[&str]) -> Value {
    let text = text(dir, &[args, &["--format", "json"]].concat());
    serde_json::from_str(&text).unwrap()
}

/// The values of a member in all rows of a table.
fn column<'a>(rows: &'a Value, key: &str) -> Vec<&'a Value> {
    rows.as_array()
        .unwrap()
        .iter()
        .map(|row| &row[key])
        .collect()
}

#[test]
fn events_are_counted_by_class_process_and_cpu() {
    let stats = json(&sample(), &[]);
    assert_eq!(stats["events"], 7);
    assert_eq!(stats["first_ns"], START_NS);
    assert_eq!(stats["last_ns"], START_NS + 9_001);
    assert_eq!(stats["packets"], 5);
    assert_eq!(stats["packet_bytes"], 5 * 4096);
    let classes = &stats["classes"];
    assert_eq!(
        column(classes, "event"),
        [
            "syscall_entry_getppid",
            "test:everything",
            "kprobe:\"vfs_read\"+0x10\\",
            "sched:sched_switch",
            "syscall_entry_openat"
        ]
    );
    assert_eq!(column(classes, "events"), [2, 2, 1, 1, 1]);
    // each has a header of 24 bytes; after a packet header 4 bytes align it, after the string 4 more
    assert_eq!(classes[0]["bytes"], 24 + 24 + 8);
    let processes = &stats["processes"];
    assert_eq!(column(processes, "pid"), [40, 70, 0, 50]);
    assert_eq!(column(processes, "events"), [3, 2, 1, 1]);
    let cpus = &stats["cpus"];
    assert_eq!(column(cpus, "events"), [5, 2]);
    let bytes = |rows| -> u64 {
        let bytes = column(rows, "bytes").into_iter();
        bytes.map(|bytes| bytes.as_u64().unwrap()).sum()
    };
    let total = stats["bytes"].as_u64().unwrap();
    assert_eq!([classes, processes, cpus].map(bytes), [total; 3]);
}

#[test]
fn losses_are_shown_with_their_cpu() {
    let t = START_NS;
    let one = |time| [event(time, GETPPID, 41, &[])];
    let lossy = StreamBytes::new(1)
        .packet(&one(t), 0)
        .packet(&one(t + 10), 1_234)
        .skip(3)
        .packet(&one(t + 20), 6);
    let dir = TraceDir::new(&[StreamBytes::new(0).packet(&one(t + 5), 0), lossy]);
    let stats = json(&dir, &[]);
    assert_eq!(stats["lost_events"], 1_240);
    assert_eq!(stats["lost_packets"], 3);
    assert_eq!(column(&stats["cpus"], "lost_events"), [0, 1_240]);
    assert!(text(&dir, &[]).contains("lost 1,240 events and 3 packets\n"));
    assert_eq!(json(&dir, &["-C", "0"])["lost_events"], 0);
}

#[test]
fn a_selection_is_honoured() {
    let dir = sample();
    assert_eq!(json(&dir, &["-e", "syscall:*"])["events"], 3);
    assert_eq!(json(&dir, &["-p", "41"])["events"], 3);
    assert_eq!(json(&dir, &["--to", "+0.000002"])["events"], 3);
    assert_eq!(json(&dir, &["--from", "+0.000004"])["events"], 3);
    assert_eq!(json(&dir, &["-C", "1"])["events"], 2);
}

#[test]
fn text_is_a_table_for_each_kind() {
    assert_eq!(
        text(&sample(), &["-e", "syscall:openat", "--top", "1"]),
        "1 event, 52 bytes in 5 packets of 20.5 kB\n\
         from 12345.678903 to 12345.678903 (0.000000 s)\n\
         lost 0 events\n\
         \n\
         EVENTS      %  BYTES  EVENTS/S  EVENT\n     \
         1  100.0     52         -  syscall_entry_openat\n\
         \n\
         EVENTS      %  BYTES  EVENTS/S  PID  PROCESS\n     \
         1  100.0     52         -   40  <...>\n\
         \n\
         EVENTS      %  BYTES  EVENTS/S  LOST  LOST PACKETS  CPU\n     \
         1  100.0     52         -     0             0    0\n"
    );
}

#[test]
fn csv_is_one_table() {
    let csv = text(&sample(), &["--format", "csv", "-C", "1"]);
    assert_eq!(
        csv.lines().take(2).collect::<Vec<_>>(),
        [
            "by,name,pid,events,bytes,lost_events,lost_packets",
            "class,\"kprobe:\"\"vfs_read\"\"+0x10\\\",,1,36,,"
        ]
    );
    assert!(csv.contains("\nprocess,<...>,50,1,36,,\n"), "{csv}");
    assert!(csv.ends_with("\ncpu,1,,2,64,0,0\n"), "{csv}");
}

#[test]
fn events_are_grouped_by_fields() {
    let t = START_NS;
    let stream = StreamBytes::new(0).packet(
        &[
            openat(t, 41, b"/a"),
            openat(t + 1, 41, b"/b"),
            openat(t + 2, 52, b"/a"),
            switch(t + 3, ("x", 1), ("y", 2)),
        ],
        0,
    );
    let dir = TraceDir::new(&[stream]);
    dir.name_threads(&[(41, "one"), (52, "two")]);
    assert_eq!(
        json(&dir, &["--by", "filename"]),
        json!({
            "groups": [{"events": 2, "filename": "/a"}, {"events": 1, "filename": "/b"}],
            "left_out_events": 1,
        })
    );
    assert_eq!(
        text(&dir, &["--by", "comm,tid,mode", "--sum", "flags"]),
        "EVENTS  SUM(flags)  MEAN(flags)  COMM  TID  MODE\n     \
         2   1,048,576    524,288.0  one    41   420\n     \
         1     524,288    524,288.0  two    52   420\n\
         1 event lacks a field and is left out\n"
    );
}

#[test]
fn groups_have_the_labels_of_numbers() {
    let groups = json(&labeled_sample(), &["--by", "flags"]);
    let flags = column(&groups["groups"], "flags");
    assert!(flags.contains(&&json!("IO|HIGH|0x1")), "{flags:?}");
}

#[test]
fn histograms_are_those_of_bpftrace() {
    let dir = sample();
    let args = [
        "--by",
        "event",
        "-e",
        "test:everything",
        "--hist",
        "more_bits",
    ];
    assert_eq!(
        text(&dir, &args),
        format!(
            "@[test:everything]: 2 events\n[4K, 8K)                2 |{}|\n\n",
            "@".repeat(52)
        )
    );
    assert_eq!(
        json(&dir, &args)["groups"][0]["hist_more_bits"],
        json!([{"from": 4096, "count": 2}])
    );
}

#[test]
fn a_field_that_no_event_has_is_an_error() {
    let output = sample().tracer("stats", &["--by", "filenam", "-e", "syscall:openat"]);
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    for part in ["no selected event has a field `filenam`", "`filename`"] {
        assert!(message.contains(part), "{message}");
    }
}
