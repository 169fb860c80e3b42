//! Processes that are followed, and commands that are recorded alone. Needs root.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::{Child, Command, Stdio};

use crate::common::recording::{
    Held, Recorder, Recording, leaves_nothing_attached, printed, wait_for, work, work_words,
};
use crate::common::trace::Trace;

const GETPPID: [&str; 2] = ["-e", "syscalls:sys_enter_getppid"];

/// `EXIT_DEAD | EXIT_ZOMBIE` (`include/linux/sched.h`).
const DEAD: i64 = 0x30;

/// How often each thread called getppid.
type Calls = BTreeMap<u32, u64>;

/// What the threads of the workload printed.
fn said_calls(output: &str) -> Calls {
    let lines = output.lines().filter(|line| line.starts_with("called "));
    lines
        .map(|line| (printed(line, "tid"), u64::from(printed(line, "called"))))
        .collect()
}

/// What is in a trace, of all processes.
fn recorded_calls(trace: &Trace) -> Calls {
    let mut calls = Calls::new();
    for event in trace.of("syscall_entry_getppid") {
        *calls.entry(event.tid).or_default() += 1;
    }
    calls
}

/// Records a workload that is there before, with what it starts, and nothing else.
fn followed(held: &Held, args: &[&str]) -> Recording {
    let pid = held.pid().to_string();
    Recorder::new(&[&GETPPID[..], &["-p", &pid], args].concat())
        .command(["sh", "-c", &held.script()])
        .run()
}

/// A process that calls getppid again and again, until this is dropped.
struct Noise(Child);

impl Noise {
    fn new() -> Self {
        let words = ["getppid", "18446744073709551615"];
        let child = Command::new(work())
            .args(words)
            .stdout(Stdio::null())
            .spawn();
        Self(child.expect("the workload"))
    }
}

impl Drop for Noise {
    fn drop(&mut self) {
        // An error means that it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn every_thread_of_every_descendant_is_followed() {
    let _noise = Noise::new();
    // 31 processes of two threads.
    let held = Held::new(&["tree", "4", "25"]);
    let recording = followed(&held, &["--follow"]);
    let trace = recording.trace();
    let calls = said_calls(&recording.stdout);
    assert_eq!(calls.len(), 62, "{}", recording.stdout);
    assert_eq!((recorded_calls(&trace), trace.lost), (calls, 0));
    assert!(!recording.stderr.contains("could not be followed"));
}

#[test]
fn without_follow_the_children_are_left_out() {
    let held = Held::new(&["tree", "1", "25"]);
    let recording = followed(&held, &[]);
    let trace = recording.trace();
    let pids: BTreeSet<u32> = trace.events.iter().map(|event| event.pid).collect();
    assert_eq!(pids, [held.pid()].into());
    assert_eq!(trace.events.len(), 50);
}

#[test]
fn a_process_is_followed_beyond_its_first_thread() {
    let held = Held::new(&["leaderless", "40"]);
    let recording = followed(&held, &["--follow"]);
    let calls = said_calls(&recording.stdout);
    assert_eq!(calls.len(), 2, "{}", recording.stdout);
    assert!(!calls.contains_key(&held.pid()));
    assert_eq!(recorded_calls(&recording.trace()), calls);
}

#[test]
fn the_exit_of_followed_processes_is_recorded() {
    let held = Held::new(&["tree", "2", "1"]);
    let pid = held.pid().to_string();
    let probes = "sched:sched_process_exit,sched:sched_switch";
    let recording = Recorder::new(&["-e", probes, "-p", &pid, "--follow"])
        .command(["sh", "-c", &held.script()])
        .run();
    let trace = recording.trace();
    let threads: BTreeSet<u32> = said_calls(&recording.stdout).into_keys().collect();
    let ended = |name| -> BTreeSet<u32> { trace.of(name).map(|event| event.tid).collect() };
    // The one that was held may still run when the recording ends.
    let without_first = |mut threads: BTreeSet<u32>| {
        threads.retain(|tid| *tid != held.pid());
        threads
    };
    assert_eq!(
        without_first(ended("sched_process_exit")),
        without_first(threads.clone())
    );
    // Its last switch comes later than its exit.
    let dead = trace
        .of("sched_switch")
        .filter(|event| event.number("prev_state") & DEAD != 0);
    let dead: BTreeSet<u32> = dead.map(|event| event.tid).collect();
    assert_eq!(without_first(dead), without_first(threads));
}

#[test]
fn a_thread_is_followed_when_it_takes_the_number_of_its_process() {
    let folder = tempfile::tempdir().unwrap();
    let mut held = Command::new(work())
        .args(["thread-exec", "30"])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let pid = held.id();
    let tid: u32 = wait_for("the second thread", || {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        let mut ids = tasks.map(|task| task.unwrap().file_name().into_string().unwrap());
        ids.find(|id| *id != pid.to_string())
            .map(|id| id.parse().unwrap())
    });
    let running = Recorder::new(&[&GETPPID[..], &["-p", &tid.to_string(), "--follow"]].concat())
        .command([
            "sh".into(),
            "-c".into(),
            format!(">{}/begin; cat", folder.path().display()),
        ]);
    // The command ends when its input does, which is when the workload has ended.
    let (reader, writer) = std::io::pipe().unwrap();
    let waiter = std::thread::spawn(move || {
        held.wait().unwrap();
        drop(writer);
    });
    let recording = running.run_with_input(reader.into());
    waiter.join().unwrap();
    assert_eq!(recorded_calls(&recording.trace()), [(pid, 30)].into());
}

#[test]
fn a_number_that_is_given_again_is_not_followed() {
    let mut held = Held::new(&["getppid", "20"]);
    let pid = held.pid();
    let work = work();
    let script = format!(
        "{}; >ended; while [ -e /proc/{pid} ]; do sleep 0.01; done; {work} reborn {pid} 50",
        held.script()
    );
    let named = pid.to_string();
    let args = [&GETPPID[..], &["-p", &named, "--follow"]].concat();
    let mut running = Recorder::new(&args).command(["sh", "-c", &script]).start();
    running.wait_for_file("ended");
    held.reap();
    let recording = running.wait();
    assert!(
        recording.stdout.contains(&format!("called 50 pid {pid}")),
        "{}",
        recording.stdout
    );
    assert_eq!(recorded_calls(&recording.trace()), [(pid, 20)].into());
}

#[test]
fn processes_that_do_not_fit_are_reported() {
    let held = Held::new(&["tree", "3", "5"]);
    let recording = followed(&held, &["--follow", "--max-followed", "2"]);
    let calls = said_calls(&recording.stdout);
    let recorded = recorded_calls(&recording.trace());
    assert!(
        recorded.len() < calls.len(),
        "all of {calls:?} were followed"
    );
    assert!(recorded.iter().all(|(tid, count)| calls[tid] == *count));
    let said = "could not be followed: more than 2 at a time; try --max-followed 8";
    assert!(recording.stderr.contains(said), "{}", recording.stderr);
}

#[test]
fn a_command_is_recorded_alone() {
    let _noise = Noise::new();
    let recording = Recorder::new(&["--only-command", "-e", "syscall:getppid"])
        .command(work_words(&["getppid", "100"]))
        .run();
    let trace = recording.trace();
    let pid = printed(&recording.stdout, "pid");
    let names = ["syscall_entry_getppid", "syscall_exit_getppid"];
    assert_eq!(names.map(|name| trace.count(name, pid)), [100, 100]);
    assert_eq!(trace.events.len(), 200);
}

#[test]
fn a_command_is_recorded_with_all_that_it_starts() {
    let _noise = Noise::new();
    let recording = Recorder::new(&[&GETPPID[..], &["--only-command"]].concat())
        .command(work_words(&["tree", "3", "10"]))
        .run();
    let calls = said_calls(&recording.stdout);
    assert_eq!(calls.len(), 30, "{}", recording.stdout);
    assert_eq!(recorded_calls(&recording.trace()), calls);
}

#[test]
fn a_command_is_recorded_from_its_exec_on() {
    let probes = "syscall:execve,sched:sched_process_exec,sched:sched_process_fork,syscall:fcntl,\
                  syscall:rt_sigaction,syscall:rt_sigprocmask,syscall:bpf,syscall:prlimit64";
    let recording = Recorder::new(&["--only-command", "-e", probes])
        .command(work_words(&["getppid", "1"]))
        .run();
    let trace = recording.trace();
    let pid = printed(&recording.stdout, "pid");
    assert!(trace.events.iter().all(|event| event.pid == pid));
    let first: Vec<&str> = trace
        .events
        .iter()
        .take(2)
        .map(|event| event.name.as_str())
        .collect();
    assert_eq!(first, ["sched_process_exec", "syscall_exit_execve"]);
    assert_eq!(trace.of("syscall_entry_execve").count(), 0);
}

#[test]
fn a_command_and_a_process_can_be_recorded_together() {
    let held = Held::new(&["getppid", "70"]);
    let args = ["--only-command", "-p", &held.pid().to_string()];
    let recording = Recorder::new(&[&GETPPID[..], &args].concat())
        .command(["sh", "-c", &held.script()])
        .run();
    assert_eq!(
        recorded_calls(&recording.trace()).get(&held.pid()),
        Some(&70)
    );
}

#[test]
fn processes_that_cannot_be_followed_are_refused() {
    let refused = |args: &[&str], command: &[&str], parts: &[&str]| {
        leaves_nothing_attached(|| {
            let recorder = Recorder::new(&[&GETPPID[..], args].concat());
            recorder.command(command).run().assert_refused(parts);
        });
    };
    let without_start = [
        "--follow needs a process to start from",
        "--pid",
        "--only-command",
    ];
    refused(&["--follow"], &["true"], &without_start);
    let without_command = ["--only-command needs a command", "after `--`"];
    refused(&["--only-command"], &[], &without_command);
}

#[test]
fn a_recording_that_follows_leaves_nothing_attached() {
    leaves_nothing_attached(|| {
        let recording = Recorder::new(&[&GETPPID[..], &["--only-command"]].concat())
            .command(work_words(&["getppid", "1"]))
            .run();
        assert_eq!(recording.trace().events.len(), 1);
    });
}
