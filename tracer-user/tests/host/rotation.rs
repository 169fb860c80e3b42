//! Recordings in chunks. Needs root.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use crate::common::recording::{Held, Recorder, Recording, Running, wait_for, work, work_words};
use crate::common::trace::{Trace, babeltrace, chunks, is_complete, report, tracer};

const CALLS: u32 = 100_000;
const ENTRY: &str = "syscall_entry_getppid";
const EXIT: &str = "syscall_exit_getppid";

/// Packets and chunks as small as they can be: four packets of each CPU.
fn chunk_size() -> String {
    let cpus = aya::util::online_cpus()
        .expect("the CPUs that are recorded")
        .len();
    format!("{}K", cpus * 4 * 32)
}

/// Records with these arguments and small packets.
fn recorder(args: &[&str]) -> Recorder {
    let common = ["--subbuf-size", "32K", "-e", "syscall:getppid"];
    Recorder::new(&[&common, args].concat())
}

/// Starts a recording that has no end, in small chunks; waits until some are complete. The
/// ring has room for all events, however slow the disk is: none is lost.
fn endless(args: &[&str]) -> Running {
    let script = "echo $$ >pid; i=0
        while [ $i -lt 40 ]; do \"$0\" --cpu 0 getppid 20000; i=$((i + 1)); done
        exec sleep 1000";
    let common = ["--buffer-size", "64M", "--rotate-size", &chunk_size()];
    let recorder = recorder(&[&common, args].concat());
    let mut running = recorder.command(["sh", "-c", script, &work()]).start();
    running.wait_for_file("pid");
    wait_for("complete chunks", || {
        (complete_chunks(&running.trace_dir()).len() >= 3).then_some(())
    });
    running
}

fn complete_chunks(trace: &Path) -> Vec<PathBuf> {
    let mut chunks = chunks(trace);
    chunks.retain(|chunk| is_complete(chunk));
    chunks
}

/// The number that the summary has before `what`.
fn reported(recording: &Recording, what: &str) -> usize {
    let said = &recording.stderr;
    let (before, _) = said
        .split_once(what)
        .unwrap_or_else(|| panic!("no `{what}` in: {said}"));
    let number = before.split_ascii_whitespace().next_back().expect("a word");
    number.replace(',', "").parse().expect("a number")
}

#[test]
fn every_call_is_in_one_of_the_chunks() {
    let held = Held::new(&["getppid", &CALLS.to_string()]);
    let pid = held.pid();
    let size = chunk_size();
    let common = ["--buffer-size", "64M", "--rotate-size", &size];
    let recording = recorder(&[&common[..], &["-p", &pid.to_string()]].concat())
        .command(["sh", "-c", &held.script()])
        .run();
    assert!(recording.status.success(), "{}", recording.stderr);
    let trace = Trace::read_chunks(recording.trace_dir());
    let counts = (trace.count(ENTRY, pid), trace.count(EXIT, pid), trace.lost);
    assert_eq!(counts, (CALLS as usize, CALLS as usize, 0));
    let count = chunks(recording.trace_dir()).len();
    assert!(count > 5, "only {count} chunks");
    assert_eq!(reported(&recording, " chunks\n"), count);
}

#[test]
fn recorded_and_lost_calls_of_all_chunks_are_all_calls() {
    let held = Held::new(&["--cpu", "0", "getppid", &CALLS.to_string()]);
    let pid = held.pid().to_string();
    let size = chunk_size();
    let recording = recorder(&["--buffer-size", "4K", "-p", &pid, "--rotate-size", &size])
        .command(["sh", "-c", &held.script()])
        .run();
    assert!(recording.status.success(), "{}", recording.stderr);
    let trace = Trace::read_chunks(recording.trace_dir());
    let fired = trace.events.len() as u64 + trace.lost;
    assert_eq!(fired, u64::from(CALLS) * 2);
    assert!(
        trace.lost > 1000,
        "only {} were lost: the test shows little",
        trace.lost
    );
}

#[test]
fn time_begins_chunks_though_nothing_happens() {
    let recording = recorder(&["--rotate-time", "100ms", "--duration", "1s"]).run();
    assert!(recording.status.success(), "{}", recording.stderr);
    Trace::read_chunks(recording.trace_dir());
    let count = chunks(recording.trace_dir()).len();
    assert!(count >= 3, "only {count} chunks");
}

#[test]
fn only_the_newest_chunks_stay() {
    const MAX: u64 = 4 << 20;
    let recording = recorder(&["--max-size", "4M", "--buffer-size", "64M"])
        .command(work_words(&[
            "--cpu",
            "0",
            "getppid",
            &(4 * CALLS).to_string(),
        ]))
        .run();
    assert!(recording.status.success(), "{}", recording.stderr);
    let chunks = chunks(recording.trace_dir());
    let removed = reported(&recording, " were removed");
    assert!(removed > 2, "only {removed} chunks were removed");
    let first = chunks[0].file_name().expect("a name").to_string_lossy();
    assert!(
        first.starts_with(&format!("chunk-{removed:06}-")),
        "{first}"
    );
    let bytes: u64 = chunks.iter().map(|chunk| bytes_in(chunk)).sum();
    assert!(bytes <= MAX, "{bytes}");
    // Nothing was lost, and neither reader reports a loss.
    let trace = Trace::read_chunks(recording.trace_dir());
    assert_eq!(trace.lost, 0);
    let (recorded, rest) = recording.stderr.split_once(" events in ").expect("events");
    let (_, removed) = rest
        .split_once(" were removed, with ")
        .expect("events removed");
    let removed = removed.split(' ').next().expect("a number");
    let number = |text: &str| text.replace(',', "").parse::<usize>().expect("a number");
    let recorded = number(recorded.split(' ').next_back().expect("a number"));
    assert_eq!(trace.events.len(), recorded - number(removed));
}

fn bytes_in(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| {
        let entry = entry.expect("an entry");
        match entry.metadata().expect("a file") {
            metadata if metadata.is_dir() => bytes_in(&entry.path()),
            metadata => metadata.len(),
        }
    });
    entries.sum()
}

#[test]
fn complete_chunks_are_read_while_recording_goes_on() {
    let running = endless(&[]);
    let complete = complete_chunks(&running.trace_dir());
    for chunk in &complete {
        let events = report(chunk, &[]).lines().count();
        assert_eq!(babeltrace(chunk), (events, 0));
    }
    // The folder as a whole has at least these.
    let (events, lost) = babeltrace(&running.trace_dir());
    let in_chunks: usize = complete.iter().map(|chunk| babeltrace(chunk).0).sum();
    assert!((events, lost) >= (in_chunks, 0));
    assert!(in_chunks > 1000);
    running.kill_group();
}

#[test]
fn a_killed_recorder_leaves_chunks_that_can_be_repaired() {
    let running = endless(&[]);
    running.signal(Signal::KILL);
    running.kill_group();
    let recording = running.wait();
    let trace = recording.trace_dir();
    let output = tracer(|tracer| tracer.arg("report").arg(trace));
    let events = crate::common::stdout(&output).lines().count();
    let repaired = tracer(|tracer| tracer.arg("repair").arg(trace));
    assert!(
        repaired.status.success(),
        "{}",
        crate::common::stderr(&repaired)
    );
    assert!(crate::common::stdout(&repaired).contains("completed the chunk"));
    assert_eq!(Trace::read_chunks(trace).events.len(), events);
    assert!(events > 1000);
}

#[test]
fn complete_chunks_may_be_taken_away() {
    let running = endless(&["--max-size", "1G"]);
    let shipped = running.folder().join("shipped");
    fs::create_dir(&shipped).unwrap();
    let [moved, removed, ..] = &complete_chunks(&running.trace_dir())[..] else {
        panic!("too few chunks");
    };
    let events = babeltrace(moved).0;
    fs::rename(moved, shipped.join("chunk")).unwrap();
    fs::remove_dir_all(removed).unwrap();
    running.signal(Signal::INT);
    let recording = running.wait();
    assert!(
        recording.stderr.contains("stopped by a signal"),
        "{}",
        recording.stderr
    );
    assert!(!recording.stderr.contains("error"), "{}", recording.stderr);
    Trace::read_chunks(recording.trace_dir());
    assert_eq!(babeltrace(&shipped).0, events);
}

#[test]
fn a_full_disk_ends_the_recording_and_leaves_chunks() {
    let endless = "while :; do \"$0\" --cpu 0 getppid 1000; done";
    let recorder =
        recorder(&["-C", "0", "--rotate-size", "128K"]).command(["sh", "-c", endless, &work()]);
    let folder = recorder.folder().display().to_string();
    let script = format!(
        "mkdir {folder}/trace && mount -t tmpfs -o size=1m tmpfs {folder}/trace
         status=0; \"$@\" || status=$?
         cp -r {folder}/trace {folder}/copy; exit $status"
    );
    let recording = recorder.in_mount_namespace(&script).run();
    let parts = [
        "No space left on device",
        "events could not be written, the trace up to that point is readable",
        "the trace could no longer be written",
    ];
    recording.assert_failed(1, &parts);
    let copy = recording.folder().join("copy");
    assert!(Trace::read_chunks(&copy).events.len() > 1000);
    assert!(chunks(&copy).len() > 2);
}

#[test]
fn a_trace_in_chunks_is_replaced_by_force() {
    let recorder = recorder(&["--force"]).command(["true"]);
    let chunk = recorder.trace_dir().join("chunk-000000-20261121T130532Z");
    fs::create_dir_all(&chunk).unwrap();
    fs::write(chunk.join("metadata"), "old").unwrap();
    let recording = recorder.run();
    recording.trace();
    assert!(!chunk.exists());
}

#[test]
fn under_sudo_complete_chunks_belong_to_the_caller() {
    use std::os::unix::fs::MetadataExt as _;

    let size = chunk_size();
    let recording = recorder(&["--rotate-size", &size])
        .command(work_words(&["getppid", &CALLS.to_string()]))
        .by_script("SUDO_UID=65534 SUDO_GID=65534 exec \"$@\"")
        .run();
    assert!(recording.status.success(), "{}", recording.stderr);
    let mut found = vec![recording.trace_dir().to_owned()];
    while let Some(path) = found.pop() {
        let entry = path.metadata().unwrap();
        assert_eq!(
            (entry.uid(), entry.gid()),
            (65534, 65534),
            "{}",
            path.display()
        );
        // Neither a folder nor a file is open to others.
        assert_eq!(entry.mode() & 0o077, 0, "{}", path.display());
        if entry.is_dir() {
            let entries = fs::read_dir(&path).unwrap();
            found.extend(entries.map(|entry| entry.unwrap().path()));
        }
    }
}

#[test]
fn chunks_need_a_folder() {
    for args in [["-o", "-"], ["--mode", "overwrite"]] {
        let output = tracer(|tracer| {
            tracer
                .args(["record", "--rotate-size", "1G", "-e", "syscall:getppid"])
                .args(args)
                .args(["--", "true"])
        });
        assert_eq!(output.status.code(), Some(1));
        let said = crate::common::stderr(&output);
        assert!(
            said.contains("--rotate-size, --rotate-time and --max-size need a trace folder"),
            "{said}"
        );
    }
}

#[test]
fn chunks_that_are_too_small_are_refused() {
    let refused = recorder(&["--rotate-size", "64K"]).command(["true"]).run();
    refused.assert_refused(&["a chunk of 64K is too small", "of at least"]);
}
