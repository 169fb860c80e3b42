//! Stacks of events. Needs root.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::common::recording::{Recorder, Recording, printed, work, work_words};
use crate::common::trace::{Event, Trace, babeltrace, tracer};

const KERNEL: &str = "callstack_kernel";
const USER: &str = "callstack_user";
/// The first address of the kernel's half.
const KERNEL_HALF: u64 = 1 << 63;
const CALLS: usize = 5;

/// Records the calls that `work_asks_for_its_parent` makes.
fn recorded(probe: &str, which: &str) -> Recording {
    Recorder::new(&["-e", probe, which, "--only-command"])
        .command(work_words(&["ask", &CALLS.to_string()]))
        .run()
}

/// The output of `tracer report`, without complaints about missing names.
fn report(recording: &Recording, args: &[&str]) -> String {
    assert!(recording.status.success(), "{}", recording.stderr);
    let output = tracer(|tracer| tracer.arg("report").arg(recording.trace_dir()).args(args));
    assert_eq!(crate::common::stderr(&output), "");
    assert!(output.status.success());
    crate::common::stdout(&output)
}

fn trace_of(recording: &Recording) -> Trace {
    let trace = Trace::parse(&report(recording, &["--json"]));
    let read = babeltrace(recording.trace_dir());
    assert_eq!(read, (trace.events.len(), trace.lost));
    trace
}

/// The addresses of a stack; `None` if the event has no such field.
fn stack(event: &Event, field: &str) -> Option<Vec<u64>> {
    let addresses = event.fields.get(field)?.as_array().unwrap();
    let address = |frame: &Value| frame["address"].as_u64().expect("an address");
    Some(addresses.iter().map(address).collect())
}

/// The address and the size of a symbol of the workload, and whether it is loaded anywhere.
fn symbol(name: &str) -> Option<(u64, u64)> {
    let output = Command::new("nm").args(["-S", &work()]).output().ok()?;
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text
        .lines()
        .find(|line| line.ends_with(&format!(" T {name}")))?;
    let mut words = line.split(' ').map(|word| u64::from_str_radix(word, 16));
    Some((words.next()?.ok()?, words.next()?.ok()?))
}

#[test]
fn the_stack_of_a_call_begins_where_the_call_is() {
    let recording = recorded("syscalls:sys_enter_getppid", "-T=both");
    let trace = trace_of(&recording);
    let pid = printed(&recording.stdout, "pid");
    let calls: Vec<&Event> = trace.of("syscall_entry_getppid").collect();
    assert_eq!(calls.len(), CALLS);
    let Some((address, size)) = symbol("work_asks_for_its_parent") else {
        println!("LEFT OUT: no `nm`");
        return;
    };
    let mut first = Vec::new();
    for call in calls {
        assert_eq!(call.pid, pid);
        let kernel = stack(call, KERNEL).unwrap();
        assert!(
            !kernel.is_empty() && kernel.iter().all(|at| *at >= KERNEL_HALF),
            "{kernel:x?}"
        );
        let user = stack(call, USER).unwrap();
        assert!(user.iter().all(|at| *at < KERNEL_HALF), "{user:x?}");
        // Programs are loaded at pages.
        let offset = user[0].wrapping_sub(address) & 0xfff;
        assert!(
            offset > 0 && offset <= size,
            "{:x} is not in {address:x} + {size:x}",
            user[0]
        );
        first.push(user[0]);
    }
    first.dedup();
    assert_eq!(first.len(), 1, "all calls are made in one place");
}

#[test]
fn each_side_can_be_had_alone() {
    for (which, fields) in [
        ("-T", (true, false)),
        ("-T=kernel", (true, false)),
        ("-T=user", (false, true)),
    ] {
        let trace = trace_of(&recorded("syscalls:sys_enter_getppid", which));
        for call in &trace.events {
            let there = (stack(call, KERNEL).is_some(), stack(call, USER).is_some());
            assert_eq!(there, fields, "{which}");
            let addresses = stack(call, KERNEL).or(stack(call, USER)).unwrap();
            assert!(!addresses.is_empty());
        }
        assert_eq!(trace.events.len(), CALLS);
    }
}

/// Stacks follow payloads of all kinds.
#[test]
fn payloads_before_stacks_are_whole() {
    let path = "/no/such/file";
    let probes = format!(
        "syscall:openat,sched:sched_process_exec,raw_syscalls:sys_enter,\
         rawtp:sched_process_exec{{p->pid, bprm->filename:str}},uprobe:{}:work_probed{{arg0:u64}}",
        work()
    );
    let words = [
        "sequence",
        "--",
        &work(),
        "open",
        path,
        "4",
        ";",
        &work(),
        "function",
        "6",
    ];
    let recording = Recorder::new(&["-T=both", "-e", &probes, "--only-command"])
        .command(work_words(&words))
        .run();
    let trace = trace_of(&recording);
    let opened = trace.of("syscall_entry_openat");
    assert_eq!(
        opened
            .filter(|event| event.text("filename") == path)
            .count(),
        4
    );
    for event in trace.of("sched_process_exec") {
        assert_eq!(event.text("filename"), work());
    }
    for event in trace.of("rawtp:sched_process_exec") {
        assert_eq!(event.number("p_pid"), i64::from(event.pid));
        assert_eq!(event.text("bprm_filename"), work());
    }
    assert_eq!(trace.of("sched_process_exec").count(), 3);
    assert_eq!(trace.of("rawtp:sched_process_exec").count(), 3);
    let name = format!("uprobe:{}:work_probed", work());
    let numbers: Vec<i64> = trace.of(&name).map(|event| event.number("arg0")).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5]);
    assert!(
        trace
            .events
            .iter()
            .all(|event| event.fields[USER].is_array())
    );
    // Only stacks of system calls and tracepoints begin in the kernel.
    let in_kernel = trace
        .events
        .iter()
        .filter(|event| !event.name.starts_with("uprobe:"));
    for event in in_kernel {
        assert!(
            !event.fields[KERNEL].as_array().unwrap().is_empty(),
            "{event:?}"
        );
    }
}

/// The line below each event in a report that begins its user stack.
fn first_frames(text: &str) -> Vec<&str> {
    let lines: Vec<&str> = text.lines().collect();
    let pairs = lines.windows(2);
    pairs
        .filter(|pair| !pair[0].starts_with('\t'))
        .map(|pair| pair[1])
        .collect()
}

/// They call within milliseconds, and are gone when the recorder looks at its first event.
#[test]
fn functions_of_commands_that_end_at_once_have_their_names() {
    let recording = recorded("syscalls:sys_enter_getppid", "-T=user");
    let text = report(&recording, &[]);
    let first = first_frames(&text);
    assert_eq!(first.len(), CALLS, "{text}");
    for line in first {
        assert!(line.contains(" work_asks_for_its_parent+0x"), "{text}");
        assert!(line.ends_with(&format!(" ({})", work())), "{text}");
    }
}

/// The same if the events are taken from memory after the command has ended.
#[test]
fn events_written_at_the_end_have_names() {
    let recording = Recorder::new(&[
        "-e",
        "syscalls:sys_enter_getppid",
        "-T=user",
        "--only-command",
        "--mode=overwrite",
    ])
    .command(work_words(&["ask", &CALLS.to_string()]))
    .run();
    let text = report(&recording, &[]);
    assert_eq!(
        text.matches(" work_asks_for_its_parent+0x").count(),
        CALLS,
        "{text}"
    );
}

/// A program that calls getppid(2) in its own functions, in the C library, in a child that
/// executes nothing, and of a library that it loads when it runs.
const CALLER: &str = r#"
#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#define ASKS(name) \
    __attribute__((noinline)) void name(void) { \
        long parent; \
        __asm__ volatile("syscall" : "=a"(parent) : "0"(110L) : "rcx", "r11", "memory"); \
    }

#ifdef LIBRARY
ASKS(in_the_library)
#else
ASKS(in_the_program)
ASKS(in_the_child)

int main(int argc, char **argv) {
    in_the_program();
    getppid();
    pid_t child = fork();
    if (child == 0) {
        in_the_child();
        _exit(0);
    }
    int status;
    if (waitpid(child, &status, 0) != child || status != 0) return 1;
    void *library = dlopen(argv[1], RTLD_NOW);
    if (!library) return 2;
    void (*in_the_library)(void) = dlsym(library, "in_the_library");
    if (!in_the_library) return 3;
    in_the_library();
    return 0;
}
#endif
"#;

#[test]
fn functions_of_children_and_of_libraries_that_come_later_have_their_names() {
    let recorder = Recorder::new(&[
        "-e",
        "syscalls:sys_enter_getppid",
        "-T=user",
        "--only-command",
    ]);
    let [source, program, library] =
        ["caller.c", "caller", "library.so"].map(|name| recorder.folder().join(name));
    fs::write(&source, CALLER).unwrap();
    for (output, args) in [
        (&program, &[][..]),
        (&library, &["-DLIBRARY", "-shared", "-fPIC"]),
    ] {
        let mut cc = Command::new("cc");
        cc.args(["-O1", "-o"]).arg(output).arg(&source).args(args);
        assert!(cc.status().unwrap().success());
    }
    let recording = recorder.command([&program, &library]).run();
    let text = report(&recording, &[]);
    let expected = [
        ("in_the_program", "/caller)"),
        ("getppid", "/libc.so.6)"),
        ("in_the_child", "/caller)"),
        ("in_the_library", "/library.so)"),
    ];
    let first = first_frames(&text);
    assert_eq!(first.len(), expected.len(), "{text}");
    for (line, (function, file)) in first.into_iter().zip(expected) {
        assert!(line.contains(function) && line.ends_with(file), "{text}");
    }
}

/// The kernel's functions at the addresses of the stack, according to the kernel.
#[test]
fn the_kernel_s_part_is_of_the_way_of_a_call() {
    let trace = trace_of(&recorded("syscalls:sys_enter_getppid", "-T"));
    let text = fs::read_to_string("/proc/kallsyms").unwrap();
    let mut symbols: Vec<(u64, &str)> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let address = u64::from_str_radix(words.next()?, 16).ok()?;
            Some((address, words.nth(1)?))
        })
        .collect();
    symbols.sort_unstable();
    let name = |address: u64| {
        let after = symbols.partition_point(|(start, _)| *start <= address);
        symbols[after - 1].1
    };
    for call in &trace.events {
        let stack = stack(call, KERNEL).unwrap();
        let names: Vec<&str> = stack.iter().map(|address| name(*address)).collect();
        assert!(
            names.iter().any(|name| name.contains("do_syscall_64")),
            "{names:?}"
        );
        assert_eq!(
            call.fields[KERNEL].as_array().map(Vec::len),
            Some(names.len())
        );
    }
    assert!(
        trace
            .events
            .iter()
            .all(|event| event.fields[KERNEL] != Value::Null)
    );
}
