//! What is recorded, and what is left out. Needs root.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::common::recording::{Held, Recorder, printed, work, work_words};
use crate::common::trace::Trace;

const ENTRY: &str = "syscall_entry_getppid";
const EXIT: &str = "syscall_exit_getppid";

/// Records `args` while the workload calls getppid; gives the workload's process, too.
fn recorded(args: &[&str]) -> (Trace, u32) {
    let recording = Recorder::new(args)
        .command(work_words(&["--cpu", "1", "getppid", "10"]))
        .run();
    let pid = printed(&recording.stdout, "pid");
    (recording.trace(), pid)
}

/// A recording of all system calls while a command runs for a second, and the process of its
/// recorder.
fn of_all_system_calls(args: &[&str]) -> (Trace, u32) {
    let running = Recorder::new(&[&["-e", "syscall:*"], args].concat())
        .command(work_words(&["sleep", "1000"]))
        .start();
    let pid = running.pid();
    (running.wait().trace(), pid)
}

#[test]
fn the_recorder_is_not_in_its_own_trace() {
    let (trace, pid) = of_all_system_calls(&[]);
    assert_eq!(
        trace
            .events
            .iter()
            .find(|event| event.pid == pid)
            .map(|e| &e.name),
        None
    );
    // What its command does is there, so it did record.
    assert!(trace.of("syscall_exit_clock_nanosleep").count() > 0);
}

#[test]
fn the_recorder_is_in_its_own_trace_when_asked_for() {
    let (trace, pid) = of_all_system_calls(&["--include-self"]);
    assert!(trace.count("syscall_exit_epoll_wait", pid) > 0);
}

#[test]
fn only_the_chosen_process_is_recorded() {
    let held = Held::new(&["getppid", "100"]);
    let recording = Recorder::new(&["-e", "syscall:*,sched:*", "-p", &held.pid().to_string()])
        .command(["sh", "-c", &held.script()])
        .run();
    let trace = recording.trace();
    assert_eq!(trace.count(ENTRY, held.pid()), 100);
    let pids: BTreeSet<u32> = trace.events.iter().map(|event| event.pid).collect();
    assert_eq!(pids, [held.pid()].into());
}

#[test]
fn one_chosen_cpu_has_one_stream() {
    let recording = Recorder::new(&["-e", "syscall:getppid", "-C", "1"])
        .command(work_words(&["--cpu", "1", "getppid", "10"]))
        .run();
    let trace = recording.trace();
    assert_eq!(trace.count(ENTRY, printed(&recording.stdout, "pid")), 10);
    assert!(trace.events.iter().all(|event| event.cpu == 1));
    assert!(!recording.trace_dir().join("channel0_0").exists());
}

#[test]
fn another_cpu_is_not_recorded() {
    let recording = Recorder::new(&["-e", "syscall:getppid", "-C", "0"])
        .command(work_words(&["--cpu", "1", "getppid", "10"]))
        .run();
    let trace = recording.trace();
    assert_eq!(trace.count(ENTRY, printed(&recording.stdout, "pid")), 0);
}

#[test]
fn several_probes_can_be_named_apart_and_in_a_list() {
    let probes = [
        "-e",
        "syscall:getppid,sched:sched_process_exit",
        "-e",
        "syscall:exit_group",
    ];
    let (trace, pid) = recorded(&probes);
    let of_work: BTreeSet<&str> = trace
        .events
        .iter()
        .filter(|event| event.pid == pid)
        .map(|event| event.name.as_str())
        .collect();
    let expected = [
        ENTRY,
        EXIT,
        "syscall_entry_exit_group",
        "sched_process_exit",
    ];
    assert_eq!(of_work, expected.into());
}

#[test]
fn a_probe_that_is_named_twice_is_recorded_once() {
    let (trace, pid) = recorded(&[
        "-e",
        "syscall:getppid,syscall:get*pid",
        "-e",
        "syscall:getppid",
    ]);
    assert_eq!(trace.count(ENTRY, pid), 10);
}

#[test]
fn the_entry_of_a_call_can_be_named_alone() {
    let (trace, pid) = recorded(&["-e", "syscalls:sys_enter_getppid"]);
    assert_eq!((trace.count(ENTRY, pid), trace.of(EXIT).count()), (10, 0));
}

#[test]
fn the_exit_of_a_call_can_be_named_alone() {
    let (trace, pid) = recorded(&["-e", "syscalls:sys_exit_getppid"]);
    assert_eq!((trace.count(EXIT, pid), trace.of(ENTRY).count()), (10, 0));
}

#[test]
fn without_probes_scheduling_and_system_calls_are_recorded() {
    let (trace, pid) = recorded(&[]);
    assert_eq!(trace.count(ENTRY, pid), 10);
    let classes = trace.classes();
    for name in ["sched_switch", "sched_process_exec", "syscall_entry_execve"] {
        assert!(classes.contains(name), "no {name} in {classes:?}");
    }
}

#[test]
fn a_pattern_records_a_whole_subsystem() {
    let start = Instant::now();
    let (trace, _) = recorded(&["-e", "sched:*"]);
    println!("recording `sched:*` took {:?} in all", start.elapsed());
    let classes = trace.classes();
    for name in ["sched_switch", "sched_process_exec", "sched_wakeup"] {
        assert!(classes.contains(name), "no {name} in {classes:?}");
    }
}

#[test]
fn a_process_that_does_not_exist_is_refused() {
    // Larger than any id.
    let recording = Recorder::new(&["-e", "syscall:getppid", "-p", "8388608"])
        .command(["true"])
        .run();
    recording.assert_refused(&["no process or thread 8388608"]);
}

/// Ends a shell that waits for a line, once it is recorded.
fn of_shell(script: &str, args: &[&str]) -> (crate::common::recording::Recording, u32) {
    let mut shell = Command::new("sh")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = shell.id();
    let running = Recorder::new(&[args, &["-p", &pid.to_string()]].concat()).start();
    running.wait_until_recording();
    drop(shell.stdin.take());
    let recording = running.wait();
    shell.wait().unwrap();
    (recording, pid)
}

#[test]
fn a_recording_ends_with_its_last_process() {
    let script = format!("read line; exec {} getppid 100", work());
    let (recording, pid) = of_shell(&script, &["-e", "syscalls:sys_enter_getppid"]);
    assert_eq!(recording.trace().count(ENTRY, pid), 100);
    let end = format!("(process {pid} ended)");
    assert!(recording.stderr.contains(&end), "{}", recording.stderr);
}

#[test]
fn a_recording_that_follows_ends_with_the_last_descendant() {
    let work = work();
    let script = format!("read line; {{ sleep 0.5; {work} getppid 100; }} &");
    let args = ["-e", "syscalls:sys_enter_getppid", "--follow"];
    let (recording, _) = of_shell(&script, &args);
    let of_work = recording.trace();
    let of_work = of_work.of(ENTRY).filter(|event| event.comm == "work");
    assert_eq!(of_work.count(), 100);
}

/// Writes a program of 32-bit code that calls getppid 100 times and ends.
fn write_32_bit_program(path: &Path) {
    const BASE: u32 = 0x0804_8000;
    const HEADERS: u32 = 84;
    const CODE: [u8; 24] = [
        0xb9, 100, 0, 0, 0, // mov ecx, 100
        0xb8, 64, 0, 0, 0, // mov eax, getppid
        0xcd, 0x80, // int 0x80
        0x49, // dec ecx
        0x75, 0xf6, // jnz to the second instruction
        0xb8, 1, 0, 0, 0, // mov eax, exit
        0x31, 0xdb, // xor ebx, ebx
        0xcd, 0x80, // int 0x80, the last bytes
    ];
    let size = HEADERS + CODE.len() as u32;
    // An ELF header and one segment of code (elf(5)).
    let mut bytes = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x03\0".to_vec();
    let words = [1, BASE + HEADERS, 52, 0, 0, 0x0020_0034, 1, 0];
    bytes.extend(words.into_iter().flat_map(u32::to_le_bytes));
    let segment = [1, 0, BASE, BASE, size, size, 5, 4096];
    bytes.extend(segment.into_iter().flat_map(u32::to_le_bytes));
    bytes.extend(CODE);
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Writes a program of 64-bit code that calls getppid 100 times by `int 0x80`, then 10 times
/// semget by `syscall`, and ends.
fn write_mixed_program(path: &Path) {
    const BASE: u64 = 0x0040_0000;
    const HEADERS: u64 = 64 + 56;
    const CODE: [u8; 54] = [
        0x41, 0xbc, 100, 0, 0, 0, // mov r12d, 100
        0xb8, 64, 0, 0, 0, // mov eax, getppid of the 32-bit interface
        0xcd, 0x80, // int 0x80
        0x41, 0xff, 0xcc, // dec r12d
        0x75, 0xf4, // jnz to the second instruction
        0x41, 0xbc, 10, 0, 0, 0, // mov r12d, 10
        0xb8, 64, 0, 0, 0, // mov eax, semget
        0xbf, 1, 0, 0, 0, // mov edi, 1: a key
        0x31, 0xf6, // xor esi, esi: no semaphores
        0x31, 0xd2, // xor edx, edx: without IPC_CREAT
        0x0f, 0x05, // syscall
        0x41, 0xff, 0xcc, // dec r12d
        0x75, 0xeb, // jnz to the second instruction above
        0xb8, 231, 0, 0, 0, // mov eax, exit_group
        0x31, 0xff, // xor edi, edi
        0x0f, 0x05, // syscall
    ];
    let size = HEADERS + CODE.len() as u64;
    // An ELF header and one segment of code (elf(5)).
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    bytes.extend(
        [BASE + HEADERS, 64, 0]
            .into_iter()
            .flat_map(u64::to_le_bytes),
    );
    bytes.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 64, 0, 0, 0, 0, 0]);
    bytes.extend([1_u32, 5].into_iter().flat_map(u32::to_le_bytes));
    let segment = [0, BASE, BASE, size, size, 4096];
    bytes.extend(segment.into_iter().flat_map(u64::to_le_bytes));
    bytes.extend(CODE);
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[cfg(target_arch = "x86_64")]
#[test]
fn calls_by_int_0x80_in_64_bit_code_are_counted_and_not_mistaken() {
    for (probes, note) in [
        ("syscalls:sys_enter_semget", "100 32-bit system calls"),
        ("syscalls:sys_exit_semget", "100 32-bit system calls"),
        ("syscalls:sys_enter_getppid", "100 32-bit system calls"),
    ] {
        let recorder = Recorder::new(&["-e", probes, "--only-command"]);
        let program = recorder.folder().join("program");
        write_mixed_program(&program);
        match Command::new(&program).status() {
            Ok(status) if status.success() => {}
            outcome => {
                println!("this kernel has no 32-bit system calls: {outcome:?}");
                return;
            }
        }
        let recording = recorder.command([&program]).run();
        let expected = if probes.ends_with("semget") { 10 } else { 0 };
        assert_eq!(recording.trace().events.len(), expected, "{probes}");
        assert!(recording.stderr.contains(note), "{}", recording.stderr);
    }
}

#[test]
fn calls_of_32_bit_code_are_counted_once_and_not_mistaken() {
    // The number of getppid in 32-bit code is that of semget in 64-bit code.
    for probes in ["syscall:semget", "syscalls:sys_exit_semget"] {
        let recorder = Recorder::new(&["-e", probes]);
        let program = recorder.folder().join("program");
        write_32_bit_program(&program);
        if Command::new(&program).status().is_err() {
            println!("this kernel runs no 32-bit code");
            return;
        }
        let recording = recorder.command([&program]).run();
        assert_eq!(recording.trace().events.len(), 0);
        // The end of the process has no exit; that of its start, which is 32-bit code by
        // then, has.
        let note = "101 32-bit system calls were not recorded";
        assert!(recording.stderr.contains(note), "{}", recording.stderr);
    }
}
