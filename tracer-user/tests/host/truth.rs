//! What fired, what was recorded and what was lost add up, exactly. Needs root.

use crate::common::recording::{Held, Recorder, Recording, printed, work_words};

/// `getppid` in the kernel's table.
const GETPPID: i64 = 110;
const CALLS: u32 = 100_000;
const ENTRY: &str = "syscall_entry_getppid";
const EXIT: &str = "syscall_exit_getppid";

/// The number before `name` in the list of classes, and the number of lost events after it.
fn in_summary(recording: &Recording, name: &str) -> (u64, u64) {
    let number = |text: &str| text.replace(',', "").parse::<u64>().unwrap();
    let line = recording
        .stderr
        .lines()
        .find(|line| line.split_ascii_whitespace().nth(1) == Some(name))
        .unwrap_or_else(|| panic!("no {name} in: {}", recording.stderr));
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let lost = words
        .get(2)
        .map(|word| number(word.trim_start_matches('(')));
    (number(words[0]), lost.unwrap_or(0))
}

#[test]
fn with_ample_buffers_every_call_is_recorded() {
    let count = CALLS.to_string();
    let recording = Recorder::new(&["--buffer-size", "64M", "-e", "syscall:getppid"])
        .command(work_words(&["--cpu", "0", "getppid", &count]))
        .run();
    let trace = recording.trace();
    let pid = printed(&recording.stdout, "pid");
    let counts = (trace.count(ENTRY, pid), trace.count(EXIT, pid), trace.lost);
    assert_eq!(counts, (CALLS as usize, CALLS as usize, 0));
    assert!(recording.stderr.contains("lost 0 events"));
}

#[test]
fn the_raw_event_of_every_call_is_recorded() {
    let held = Held::new(&["--cpu", "0", "getppid", &CALLS.to_string()]);
    // With room for all of them.
    let args = ["--buffer-size", "64M", "-p", &held.pid().to_string()];
    let recording = Recorder::new(&[&args[..], &["-e", "raw_syscalls:sys_enter"]].concat())
        .command(["sh", "-c", &held.script()])
        .run();
    let trace = recording.trace();
    let calls = trace
        .of("raw_syscalls:sys_enter")
        .filter(|event| event.number("id") == GETPPID)
        .count();
    assert_eq!((calls, trace.lost), (CALLS as usize, 0));
}

#[test]
fn with_tiny_buffers_recorded_and_lost_calls_are_all_calls() {
    let held = Held::new(&["--cpu", "0", "getppid", &CALLS.to_string()]);
    let args = ["--buffer-size", "4K", "-p", &held.pid().to_string()];
    let recording = Recorder::new(&[&args[..], &["-e", "syscall:getppid"]].concat())
        .command(["sh", "-c", &held.script()])
        .run();
    let trace = recording.trace();
    let classes = [ENTRY, EXIT].map(|name| {
        let (recorded, lost) = in_summary(&recording, name);
        assert_eq!(recorded as usize, trace.count(name, held.pid()), "{name}");
        (recorded + lost, lost)
    });
    let calls = u64::from(CALLS);
    assert_eq!(classes.map(|(fired, _)| fired), [calls, calls]);
    let lost = classes[0].1 + classes[1].1;
    assert_eq!(trace.lost, lost, "by the trace and by the summary");
    assert!(lost > 1000, "only {lost} were lost: the test shows little");
}

/// A recorder that is stopped cannot empty its buffers: what they hold is recorded, all else
/// is lost.
#[test]
fn a_starved_recorder_counts_the_events_it_misses() {
    let held = Held::new(&["--cpu", "0", "getppid", &CALLS.to_string()]);
    let script = format!("kill -STOP $PPID; {}; kill -CONT $PPID", held.script());
    let args = ["--buffer-size", "64K", "-p", &held.pid().to_string()];
    let recording = Recorder::new(&[&args[..], &["-e", "syscalls:sys_enter_getppid"]].concat())
        .command(["sh", "-c", &script])
        .run();
    let trace = recording.trace();
    let recorded = trace.events.len() as u64;
    assert_eq!(recorded + trace.lost, u64::from(CALLS));
    // An event of 24 bytes takes 32 of the ring.
    assert!((1..=64 * 1024 / 32).contains(&recorded), "{recorded}");
    let advice = "its buffer was full; try --buffer-size 256K";
    assert!(recording.stderr.contains(advice), "{}", recording.stderr);
}
