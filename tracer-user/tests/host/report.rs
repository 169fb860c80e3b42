//! `tracer report` of traces that were just recorded. Needs root.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::{fs, thread};

use crate::common::recording::{Recorder, TRACER, printed, work, work_words};
use crate::common::trace::Trace;

const PROBE: [&str; 2] = ["-e", "syscall:getppid"];

/// The names of a thread in a trace.
fn names(trace: &Trace, tid: u32) -> BTreeSet<&str> {
    let of_thread = trace.events.iter().filter(|event| event.tid == tid);
    of_thread.map(|event| event.comm.as_str()).collect()
}

fn this_thread() -> u32 {
    let link = fs::read_link("/proc/thread-self").unwrap();
    link.file_name().unwrap().to_str().unwrap().parse().unwrap()
}

#[test]
fn threads_that_were_there_before_have_their_names() {
    let (begin, order) = mpsc::channel();
    let caller = thread::Builder::new().name("there before".to_owned());
    let caller = caller
        .spawn(move || {
            order.recv().unwrap();
            let _ = rustix::process::getppid();
            this_thread()
        })
        .unwrap();
    let mut running = Recorder::new(&PROBE)
        .command(["sh", "-ec", "mkfifo end; >ready; read word <end"])
        .start();
    running.wait_for_file("ready");
    begin.send(()).unwrap();
    let tid = caller.join().unwrap();
    fs::write(running.folder().join("end"), "\n").unwrap();
    let trace = running.wait().trace();
    assert_eq!(names(&trace, tid), ["there before"].into());
}

#[test]
fn a_command_that_was_forked_and_executed_has_its_name() {
    let recording = Recorder::new(&PROBE)
        .command(["sh", "-c", "\"$0\" getppid 100; true", &work()])
        .run();
    let trace = recording.trace();
    let tid = printed(&recording.stdout, "tid");
    assert_eq!(names(&trace, tid), ["work"].into());
}

#[test]
fn a_thread_has_the_name_that_it_had_at_the_time() {
    // A shell asks for its parent when it starts, and then becomes the workload.
    let recording = Recorder::new(&PROBE)
        .command(["sh", "-c", "exec \"$0\" getppid 100", &work()])
        .run();
    let trace = recording.trace();
    let tid = printed(&recording.stdout, "tid");
    assert_eq!(names(&trace, tid), ["sh", "work"].into());
}

#[test]
fn a_closed_pipe_ends_the_report_quietly() {
    let recording = Recorder::new(&PROBE)
        .command(work_words(&["getppid", "50000"]))
        .run();
    recording.trace();
    let mut report = Command::new(TRACER)
        .arg("report")
        .arg(recording.trace_dir())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    let mut reader = BufReader::new(report.stdout.take().unwrap());
    reader.read_line(&mut first).unwrap();
    drop(reader);
    let output = report.wait_with_output().unwrap();
    assert!(first.contains("getppid"), "{first}");
    assert!(output.status.success(), "{}", output.status);
    assert_eq!(crate::common::stderr(&output), "");
}

/// A trace shows what others do.
#[test]
fn a_trace_is_closed_to_others() {
    use std::os::unix::fs::PermissionsExt as _;
    let recording = Recorder::new(&PROBE).command(["true"]).run();
    recording.trace();
    let folders = [
        recording.trace_dir().to_owned(),
        recording.trace_dir().join("index"),
    ];
    for folder in folders {
        let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700, "{}", folder.display());
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                assert_eq!(mode(&path), 0o600, "{}", path.display());
            }
        }
    }
}
