//! Sub-buffers between ring and file: what waits, what is overwritten, and what pages it
//! takes. Needs root.

use std::path::Path;
use std::process::{self, Command};
use std::{fs, thread};

use rustix::thread::{CpuSet, sched_setaffinity};
use serde_json::Value;
use tracer::record::control::RUNTIME_DIR_VARIABLE;

use crate::common::recording::{Held, Recorder, Recording, TRACER, printed, wait_for, work};
use crate::common::stdout;

const ENTRY: &str = "syscall_entry_getppid";

/// `__GFP_FS` of the kernel's `gfp_types.h`: file systems allocate without it what they need
/// for themselves.
const GFP_FS: i64 = 0x80;

/// The number before `word` in the summary.
fn number_before(recording: &Recording, word: &str) -> u64 {
    let words: Vec<&str> = recording.stderr.split_ascii_whitespace().collect();
    let at = words.iter().position(|found| found.starts_with(word));
    at.and_then(|at| {
        words[at - 1]
            .trim_matches('(')
            .replace(',', "")
            .parse()
            .ok()
    })
    .unwrap_or_else(|| panic!("no number before `{word}` in: {}", recording.stderr))
}

/// Pages that the kernel allocated for a recorder while thousands of sub-buffers went through
/// it, and how many packets it wrote in all.
struct Allocations {
    of_recorder: usize,
    of_file_system: usize,
    packets: u64,
}

fn allocations(args: &[&str]) -> Allocations {
    // With those before, the ring has room for all of them: none is lost to a slow disk.
    const CALLS: &str = "600000";
    let args = [
        &["-e", "syscall:getppid", "--sink", "direct", "--stats"][..],
        &["--subbuf-size", "32K", "--subbuf-count", "64", "-C", "1"],
        &["--buffer-size", "64M"],
        args,
    ]
    .concat();
    let work = work();
    // The first lap of all buffers is made before anybody looks; and nobody looks any more
    // when the recorder ends.
    let script = format!(
        "mkfifo begin done end
         {work} --cpu 1 getppid 300000 >warm.part && mv warm.part warm
         read word <begin; {work} --cpu 1 getppid {CALLS}; echo >done; read word <end"
    );
    let mut recorder = Recorder::on_disk(&args)
        .command(["sh", "-ec", &script])
        .start();
    recorder.wait_for_file("warm");
    let pid = recorder.pid();
    let folder = recorder.folder().to_owned();
    let watch = format!("cd {}; echo >begin; read word <done", folder.display());
    let watching = Recorder::new(&["-e", "kmem:mm_page_alloc", "-p", &pid.to_string()])
        .command(["sh", "-ec", &watch])
        .run();
    fs::write(folder.join("end"), "\n").expect("a shell that reads");
    let recording = recorder.wait();
    assert!(recording.status.success(), "{}", recording.stderr);
    let watched = watching.trace();
    let pages = || watched.events.iter().filter(|event| event.pid == pid);
    let of_recorder = pages()
        .filter(|event| event.number("gfp_flags") & GFP_FS != 0)
        .count();
    Allocations {
        of_recorder,
        of_file_system: pages().count() - of_recorder,
        packets: number_before(&recording, "packets"),
    }
}

#[test]
fn a_steady_recording_allocates_no_pages() {
    let found = allocations(&[]);
    assert!(found.packets > 1000, "{}", found.packets);
    assert!(found.of_recorder <= 4, "{}", found.of_recorder);
    assert!(
        (found.of_file_system as u64) < found.packets / 50,
        "{} for {} packets",
        found.of_file_system,
        found.packets
    );
}

#[test]
fn without_reuse_each_packet_allocates_its_pages() {
    let found = allocations(&["--no-page-reuse"]);
    assert!(
        found.of_recorder as u64 > found.packets,
        "{} for {} packets",
        found.of_recorder,
        found.packets
    );
}

/// In overwrite mode only the content of memory at the end is written.
const FLIGHT: [&str; 6] = [
    "--mode",
    "overwrite",
    "-e",
    "syscalls:sys_enter_getppid",
    "--subbuf-size",
    "32K",
];

#[test]
fn memory_that_holds_everything_gives_everything() {
    let held = Held::new(&["--cpu", "0", "getppid", "10000"]);
    let recording = Recorder::new(&[&FLIGHT[..], &["-p", &held.pid().to_string()]].concat())
        .command(["sh", "-c", &held.script()])
        .run();
    assert_eq!(printed(&recording.stdout, "getppid"), 10_000);
    let trace = recording.trace();
    assert_eq!((trace.of(ENTRY).count(), trace.lost), (10_000, 0));
    assert!(
        !recording.stderr.contains("overwrote"),
        "{}",
        recording.stderr
    );
}

/// The events that the only recorder with sockets in `folder` has taken from its rings.
fn taken(folder: &Path) -> Option<u64> {
    let output = Command::new(TRACER)
        .args(["sessions", "--json"])
        .env(RUNTIME_DIR_VARIABLE, folder.join("run"))
        .output()
        .expect("the built tracer");
    serde_json::from_str::<Value>(&stdout(&output)).ok()?["events"].as_u64()
}

fn call_on_cpu_0(calls: u64) {
    let calling = thread::spawn(move || {
        let mut cpus = CpuSet::new();
        cpus.set(0);
        sched_setaffinity(None, &cpus).expect("CPU 0");
        for _ in 0..calls {
            let _ = rustix::process::getppid();
        }
    });
    calling.join().expect("a thread that only calls");
}

#[test]
fn memory_that_is_too_small_gives_the_latest() {
    // The ring is as small as the memory, and has room for those of one round.
    const ROUNDS: u64 = 8;
    const CALLS: u64 = 6000;
    let pid = process::id().to_string();
    let args = ["--buffer-size", "256K", "-C", "0", "-p", &pid];
    let mut running = Recorder::new(&[&FLIGHT[..], &args].concat())
        .command(["sh", "-ec", "mkfifo end; >ready; read word <end"])
        .start();
    running.wait_for_file("ready");
    for round in 1..=ROUNDS {
        call_on_cpu_0(CALLS);
        wait_for("the events of a round", || {
            (taken(running.folder()) == Some(round * CALLS)).then_some(())
        });
    }
    fs::write(running.folder().join("end"), "\n").expect("a shell that reads");
    let recording = running.wait();

    let trace = recording.trace();
    let kept = trace.events.len() as u64;
    assert_eq!(
        number_before(&recording, "overwritten") + kept,
        ROUNDS * CALLS
    );
    assert_eq!(number_before(&recording, "events"), ROUNDS * CALLS);
    // Eight sub-buffers of 32K with 24 bytes for each event, one of them may be new.
    let in_one = (32 * 1024 - 88) / 24;
    assert!((7 * in_one..=8 * in_one).contains(&kept), "{kept}");
    assert_eq!(trace.lost, 0);
}
