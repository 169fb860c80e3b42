//! What cannot be recorded is refused with a message, and leaves nothing.
//! Needs root.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use crate::common::recording::{
    NOBODY, Recorder, TRACER, files, leaves_nothing_attached, printed, work_words,
};
use crate::common::trace::Trace;

const PROBE: [&str; 2] = ["-e", "syscall:getppid"];

/// The recorder prints all of `parts`, fails, and leaves neither a folder nor a program.
fn assert_refused(recorder: Recorder, parts: &[&str]) {
    leaves_nothing_attached(|| recorder.command(["true"]).run().assert_refused(parts));
}

fn assert_probe_refused(probe: &str, parts: &[&str]) {
    assert_refused(Recorder::new(&["-e", probe]), parts);
}

/// The command line is refused, with the status that clap has for that.
fn assert_misused(args: &[&str], parts: &[&str]) {
    let recording = Recorder::new(args).command(["true"]).run();
    recording.assert_failed(2, parts);
    assert!(!recording.trace_dir().exists());
}

/// Records into a folder that exists and holds `files`.
fn into_folder_with(files: &[&str], args: &[&str]) -> crate::common::recording::Recording {
    let recorder = Recorder::new(&[&PROBE[..], args].concat()).command(["sh", "-c", "true"]);
    fs::create_dir(recorder.trace_dir()).unwrap();
    for name in files {
        fs::write(recorder.trace_dir().join(name), name).unwrap();
    }
    recorder.run()
}

#[test]
fn without_privileges_the_way_out_is_named() {
    // The folder of the build may be closed to others.
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let copy = folder.path().join("tracer");
    fs::copy(TRACER, &copy).unwrap();
    let output = Command::new(&copy)
        .args([
            "record",
            "-o",
            "trace",
            "-e",
            "syscall:getppid",
            "--",
            "true",
        ])
        .current_dir(folder.path())
        .gid(NOBODY)
        .uid(NOBODY)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = crate::common::stderr(&output);
    assert!(
        said.contains("recording needs root: run `sudo tracer record"),
        "{said}"
    );
    assert!(!folder.path().join("trace").exists());
}

#[test]
fn an_unknown_tracepoint_is_refused_with_a_suggestion() {
    let parts = ["`sched:sched_swich`", "did you mean `sched:sched_switch`"];
    assert_probe_refused("sched:sched_swich", &parts);
}

#[test]
fn an_unknown_system_call_is_refused_with_a_suggestion() {
    assert_probe_refused(
        "syscall:opneat",
        &["`syscall:opneat`", "did you mean `syscall:openat`"],
    );
}

#[test]
fn a_pattern_that_matches_nothing_is_named() {
    assert_probe_refused("sched:nothing*", &["no probe matches `sched:nothing*`"]);
}

#[test]
fn one_bad_probe_among_good_ones_is_enough() {
    assert_probe_refused("syscall:getppid,nonsense", &["`nonsense` is not a probe"]);
}

#[test]
fn functions_are_refused_by_a_kernel_without_kprobes() {
    if Path::new("/sys/bus/event_source/devices/kprobe").exists() {
        println!("this kernel has kprobes: the virtual machines test them");
        return;
    }
    for probe in ["kprobe:vfs_read", "kretprobe:vfs_read", "kprobe:vfs_*"] {
        let parts = ["built without CONFIG_KPROBES", "use tracepoints", probe];
        assert_probe_refused(probe, &parts);
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let recorder = Recorder::new(&PROBE);
    let folder = recorder.folder().display().to_string();
    // Root may write anywhere but to a file system that is read-only.
    let script = format!("mount -t tmpfs -o ro tmpfs {folder}; exec \"$@\"");
    let parts = [
        &*format!("cannot create the folder `{folder}/trace`"),
        "Read-only file system",
    ];
    assert_refused(recorder.in_mount_namespace(&script), &parts);
}

#[test]
fn a_folder_below_one_that_does_not_exist_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("no/such");
    let output = Command::new(TRACER)
        .args(["record", "-e", "syscall:getppid", "-o"])
        .arg(&path)
        .args(["--", "true"])
        .output()
        .unwrap();
    let said = crate::common::stderr(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.contains(&format!("cannot create the folder `{}`", path.display())),
        "{said}"
    );
}

#[test]
fn a_folder_that_is_not_empty_is_left_alone() {
    let recording = into_folder_with(&["metadata"], &[]);
    recording.assert_failed(1, &["is not empty", "--force"]);
    assert_eq!(files(recording.trace_dir()), [("metadata".to_owned(), 8)]);
}

#[test]
fn an_empty_folder_is_used() {
    into_folder_with(&[], &[]).trace();
}

#[test]
fn force_replaces_a_trace() {
    let recording = into_folder_with(
        &["metadata", "channel0_0", "channel0_77", ".tasks"],
        &["--force"],
    );
    recording.trace();
    assert!(!recording.trace_dir().join("channel0_77").exists());
}

#[test]
fn force_keeps_folders_that_are_not_traces() {
    let recording = into_folder_with(&["metadata", "thesis.tex"], &["--force"]);
    recording.assert_failed(1, &["`thesis.tex`", "not part of a trace"]);
    let left = [("metadata".to_owned(), 8), ("thesis.tex".to_owned(), 10)];
    assert_eq!(files(recording.trace_dir()), left);
}

#[test]
fn a_file_in_place_of_the_folder_is_left_alone() {
    let recorder = Recorder::new(&[&PROBE[..], &["--force"]].concat()).command(["true"]);
    fs::write(recorder.trace_dir(), "x").unwrap();
    let recording = recorder.run();
    recording.assert_failed(1, &["trace`", "Not a directory"]);
    assert_eq!(fs::read(recording.trace_dir()).unwrap(), b"x");
}

#[test]
fn a_buffer_size_that_is_not_a_power_of_two_is_rounded_up_and_said() {
    let recording = Recorder::new(&[&PROBE[..], &["--buffer-size", "3M"]].concat())
        .command(work_words(&["getppid", "10"]))
        .run();
    let note = "note: using a buffer size of 4M for 3M: it must be a power of two of whole pages";
    assert!(recording.stderr.contains(note), "{}", recording.stderr);
    let pid = printed(&recording.stdout, "pid");
    assert_eq!(recording.trace().count("syscall_entry_getppid", pid), 10);
}

#[test]
fn a_sub_buffer_that_is_too_small_is_enlarged_and_said() {
    let recording = Recorder::new(&[&PROBE[..], &["--subbuf-size", "1"]].concat())
        .command(work_words(&["getppid", "10000"]))
        .run();
    let note = "note: using a sub-buffer size of 32K for 1";
    assert!(recording.stderr.contains(note), "{}", recording.stderr);
    let pid = printed(&recording.stdout, "pid");
    assert_eq!(
        recording.trace().count("syscall_entry_getppid", pid),
        10_000
    );
}

#[test]
fn a_buffer_larger_than_any_kernel_allows_is_refused() {
    let recorder = Recorder::new(&[&PROBE[..], &["--buffer-size", "2G"]].concat());
    assert_refused(recorder, &["a buffer size of 2G is too large; at most 1G"]);
}

#[test]
fn invalid_numbers_are_refused() {
    for size in ["8X", "", "-1", "99999999999G"] {
        assert_misused(
            &[&format!("--buffer-size={size}")],
            &["is not a size", "256K"],
        );
    }
    for time in ["5x", "", "-1s", "soon"] {
        assert_misused(
            &[&format!("--duration={time}")],
            &["--duration", "invalid value"],
        );
    }
    for cpus in ["x", "1-0", "", "0,,1", "99999999"] {
        assert_misused(&[&format!("--cpu={cpus}")], &["--cpu", "invalid value"]);
    }
    assert_misused(&["--pid=x"], &["--pid", "invalid value"]);
}

#[test]
fn a_cpu_that_is_not_online_is_named() {
    let recorder = Recorder::new(&[&PROBE[..], &["-C", "0,4095"]].concat());
    assert_refused(
        recorder,
        &["cannot record CPU 4095: it is offline", "(online: 0"],
    );
}

#[test]
fn a_command_that_does_not_exist_is_named() {
    for (command, why) in [
        ("no-such-command-here", "no such command on PATH"),
        ("/no/such/command", "no such file"),
        ("/etc/passwd", "not an executable file"),
    ] {
        let recorder = Recorder::new(&PROBE).command([command]);
        leaves_nothing_attached(|| {
            let parts = [&*format!("cannot run `{command}`"), why];
            recorder.run().assert_refused(&parts);
        });
    }
}

/// Known only when it is started, with everything attached.
#[test]
fn a_command_that_the_kernel_cannot_run_leaves_nothing() {
    let recorder = Recorder::new(&PROBE);
    let path = recorder.folder().join("program");
    fs::write(&path, "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let recorder = recorder.command([&path]);
    leaves_nothing_attached(|| {
        recorder
            .run()
            .assert_refused(&["cannot run", "No such file or directory"]);
    });
}

#[test]
fn recording_works_without_a_mounted_tracefs() {
    let script = "umount -a -t tracefs; ! grep -q tracefs /proc/self/mounts; exec \"$@\"";
    let recording = Recorder::new(&["-e", "syscall:getppid,sched:sched_process_exec"])
        .command(work_words(&["getppid", "10"]))
        .in_mount_namespace(script)
        .run();
    let trace: Trace = recording.trace();
    let pid = printed(&recording.stdout, "pid");
    assert_eq!(trace.count("syscall_entry_getppid", pid), 10);
    assert_eq!(trace.count("sched_process_exec", pid), 1);
}
