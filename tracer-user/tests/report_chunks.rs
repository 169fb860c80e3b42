//! Folders of chunks, as `tracer report`, `tracer repair` and babeltrace2 read them.

mod common;

use std::fs;
use std::process::Command;

use self::common::{
    Chunk, GETPPID, START_NS, StreamBytes, TraceDir, chunk_name, event, stderr, stdout,
};

/// An event at this many microseconds from the start of the trace, of thread 41.
fn at(microseconds: u64) -> Vec<u8> {
    event(START_NS + microseconds * 1000, GETPPID, 41, &[])
}

/// The output of `tracer report`, which must print no warnings.
fn report(dir: &TraceDir, args: &[&str]) -> Vec<String> {
    let output = dir.tracer("report", args);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stderr(&output), "");
    stdout(&output).lines().map(str::to_owned).collect()
}

/// Microseconds of the events in a report, and the losses between them.
fn story(report: &[String]) -> Vec<String> {
    let word = |line: &String| match line.split_once(" [") {
        Some((_, rest)) if line.contains("CPU:") => {
            let (_, loss) = rest.split_once('[').expect("what is lost");
            loss.trim_end_matches(']').to_owned()
        }
        _ => {
            let (_, time) = line.split_once("12345.67").expect("a time");
            (time[..4].parse::<u32>().expect("digits") - 8901).to_string()
        }
    };
    report.iter().map(word).collect()
}

/// What babeltrace2 prints to standard output and standard error.
fn babeltrace(dir: &TraceDir) -> (usize, String) {
    let output = Command::new("babeltrace2")
        .arg(dir.path())
        .output()
        .expect("`babeltrace2` must be installed to run this test (`apt install babeltrace2`)");
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    (stdout(&output).lines().count(), said)
}

/// A stream of CPU 0 in three chunks of one packet, with the events lost before each.
fn in_three(lost: [u64; 3]) -> [StreamBytes; 3] {
    let first = StreamBytes::new(0).packet(&[at(0), at(10)], lost[0]);
    let second = first.next_chunk().packet(&[at(20)], lost[1]);
    let third = second.next_chunk().packet(&[at(40), at(50)], lost[2]);
    [first, second, third]
}

fn of(streams: &[StreamBytes]) -> TraceDir {
    let chunks: Vec<Chunk<'_>> = streams
        .iter()
        .map(|stream| (std::slice::from_ref(stream), &[][..]))
        .collect();
    TraceDir::of_chunks(&chunks)
}

/// A chunk as it is after the recorder has deleted older ones.
fn remove_first(dir: &TraceDir, before_second: &str) {
    fs::remove_dir_all(dir.file(&chunk_name(0))).unwrap();
    dir.write(
        &format!("{}/.before", chunk_name(1)),
        before_second.as_bytes(),
    );
}

#[test]
fn streams_go_on_from_chunk_to_chunk() {
    let [first, second, third] = in_three([0; 3]);
    let busy = StreamBytes::new(1).packet(&[at(5)], 0);
    let later = busy.next_chunk().packet(&[at(30), at(45)], 0);
    let dir = TraceDir::of_chunks(&[
        (&[first, busy.clone()], &[]),
        // nothing happened on the other CPU
        (&[second, busy.next_chunk()], &[]),
        (&[third, later], &[]),
    ]);
    assert_eq!(
        story(&report(&dir, &[])),
        ["0", "5", "10", "20", "30", "40", "45", "50"]
    );
    assert_eq!(babeltrace(&dir), (8, String::new()));
}

#[test]
fn a_loss_at_the_border_is_reported_once() {
    let dir = of(&in_three([0, 3, 0]));
    let expected = ["0", "10", "3 EVENTS DROPPED", "20", "40", "50"];
    assert_eq!(story(&report(&dir, &[])), expected);
    let (events, said) = babeltrace(&dir);
    assert_eq!((events, said.lines().count()), (5, 1));
    assert!(
        said.starts_with("WARNING: Tracer discarded 3 events"),
        "{said}"
    );
}

#[test]
fn where_the_oldest_chunk_was_removed_nothing_is_missing() {
    let dir = of(&in_three([0; 3]));
    remove_first(&dir, "0 0 0\n");
    assert_eq!(story(&report(&dir, &[])), ["20", "40", "50"]);
    assert_eq!(babeltrace(&dir), (3, String::new()));
}

#[test]
fn events_lost_before_the_oldest_chunk_are_not_reported() {
    let dir = of(&in_three([7, 2, 3]));
    remove_first(&dir, "0 0 7\n");
    let expected = ["2 EVENTS DROPPED", "20", "3 EVENTS DROPPED", "40", "50"];
    assert_eq!(story(&report(&dir, &[])), expected);
}

#[test]
fn a_missing_chunk_is_reported() {
    let dir = of(&in_three([0; 3]));
    fs::remove_dir_all(dir.file(&chunk_name(1))).unwrap();
    let expected = ["0", "10", "1 PACKETS MISSING", "40", "50"];
    assert_eq!(story(&report(&dir, &[])), expected);
}

#[test]
fn a_chunk_is_a_trace_of_its_own() {
    let dir = of(&in_three([0; 3]));
    dir.write(&format!("{}/.before", chunk_name(1)), b"0 0 0\n");
    let output = Command::new(env!("CARGO_BIN_EXE_tracer"))
        .arg("report")
        .arg(dir.file(&chunk_name(1)))
        .output()
        .unwrap();
    assert_eq!(stderr(&output), "");
    assert_eq!(stdout(&output).lines().count(), 1);
}

#[test]
fn a_selection_of_times_goes_over_borders() {
    let dir = of(&in_three([0; 3]));
    let some = report(&dir, &["--from", "+0.00001", "--to", "+0.00004"]);
    assert_eq!(story(&some), ["10", "20", "40"]);
}

#[test]
fn threads_have_the_names_of_all_chunks() {
    let [first, second, third] = in_three([0; 3]);
    let dir = TraceDir::of_chunks(&[
        (&[first], &[(7, "other")]),
        (&[second], &[]),
        (&[third], &[(41, "bash"), (7, "other")]),
    ]);
    let printed = report(&dir, &[]);
    assert!(
        printed.iter().all(|line| line.contains("bash-41 ")),
        "{printed:?}"
    );
}

#[test]
fn a_chunk_of_another_trace_is_refused() {
    let dir = of(&in_three([0; 3]));
    let metadata = format!("{}/metadata", chunk_name(1));
    let text = String::from_utf8(dir.read(&metadata)).unwrap();
    dir.write(&metadata, text.replace("01234567", "89abcdef").as_bytes());
    let output = dir.tracer("report", &[]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("is not of the same trace"), "{said}");
    assert!(said.contains(&chunk_name(1)), "{said}");
}

/// The third chunk is in the state in which the recorder writes its second packet.
fn being_written() -> TraceDir {
    let [first, second, third] = in_three([0; 3]);
    let mut third = third.packet(&[at(60)], 0);
    third.bytes.truncate(third.bytes.len() - 1000);
    let dir = of(&[first, second, third]);
    let chunk = dir.file(&chunk_name(2));
    fs::rename(chunk.join("metadata"), chunk.join(".metadata")).unwrap();
    dir
}

#[test]
fn a_chunk_that_is_being_written_is_read_up_to_its_last_packet() {
    let output = being_written().tracer("report", &[]);
    assert!(output.status.success());
    assert_eq!(stdout(&output).lines().count(), 5);
    let note = stderr(&output);
    assert!(note.contains("not a complete packet"), "{note}");
}

#[test]
fn babeltrace2_reads_the_complete_chunks() {
    assert_eq!(babeltrace(&being_written()), (3, String::new()));
}

#[test]
fn repair_completes_the_chunk_that_was_being_written() {
    let dir = being_written();
    let repaired = stdout(&dir.tracer("repair", &[]));
    assert!(repaired.contains("completed the chunk"), "{repaired}");
    assert!(
        repaired.contains("3 complete packets in 1 streams"),
        "{repaired}"
    );
    assert_eq!(babeltrace(&dir), (5, String::new()));
    assert_eq!(report(&dir, &[]).len(), 5);
    assert!(stdout(&dir.tracer("repair", &[])).contains("nothing to repair"));
}

#[test]
fn repair_empties_a_chunk_whose_only_packet_is_incomplete() {
    let [first, second, mut third] = in_three([0; 3]);
    third.bytes.truncate(1000);
    let dir = of(&[first, second, third]);
    let repaired = stdout(&dir.tracer("repair", &[]));
    assert!(repaired.contains("removed 1000 bytes"), "{repaired}");
    assert_eq!(babeltrace(&dir), (3, String::new()));
}
