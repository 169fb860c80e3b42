//! Everything that this kernel can show, at once. Needs root.
//!
//! Detaching takes the kernel a good part of the time that all other tests take together
//! (tens of milliseconds for each of more than a thousand tracepoints), although the recorder has
//! returned: there is one test.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::recording::{Recorder, TRACER, leaves_nothing_attached};

#[test]
fn all_probes_at_once_are_recorded() {
    leaves_nothing_attached(|| {
        let start = Instant::now();
        // A state dump has classes that no probe has.
        let mut running = Recorder::new(&["-e", "*:*", "--duration", "1s", "--no-state-dump"])
            .command(["sh", "-c", ">attached; exec sleep 1000"])
            .start();
        // The command starts when everything is attached.
        running.wait_for_file("attached");
        let attached = start.elapsed();
        let recording = running.wait();
        println!(
            "attached after {attached:?}, returned after {:?}",
            start.elapsed()
        );
        let returned = start.elapsed().saturating_sub(attached);
        println!("{}", recording.stderr);
        let trace = recording.trace();
        assert!(trace.classes().len() > 50, "{:?}", trace.classes());
        assert!(attached < Duration::from_secs(20), "{attached:?}");
        // It records for 1 s; detaching takes more than a minute.
        assert!(returned < Duration::from_secs(15), "{returned:?}");
        // A system call is listed once, and has two classes.
        let metadata = fs::read_to_string(recording.trace_dir().join("metadata")).unwrap();
        let classes = metadata.matches("\nevent {\n").count();
        let listed = Command::new(TRACER).arg("list").output().unwrap();
        let listed = crate::common::stdout(&listed);
        let of_line = |line: &str| 1 + usize::from(line.starts_with("syscall:"));
        assert_eq!(classes, listed.lines().map(of_line).sum::<usize>());
    });
}
