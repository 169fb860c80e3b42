//! Other users of the same events: what they count and sample beside a recorder. Needs root and
//! perf.

use std::fs;
use std::path::Path;

use crate::common::recording::{Recorder, Recording, printed};

const FORKS: u32 = 50;

/// A shell that forks [`FORKS`] times, run by `perf`, in a script that prints the shell's id and
/// what perf counted.
fn forks_beside(perf: &str) -> Recording {
    let forks = format!("echo pid $$; i=0; while [ $i -lt {FORKS} ]; do (:); i=$((i + 1)); done");
    let script = format!("{perf} -- sh -c '{forks}'");
    Recorder::new(&["-e", "sched:sched_process_fork"])
        .command(["sh", "-ec", &script])
        .run()
}

#[track_caller]
fn assert_recorded(recording: &Recording) {
    let pid = printed(&recording.stdout, "pid");
    let count = recording.trace().count("sched_process_fork", pid);
    assert_eq!(count, FORKS as usize);
}

#[test]
fn perf_counts_the_events_that_are_recorded() {
    let recording = forks_beside("perf stat -x, -o counts -e sched:sched_process_fork");
    assert_recorded(&recording);
    assert_eq!(counted(&recording.folder().join("counts")), FORKS);
}

/// The only count in the output of `perf stat -x,`.
fn counted(path: &Path) -> u32 {
    let text = fs::read_to_string(path).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| line.contains(",,")).collect();
    let [line] = lines[..] else {
        panic!("not one line: {text}");
    };
    line.split(',').next().unwrap().parse().unwrap()
}

#[test]
fn perf_samples_the_events_that_are_recorded() {
    let recording = forks_beside("perf record -q -c 1 -o samples -e sched:sched_process_fork");
    assert_recorded(&recording);
    let script = std::process::Command::new("perf")
        .args(["script", "-F", "event", "-i"])
        .arg(recording.folder().join("samples"))
        .output()
        .unwrap();
    let text = crate::common::stdout(&script);
    assert_eq!(text.matches("sched_process_fork").count(), FORKS as usize);
}

/// Also events that a filter rejects.
#[test]
fn perf_counts_the_events_that_are_not_recorded() {
    let perf = "perf stat -x, -o counts -e sched:sched_process_fork";
    let script = format!("{perf} -- sh -c 'i=0; while [ $i -lt 5 ]; do (:); i=$((i + 1)); done'");
    for args in [
        &["-e", "sched:sched_process_fork", "-f", "child_tid == 0"][..],
        &["-e", "sched:sched_process_fork", "-p", "1"],
        &["-e", "sched:sched_process_fork", "--every", "1000000"],
    ] {
        let recording = Recorder::new(args).command(["sh", "-ec", &script]).run();
        assert!(recording.status.success(), "{}", recording.stderr);
        assert_eq!(counted(&recording.folder().join("counts")), 5, "{args:?}");
    }
}
