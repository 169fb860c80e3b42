//! `tracer report` and `tracer repair` as users run them.

mod common;

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Output, Stdio};

use tracer::trace::folder::FolderLock;
use tracer::trace::folder::frames::Frame;
use tracer::trace::sidecar::tasks;

use self::common::{
    GETPPID, PACKET_LEN, START_NS, StreamBytes, TraceDir, class, event, field, labeled_sample,
    openat, sample, slot64, stderr, stdout, with_context,
};

fn lines(output: &Output) -> Vec<String> {
    assert!(output.status.success(), "{}", stderr(output));
    stdout(output).lines().map(str::to_owned).collect()
}

fn tracer(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tracer"))
        .args(args)
        .output()
        .unwrap()
}

/// Asserts that the command failed, with all of `parts` in its message.
fn assert_fails(output: &Output, parts: &[&str]) {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in parts {
        assert!(said.contains(part), "no `{part}` in: {said}");
    }
}

#[test]
fn text_has_the_columns_of_trace_cmd() {
    assert_eq!(
        lines(&sample().tracer("report", &[])),
        [
            "            bash-41      [000] 12345.678901: sched:sched_switch: prev_comm=bash \
             prev_pid=41 prev_prio=120 prev_state=1 next_comm=kworker/0:1 next_pid=7 next_prio=120",
            "        a thread-52      [001] 12345.678902: kprobe:\"vfs_read\"+0x10\\: \
             arg0=0xffff800000001234",
            "            bash-41      [000] 12345.678903: syscall_entry_openat: dfd=-100 \
             filename=/etc/passwd flags=0x80000 mode=0644",
            "          <idle>-0       [001] 12345.678904: syscall_entry_getppid:",
            "            bash-41      [000] 12345.678905: syscall_entry_getppid:",
            "           <...>-77      [000] 12345.678910: test:everything: u8=200 s16=-2 bits=-3 \
             more_bits=4321 packed=18446744073709551615 array={1,2,65535} sequence={0xa,0xb,0xc} \
             packed_sequence={0,-1,-2} text=abc string=\"tail é\" enum=7",
            "           <...>-77      [000] 12345.678910: test:everything: u8=200 s16=-2 bits=-3 \
             more_bits=4321 packed=18446744073709551615 array={1,2,65535} sequence={} \
             packed_sequence={} text=\"\" string=\"tail é\" enum=7",
        ]
    );
}

#[test]
fn nanoseconds_have_nine_digits() {
    let printed = lines(&sample().tracer("report", &["--ns"]));
    assert!(printed[6].contains(" 12345.678910001: "));
}

/// The bytes in hexadecimal.
fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |digit: u8| char::from_digit(digit.into(), 16).unwrap();
    let digits = bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    digits.collect()
}

#[test]
fn json_keeps_the_bytes_of_strings_that_are_not_utf8() {
    let (odd, even) = (b"/tmp/\xff\xc3", "/tmp/é".as_bytes());
    let events = [openat(START_NS, 41, odd), openat(START_NS + 1, 41, even)];
    let dir = TraceDir::new(&[StreamBytes::new(0).packet(&events, 0)]);
    dir.write(
        tasks::FILE_NAME,
        tasks::format_line(START_NS, 41, b"\xe9t\xe9").as_bytes(),
    );
    let printed = lines(&dir.tracer("report", &["--json"]));
    let objects: Vec<serde_json::Value> = printed
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(objects[0]["fields"]["filename"], "/tmp/\u{fffd}\u{fffd}");
    assert_eq!(
        objects[0]["bytes"],
        serde_json::json!({"filename": hexadecimal(odd)})
    );
    assert_eq!(objects[0]["comm_bytes"], hexadecimal(b"\xe9t\xe9"));
    assert_eq!(objects[1]["fields"]["filename"], "/tmp/é");
    assert_eq!(objects[1]["bytes"], serde_json::Value::Null);
}

#[test]
fn output_that_cannot_be_written_fails_without_a_panic() {
    let dir = sample();
    for command in ["report", "repair"] {
        for full in ["stdout", "stderr"] {
            let file = || Stdio::from(std::fs::File::create("/dev/full").unwrap());
            let mut tracer = Command::new(env!("CARGO_BIN_EXE_tracer"));
            tracer.arg(command).arg(dir.path());
            let (output, status) = if full == "stdout" {
                (tracer.stdout(file()).output().unwrap(), 1)
            } else {
                (tracer.stderr(file()).output().unwrap(), 0)
            };
            assert_eq!(
                output.status.code(),
                Some(status),
                "{command} with a full {full}"
            );
        }
    }
    let failing = Command::new(env!("CARGO_BIN_EXE_tracer"))
        .args(["report", "/no/such/trace"])
        .stderr(std::fs::File::create("/dev/full").unwrap())
        .output()
        .unwrap();
    assert_eq!(failing.status.code(), Some(1));
}

#[test]
fn repair_reports_what_a_killed_recorder_left() {
    let parent = tempfile::tempdir().unwrap();
    for inside in [
        None,
        Some(".metadata.new"),
        Some("chunk-000000-20261121T130532Z/.metadata.new"),
    ] {
        let dir = parent.path().join("trace");
        std::fs::create_dir(&dir).unwrap();
        if let Some(inside) = inside {
            let path = dir.join(inside);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let repaired = tracer(&["repair", dir.to_str().unwrap()]);
        assert_fails(
            &repaired,
            &["killed before the recording began", "nothing to repair"],
        );
        std::fs::remove_dir_all(&dir).unwrap();
    }
}

#[test]
fn a_trace_that_is_being_recorded_is_not_repaired() {
    let dir = sample();
    let _recording = FolderLock::take(dir.path()).unwrap();
    assert_fails(&dir.tracer("repair", &[]), &["is in use"]);
}

#[test]
fn json_has_one_object_per_line() {
    let printed = lines(&sample().tracer("report", &["--json"]));
    let objects: Vec<serde_json::Value> = printed
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(objects.len(), 7);
    assert_eq!(
        objects[2],
        serde_json::json!({
            "timestamp_ns": START_NS + 2_000, "cpu": 0, "comm": "bash", "tid": 41, "pid": 40,
            "name": "syscall_entry_openat",
            "fields": {"dfd": -100, "filename": "/etc/passwd", "flags": 0x80000, "mode": 0o644},
        })
    );
    assert_eq!(
        objects[5]["fields"]["sequence"],
        serde_json::json!([10, 11, 12])
    );
    assert_eq!(objects[5]["fields"]["packed"], u64::MAX);
}

#[test]
fn contexts_are_shown_before_the_fields() {
    let (class, first) = with_context(3, START_NS);
    let (_, second) = with_context(3, START_NS + 1_000);
    let stream = StreamBytes::new(0).packet(&[first, second], 0);
    let dir = TraceDir::with_classes(&[class], &[stream]);
    let printed = lines(&dir.tracer("report", &[]));
    assert_eq!(
        printed[1],
        "           <...>-7       [000] 12345.678902: test:context: [uid=1000 comm=cat] value=-1"
    );
    let json = lines(&dir.tracer("report", &["--json"]));
    let object: serde_json::Value = serde_json::from_str(&json[0]).unwrap();
    assert_eq!(
        object["context"],
        serde_json::json!({"uid": 1000, "comm": "cat"})
    );
    assert_eq!(object["fields"], serde_json::json!({"value": -1}));
}

#[test]
fn values_and_bits_have_their_names() {
    let printed = lines(&labeled_sample().tracer("report", &[]));
    let fields: Vec<_> = printed
        .iter()
        .map(|line| line.split_once(": ").unwrap().1.split_once(": ").unwrap().1)
        .collect();
    assert_eq!(
        fields,
        [
            "state=TIMER flags=GFP_NOFS rwbs=R",
            "state=unknown flags=IO|HIGH|0x1 rwbs=RW",
            "state=\"run \\\"ning\\\"\" flags=none rwbs=RW|0x10",
            "state=2 flags=0x10 rwbs=0x0",
            "vec=TIMER",
        ]
    );
}

#[test]
fn json_has_numbers_and_their_names() {
    let printed = lines(&labeled_sample().tracer("report", &["--json"]));
    let object =
        |index: usize| -> serde_json::Value { serde_json::from_str(&printed[index]).unwrap() };
    assert_eq!(
        object(1)["fields"],
        serde_json::json!({"state": -1, "flags": 0x8000_0041u32, "rwbs": 3})
    );
    assert_eq!(
        object(1)["names"],
        serde_json::json!({"state": "unknown", "flags": "IO|HIGH|0x1", "rwbs": "RW"})
    );
    assert_eq!(object(3)["names"], serde_json::Value::Null);
}

#[test]
fn errors_of_system_calls_have_their_names() {
    let ret = vec![field("ret", slot64())];
    let classes = [
        class(0, "syscall_exit_openat", ret.clone()),
        class(1, "test:other", ret),
    ];
    let events = [(0, -2i64), (0, -512), (0, 3), (1, -2)];
    let events: Vec<_> = events
        .iter()
        .map(|(class, ret)| event(START_NS, *class, 1, &ret.to_le_bytes()))
        .collect();
    let dir = TraceDir::with_classes(&classes, &[StreamBytes::new(0).packet(&events, 0)]);
    let printed = lines(&dir.tracer("report", &[]));
    for (line, end) in printed.iter().zip([
        "openat: ret=-2 (ENOENT)",
        "openat: ret=-512 (ERESTARTSYS)",
        "openat: ret=3",
        "other: ret=-2",
    ]) {
        assert!(line.ends_with(end), "{line}");
    }
    let json = lines(&dir.tracer("report", &["--json"]));
    let object: serde_json::Value = serde_json::from_str(&json[0]).unwrap();
    assert_eq!(object["fields"], serde_json::json!({"ret": -2}));
    assert_eq!(object["names"], serde_json::json!({"ret": "ENOENT"}));
}

#[test]
fn lost_events_are_shown_where_they_are_missing() {
    let dir = TraceDir::new(&[StreamBytes::new(2)
        .packet(&[event(START_NS, GETPPID, 1, &[])], 0)
        .skip(2)
        .packet(&[event(START_NS + 1_000, GETPPID, 1, &[])], 1204)]);
    let printed = lines(&dir.tracer("report", &[]));
    assert_eq!(
        printed[1],
        "                         [002] 12345.678902: CPU:2 [2 PACKETS MISSING]"
    );
    assert_eq!(
        printed[2],
        "                         [002] 12345.678902: CPU:2 [1204 EVENTS DROPPED]"
    );
    let json = lines(&dir.tracer("report", &["--json"]));
    let loss: serde_json::Value = serde_json::from_str(&json[1]).unwrap();
    assert_eq!(loss["events_dropped"], 1204);
}

#[test]
fn events_are_selected_by_name() {
    let dir = sample();
    let count = |args: &[&str]| lines(&dir.tracer("report", args)).len();
    assert_eq!(count(&["-e", "sched:*"]), 1);
    assert_eq!(count(&["-e", "sched_switch,kprobe:*"]), 2);
    assert_eq!(count(&["-e", "sched:*", "-e", "syscall:getppid"]), 3);
}

#[test]
fn events_are_selected_by_time() {
    let dir = sample();
    let count = |args: &[&str]| lines(&dir.tracer("report", args)).len();
    assert_eq!(count(&["--from", "12345.678903"]), 5);
    assert_eq!(count(&["--to", "12345.678903"]), 3);
    assert_eq!(count(&["--from", "+0.000001", "--to", "+0.000003"]), 3);
    assert_eq!(count(&["--from", "99999"]), 0);
}

#[test]
fn events_are_selected_by_cpu_and_process() {
    let dir = sample();
    let count = |args: &[&str]| lines(&dir.tracer("report", args)).len();
    assert_eq!(count(&["-C", "1"]), 2);
    assert_eq!(count(&["--cpu", "0-1"]), 7);
    assert_eq!(count(&["--cpus", "0-1"]), 7);
    assert_eq!(count(&["-p", "40"]), 3);
    assert_eq!(count(&["-p", "41,52"]), 4);
}

#[test]
fn terminal_sequences_in_a_trace_are_not_passed_on() {
    let dir = TraceDir::new(&[
        StreamBytes::new(0).packet(&[openat(START_NS, 9, b"\x1b]0;x\x07\xc2\x9b31m")], 0)
    ]);
    dir.name_threads(&[(9, "\u{1b}[2J")]);
    for args in [&[][..], &["--json"]] {
        let printed = stdout(&dir.tracer("report", args));
        assert!(
            !printed.trim_end().chars().any(char::is_control),
            "{printed:?}"
        );
    }
}

#[test]
fn a_pattern_without_events_is_an_error() {
    let output = sample().tracer("report", &["-e", "sched:nothing"]);
    assert_fails(&output, &["`sched:nothing`", "it has `sched:sched_switch`"]);
}

#[test]
fn an_invalid_time_is_an_error() {
    let output = sample().tracer("report", &["--from", "noon"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("invalid time `noon`"));
}

#[test]
fn a_missing_folder_is_an_error() {
    let output = tracer(&["report", "/nowhere/at/all"]);
    assert_fails(
        &output,
        &["`/nowhere/at/all` is not a trace", "no such folder"],
    );
}

#[test]
fn a_folder_without_metadata_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let output = tracer(&["report", dir.path().to_str().unwrap()]);
    assert_fails(
        &output,
        &["is not a trace", "no file `metadata`", "`tracer record`"],
    );
}

#[test]
fn a_file_is_an_error() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let output = tracer(&["report", file.path().to_str().unwrap()]);
    assert_fails(&output, &["is not a trace"]);
}

#[test]
fn empty_metadata_is_an_error() {
    let dir = sample();
    dir.write("metadata", b"");
    assert_fails(&dir.tracer("report", &[]), &["metadata` is empty"]);
}

#[test]
fn metadata_of_another_kind_is_an_error() {
    let dir = sample();
    dir.write("metadata", &[0x57, 0x1d, 0xd1, 0x75, 0, 0]);
    assert_fails(
        &dir.tracer("report", &[]),
        &["its last packet is truncated"],
    );
    dir.write("metadata", b"{ \"type\": \"preamble\" }");
    assert_fails(
        &dir.tracer("report", &[]),
        &["starts neither with `/* CTF 1.8 */` nor with a fragment of CTF 2"],
    );
    dir.write("metadata", b"/* CTF 1.8 */\n\ntrace { major = }");
    assert_fails(
        &dir.tracer("report", &[]),
        &["line 3: expected a number, found `}`"],
    );
}

#[test]
fn a_truncated_trace_is_read_with_a_note() {
    let mut stream = StreamBytes::new(0)
        .packet(&[event(START_NS, GETPPID, 1, &[])], 0)
        .packet(&[event(START_NS, GETPPID, 1, &[])], 0);
    stream.bytes.truncate(PACKET_LEN + 1000);
    let dir = TraceDir::new(&[stream]);
    let output = dir.tracer("report", &[]);
    assert_eq!(lines(&output).len(), 1);
    assert!(stderr(&output).contains("tracer: note: ignored 1000 bytes at the end of `"));
    assert!(stderr(&output).contains("`tracer repair "));

    let repaired = dir.tracer("repair", &[]);
    assert!(lines(&repaired)[0].starts_with("removed 1000 bytes of an incomplete packet from `"));
    let output = dir.tracer("report", &[]);
    assert_eq!((lines(&output).len(), stderr(&output)), (1, String::new()));
    assert!(lines(&dir.tracer("repair", &[]))[0].ends_with("; nothing to repair"));
}

#[test]
fn a_corrupt_packet_ends_the_report_with_an_error() {
    let dir = sample();
    let mut bytes = dir.read("channel0_0");
    bytes[PACKET_LEN] = 0;
    dir.write("channel0_0", &bytes);
    let output = dir.tracer("report", &[]);
    assert_fails(
        &output,
        &["channel0_0` is corrupt at byte 4096", "0xc1fc1fc1"],
    );
    assert_eq!(stdout(&output).lines().count(), 5);

    let repaired = lines(&dir.tracer("repair", &[]));
    assert!(repaired[0].contains("channel0_0`, corrupt from byte 4096 on: a packet starts with"));
    assert_eq!(lines(&dir.tracer("report", &[])).len(), 5);
}

#[test]
fn repair_of_something_else_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let output = tracer(&["repair", dir.path().to_str().unwrap()]);
    assert_fails(&output, &["is not a trace"]);
}

#[test]
fn a_closed_pipe_ends_the_report_quietly() {
    let mut stream = StreamBytes::new(0);
    for packet in 0..500 {
        let events: Vec<_> = (0..100)
            .map(|n| event(START_NS + packet * 100 + n, GETPPID, 1, &[]))
            .collect();
        stream = stream.packet(&events, 0);
    }
    let dir = TraceDir::new(&[stream]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_tracer"))
        .arg("report")
        .arg(dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(first.contains("syscall_entry_getppid"));
    assert_eq!(
        (output.status.code(), stderr(&output)),
        (Some(0), String::new())
    );
}

/// A trace as written to a pipe; without its end, as by a recorder that was killed.
fn framed(dir: &TraceDir, ended: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut add = |frame: Frame, body: &[u8]| {
        bytes.extend(frame.header(body.len() as u64));
        bytes.extend(body);
    };
    add(Frame::Metadata, &dir.read("metadata"));
    for cpu in 0..2 {
        for packet in dir.read(&format!("channel0_{cpu}")).chunks(PACKET_LEN) {
            add(Frame::Packet(cpu), packet);
        }
    }
    add(Frame::Tasks, &dir.read(".tasks"));
    if ended {
        add(Frame::End, &[]);
    }
    bytes
}

/// Runs `tracer report -` with this input, and checks that it removes its temporary files.
fn report_stdin(input: &[u8]) -> Output {
    let temporary = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_tracer"))
        .args(["report", "-"])
        .env("TMPDIR", temporary.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);
    output
}

#[test]
fn a_trace_on_standard_input_is_read_as_one_in_a_folder() {
    let dir = sample();
    let output = report_stdin(&framed(&dir, true));
    assert_eq!(stdout(&output), stdout(&dir.tracer("report", &[])));
    assert_eq!(stderr(&output), "");
}

#[test]
fn a_pipe_that_ends_early_is_reported() {
    let dir = sample();
    let output = report_stdin(&framed(&dir, false));
    assert_eq!(stdout(&output), stdout(&dir.tracer("report", &[])));
    assert!(stderr(&output).contains("the recorder did not finish"));
}

#[test]
fn standard_input_that_is_not_a_trace_is_an_error() {
    let parts = [
        "cannot read a trace from standard input",
        "tracer record -o -",
    ];
    assert_fails(&report_stdin(b"no trace, but some other text"), &parts);
}
