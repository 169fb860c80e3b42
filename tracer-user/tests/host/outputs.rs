//! Recordings through each sink, killed recorders, and pipes and connections to the next
//! program. Needs root.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::{env, fs, thread};

use tracer::record::control::RUNTIME_DIR_VARIABLE;
use tracer::trace::ctf::{PacketHeader, index};
use tracer::trace::folder::frames::{Unpacked, unpack};

use crate::on_disk::{folder, run};

const TRACER: &str = env!("CARGO_BIN_EXE_tracer");

/// Buffers that lose nothing, even on a busy machine.
const LARGE: [&str; 2] = ["--buffer-size", "64M"];

/// `tracer record` of many events of a known kind.
fn record(args: &[&str], calls: u32) -> Command {
    record_command(args, &[&work(), "getppid", &calls.to_string()])
}

fn record_command(args: &[&str], words: &[&str]) -> Command {
    let mut command = Command::new(TRACER);
    command
        .arg("record")
        .args(args)
        .args(["-e", "syscall:getppid", "--"])
        .args(words);
    command
}

fn work() -> String {
    env::var("TRACER_WORK").expect("`cargo xtask test --tier host` names the workload")
}

/// The number of events in the summary.
fn recorded(summary: &[u8]) -> usize {
    let summary = String::from_utf8_lossy(summary);
    let number = summary
        .split_once("recorded ")
        .and_then(|(_, rest)| rest.split_once(' '))
        .unwrap_or_else(|| panic!("no number in: {summary}"));
    number.0.replace(',', "").parse().unwrap()
}

/// The events in a text of one line for each; a loss has a line, too.
fn events(text: &[u8]) -> usize {
    String::from_utf8_lossy(text)
        .lines()
        .filter(|line| line.contains("getppid"))
        .count()
}

#[test]
fn a_recording_through_each_sink_is_read_by_babeltrace2() {
    for (name, way) in [
        ("direct", "O_DIRECT splice"),
        ("splice", "buffered splice"),
        ("copy", "copy"),
    ] {
        let folder = folder();
        let trace = folder.path().join("trace");
        let trace = trace.to_str().unwrap();
        let output = run(&mut record(
            &["-o", trace, "--sink", name, LARGE[0], LARGE[1]],
            50_000,
        ));
        let summary = String::from_utf8_lossy(&output.stderr);
        assert!(
            summary.contains(&format!("written by {way}\n")),
            "{summary}"
        );
        let read = run(Command::new("babeltrace2").arg(trace));
        assert_eq!(String::from_utf8_lossy(&read.stderr), "");
        assert!(recorded(&output.stderr) >= 100_000);
        assert_eq!(events(&read.stdout), recorded(&output.stderr));
    }
}

#[test]
fn the_index_of_a_recording_has_the_offsets_of_its_packets() {
    let folder = folder();
    let trace = folder.path().join("trace");
    let args = ["-o", trace.to_str().unwrap(), "--subbuf-size", "64K"];
    run(&mut record(&args, 50_000));
    let mut packets = 0;
    for entry in fs::read_dir(trace.join(index::FOLDER_NAME)).unwrap() {
        let path = entry.unwrap().path();
        let stream = fs::read(trace.join(path.file_stem().unwrap())).unwrap();
        let mut end = 0;
        for entry in index::parse(&fs::read(&path).unwrap()).unwrap() {
            assert_eq!(entry.offset, end);
            let header = PacketHeader::parse(&stream[end as usize..]).unwrap();
            assert_eq!(index::IndexEntry::new(end, &header), entry);
            end += header.packet_len();
            packets += 1;
        }
        assert_eq!(end, stream.len() as u64);
    }
    assert!(packets > 10);
}

#[test]
fn a_recording_can_be_replaced_with_its_index() {
    let folder = folder();
    let trace = folder.path().join("trace");
    let trace = trace.to_str().unwrap();
    run(&mut record(&["-o", trace], 100));
    run(&mut record(&["-o", trace, "--force"], 100));
    // Some CPU has had nothing to record: an empty stream with an empty index.
    let read = run(Command::new("babeltrace2").arg(trace));
    assert_eq!(String::from_utf8_lossy(&read.stderr), "");
}

#[test]
fn a_killed_recorder_leaves_whole_packets_and_at_most_a_part_of_one() {
    for name in ["direct", "splice", "copy"] {
        let folder = folder();
        let trace = folder.path().join("trace");
        let args = ["--sink", name, "--subbuf-size", "64K", LARGE[0], LARGE[1]];
        // As many as the ring has room for, since none may be lost; it is killed long before.
        let script = "\"$0\" getppid 800000; exec sleep 1000";
        let mut recorder = record_command(
            &[&["-o", trace.to_str().unwrap()], &args[..]].concat(),
            &["sh", "-c", script, &work()],
        )
        .process_group(0)
        // It leaves its socket.
        .env(RUNTIME_DIR_VARIABLE, folder.path().join("run"))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
        wait_for_bytes(&trace, 2 << 20, &mut recorder);
        // Its command as well, which would go on.
        let group = rustix::process::Pid::from_child(&recorder);
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
        recorder.wait().unwrap();
        let repaired = run(Command::new(TRACER).arg("repair").arg(&trace));
        for entry in tracer::trace::folder::Trace::open(&trace)
            .unwrap()
            .stream_files()
        {
            let len = entry.metadata().unwrap().len();
            assert_eq!(len % 4096, 0, "{entry:?} {repaired:?}");
        }
        let read = run(Command::new("babeltrace2").arg(&trace));
        assert_eq!(String::from_utf8_lossy(&read.stderr), "");
        assert!(events(&read.stdout) > 1000);
    }
}

/// Waits until the streams of a recording have so many bytes; looks on, since a file gives
/// no event that could be awaited without inotify.
fn wait_for_bytes(trace: &Path, wanted: u64, recorder: &mut Child) {
    loop {
        let bytes: u64 = fs::read_dir(trace)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("channel"))
            .map(|entry| entry.metadata().unwrap().len())
            .sum();
        if bytes >= wanted {
            return;
        }
        assert!(recorder.try_wait().unwrap().is_none(), "the recorder ended");
        std::thread::yield_now();
    }
}

/// Runs `tracer record` with its trace going to `tracer report -`; gives both outputs.
fn piped(recorder: &mut Command, into: impl FnOnce(&mut Child) -> Stdio) -> (Output, Output) {
    let mut recorder = recorder.stderr(Stdio::piped()).spawn().unwrap();
    let input = into(&mut recorder);
    let report = Command::new(TRACER)
        .args(["report", "-"])
        .stdin(input)
        .output()
        .unwrap();
    (recorder.wait_with_output().unwrap(), report)
}

#[test]
fn standard_output_takes_a_trace_to_the_next_program() {
    let mut command = record(&["-o", "-"], 50_000);
    let (recorder, report) = piped(command.stdout(Stdio::piped()), |recorder| {
        recorder.stdout.take().unwrap().into()
    });
    assert!(recorder.status.success(), "{recorder:?}");
    assert_eq!(String::from_utf8_lossy(&report.stderr), "");
    assert_eq!(events(&report.stdout), recorded(&recorder.stderr));
    // What the workload prints is not in the trace's way.
    assert!(String::from_utf8_lossy(&recorder.stderr).contains("getppid"));
}

#[test]
fn a_fifo_takes_a_trace_to_the_next_program() {
    let folder = folder();
    let fifo = folder.path().join("fifo");
    run(Command::new("mkfifo").arg(&fifo));
    let mut command = record(&["-o", fifo.to_str().unwrap()], 50_000);
    let (recorder, report) = piped(command.stdout(Stdio::null()), |_| {
        fs::File::open(&fifo).unwrap().into()
    });
    assert!(recorder.status.success(), "{recorder:?}");
    assert_eq!(events(&report.stdout), recorded(&recorder.stderr));
}

/// Somebody who listens for one trace; gives the address, and later what came.
fn listener(into: &Path) -> (String, thread::JoinHandle<Unpacked>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    let into = into.to_owned();
    let unpacked = thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        unpack(&mut connection, &into).unwrap()
    });
    (address, unpacked)
}

#[test]
fn a_connection_takes_a_trace_to_another_machine() {
    let folder = folder();
    let (address, unpacked) = listener(folder.path());
    let recorder = run(&mut record(&["-o", &address, LARGE[0], LARGE[1]], 50_000));
    assert!(unpacked.join().unwrap().complete);
    let read = run(Command::new("babeltrace2").arg(folder.path()));
    assert_eq!(String::from_utf8_lossy(&read.stderr), "");
    assert!(recorded(&recorder.stderr) >= 100_000);
    assert_eq!(events(&read.stdout), recorded(&recorder.stderr));
    let summary = String::from_utf8_lossy(&recorder.stderr);
    assert!(summary.contains("to a socket"), "{summary}");
}

#[test]
fn a_peer_that_goes_ends_the_recording() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    let recorder = record(&["-o", &address], u32::MAX)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut some = vec![0; 100_000];
    let (mut connection, _) = listener.accept().unwrap();
    connection.read_exact(&mut some).unwrap();
    drop(connection);
    let output = recorder.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(&address), "{said}");
    assert!(said.contains("its reader has closed it"), "{said}");
}

#[test]
fn nothing_is_recorded_without_a_receiver() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    drop(listener);
    let output = record(&["-o", &address], 1).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("start the receiver first"), "{said}");
}

#[test]
fn a_slow_reader_causes_losses_that_are_counted() {
    let mut recorder = record(&["-o", "-", "--buffer-size", "64K"], 300_000)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The command prints when it has called all it had to, and nothing was read till then.
    let mut said = BufReader::new(recorder.stderr.take().unwrap());
    let mut work = String::new();
    said.read_line(&mut work).unwrap();
    let report = Command::new(TRACER)
        .args(["report", "-"])
        .stdin(recorder.stdout.take().unwrap())
        .output()
        .unwrap();
    let mut summary = Vec::new();
    said.read_to_end(&mut summary).unwrap();
    assert!(recorder.wait().unwrap().success());
    assert_eq!(events(&report.stdout), recorded(&summary));
    let summary = String::from_utf8_lossy(&summary);
    assert!(!summary.contains("lost 0 events"), "{summary}");
}

#[test]
fn a_reader_that_goes_ends_the_recording() {
    let mut recorder = record(&["-o", "-"], u32::MAX)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut some = vec![0; 100_000];
    recorder
        .stdout
        .take()
        .unwrap()
        .read_exact(&mut some)
        .unwrap();
    let output = recorder.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("its reader has closed it"), "{said}");
}

#[test]
fn a_trace_is_not_written_to_a_terminal() {
    let output = Command::new("script")
        .args(["--quiet", "--return", "--command"])
        .arg(format!(
            "{TRACER} record -o - -e sched:sched_switch --duration 10ms"
        ))
        .arg("/dev/null")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("pipe it into `tracer report -`"), "{said}");
    assert_eq!(output.status.code(), Some(1));
}
