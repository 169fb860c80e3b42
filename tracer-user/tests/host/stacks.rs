//! Stacks of events. Needs root.

use std::fs;
use std::process::Command;

use crate::common::recording::{Recorder, Recording, said, work, work_words};
use crate::common::trace::{Event, Trace, babeltrace, tracer};
use serde_json::Value;

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

/// What `tracer report` prints; it may only note which addresses it has no names for.
fn report(recording: &Recording, args: &[&str]) -> String {
    assert!(recording.status.success(), "{}", recording.stderr);
    let output = tracer(|tracer| tracer.arg("report").arg(recording.trace_dir()).args(args));
    for line in crate::common::stderr(&output).lines() {
        assert!(
            line.starts_with("tracer: note: ") && line.contains("stacks of"),
            "{line}"
        );
    }
    assert!(output.status.success());
    crate::common::stdout(&output)
}

fn trace_of(recording: &Recording) -> Trace {
    let trace = Trace::parse(&report(recording, &["--json"]));
    let read = babeltrace(recording.trace_dir());
    assert_eq!(read, (trace.events.len(), trace.lost));
    trace
}

/// The addresses of a stack; `None` where the event has no such field.
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
    let pid = said(&recording.stdout, "pid");
    let calls: Vec<&Event> = trace.of("syscall_entry_getppid").collect();
    assert_eq!(calls.len(), CALLS);
    let Some((address, size)) = symbol("work_asks_for_its_parent") else {
        println!("LEFT OUT: there is no `nm`");
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

/// Stacks stand behind payloads of all kinds.
#[test]
fn payloads_in_front_of_stacks_are_whole() {
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

/// Whoever wrote the trace noted what is mapped where.
#[test]
fn a_report_names_the_function_that_made_the_call() {
    let recording = recorded("syscalls:sys_enter_getppid", "-T=both");
    if !recording
        .trace_dir()
        .join(tracer::ctf::mappings::FILE_NAME)
        .exists()
    {
        println!("LEFT OUT: the recorder notes no mappings");
        return;
    }
    let text = report(&recording, &[]);
    assert_eq!(
        text.matches("work_asks_for_its_parent").count(),
        CALLS,
        "{text}"
    );
}

/// The functions of the kernel whose addresses the stack has, by what the kernel says itself.
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
        let behind = symbols.partition_point(|(start, _)| *start <= address);
        symbols[behind - 1].1
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
