//! Values that probes fetch, each compared with what is known otherwise. Needs root.

use std::fs;

use serde_json::{Value, json};

use crate::common::recording::{Recorder, leaves_nothing_attached, printed, work, work_words};
use crate::common::trace::{Event, Trace};

/// What a recording of the workload has, and the process of the workload.
fn recorded(args: &[&str], words: &[&str]) -> (Trace, u32) {
    let recording = Recorder::new(args).command(work_words(words)).run();
    let trace = recording.trace();
    (trace, printed(&recording.stdout, "pid"))
}

fn of_process<'t>(trace: &'t Trace, name: &str, pid: u32) -> Vec<&'t Event> {
    trace.of(name).filter(|event| event.pid == pid).collect()
}

#[test]
fn arguments_of_a_raw_tracepoint_lead_to_the_program_that_was_started() {
    let probe = "rawtp:sched_process_exec{p->pid, p->comm:str, bprm->filename:str, \
                 file=bprm->file->f_path.dentry->d_name.name:str, old=arg1:d32}";
    let (trace, pid) = recorded(&["-e", probe], &["getppid", "1"]);
    let events = of_process(&trace, "rawtp:sched_process_exec", pid);
    assert_eq!(events.len(), 1);
    let fields = json!({
        "fetch_fault": 0,
        "p_pid": pid,
        "old": pid,
        "p_comm": "work",
        "bprm_filename": work(),
        "file": "work",
    });
    assert_eq!(json!(events[0].fields), fields);
}

/// `Recorder::run` also reads every trace with babeltrace2, which refuses some pairs of names.
#[test]
fn names_that_differ_in_underscores_are_read() {
    let probe =
        "rawtp:sched_process_exec{_x=p->pid, x=old_pid, __a=arg1:d32, a=arg1:d32, Bool=p->pid}";
    let (trace, pid) = recorded(&["-e", probe], &["getppid", "1"]);
    let events = of_process(&trace, "rawtp:sched_process_exec", pid);
    let fields = json!({
        "fetch_fault": 0, "_x": pid, "x": pid, "__a": pid, "a": pid, "Bool": pid,
    });
    assert_eq!(json!(events[0].fields), fields);
}

#[test]
fn a_raw_tracepoint_without_a_list_has_its_arguments() {
    let (trace, pid) = recorded(&["-e", "rawtp:sched_process_exec"], &["getppid", "1"]);
    let events = of_process(&trace, "rawtp:sched_process_exec", pid);
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].number("old_pid"), i64::from(pid));
    // Addresses of the kernel.
    assert!(events[0].fields["p"].as_u64().unwrap() >= 1 << 63);
}

#[test]
fn raw_tracepoints_are_filtered_by_fetched_values() {
    let probe = "rawtp:task_rename{task->pid, oldcomm=task->comm:str, comm:str, \
                 adopted=task->signal->is_child_subreaper, in_execve=task->in_execve}";
    let count = |filter: &str| {
        let args = ["-e", probe, "-f", filter, "--only-command"];
        let (trace, pid) = recorded(&args, &["values"]);
        let events = of_process(&trace, "rawtp:task_rename", pid);
        assert_eq!(events.len(), trace.events.len());
        events.len()
    };
    assert_eq!(count("comm ~ 'worker/*'"), 2);
    assert_eq!(count("comm == 'worker/10' && oldcomm == 'worker/0'"), 1);
    assert_eq!(count("oldcomm == 'no such name'"), 0);
    // Bit-fields: the names are given by prctl, while no program is being started.
    assert_eq!(count("comm ~ 'w*' && in_execve == 0 && adopted == 0"), 4);
    assert_eq!(count("in_execve == 1"), 0);
    assert_eq!(count("in_execve > 0 || adopted & 1"), 0);
}

#[test]
fn records_of_tracepoints_are_fetched_with_casts() {
    let probe = "sched:sched_process_exec{a=pid, a=old_pid}";
    let error = leaves_nothing_attached(|| {
        Recorder::new(&["-e", probe])
            .command(work_words(&["exit", "0"]))
            .run()
    });
    error.assert_refused(&["two fields are named `a`"]);
    let probe = "sched:sched_process_exec{low=(u8)pid, high=(u16)old_pid, again=pid:x32}";
    let (trace, pid) = recorded(&["-e", probe, "--names", "tracefs"], &["getppid", "1"]);
    let events = of_process(&trace, "sched:sched_process_exec", pid);
    assert_eq!(events.len(), 1);
    // Behind the record.
    let fields = json!({
        "filename": work(), "pid": pid, "old_pid": pid,
        "low": pid as u8, "high": pid as u16, "again": pid,
    });
    assert_eq!(json!(events[0].fields), fields);
}

#[test]
fn a_pointer_in_a_record_is_followed_with_a_cast() {
    // `raw_syscalls` and others have numbers only; this record has an address of the kernel.
    let probe = "kmem:kmalloc{bytes_req, site=call_site:x64, first=*(u8 *)call_site}";
    let held = crate::common::recording::Held::new(&["getppid", "10"]);
    let pid = held.pid().to_string();
    let recording = Recorder::new(&["-e", probe, "-p", &pid])
        .command(["sh", "-c", &held.script()])
        .run();
    let trace = recording.trace();
    // Code of the kernel can be read, and no call comes from an unmapped address.
    assert!(!trace.events.is_empty());
    for event in &trace.events {
        assert_eq!(event.number("fetch_fault"), 0, "{event:?}");
        assert!(event.fields["site"].as_u64().unwrap() >= 1 << 63);
        assert!(event.number("bytes_req") > 0);
    }
}

#[test]
fn a_value_that_cannot_be_read_is_marked_and_the_event_is_kept() {
    let probe = "rawtp:sched_process_exec{p->pid, nowhere=*(u32 *)arg1, \
                 there=bprm->filename:str, text=arg1:x64, \
                 gone=((struct file *)arg1)->f_path.dentry->d_name.name:str}";
    let (trace, pid) = recorded(&["-e", probe], &["getppid", "1"]);
    let events = of_process(&trace, "rawtp:sched_process_exec", pid);
    assert_eq!(events.len(), 1);
    let event = events[0];
    assert_eq!(event.number("p_pid"), i64::from(pid));
    assert_eq!(
        (event.number("nowhere"), event.text("gone")),
        (0, "(fault)")
    );
    assert_eq!(event.text("there"), work());
    // Numbers first, then strings: `p_pid`, `nowhere`, `text`, `there`, `gone`.
    assert_eq!(event.number("fetch_fault"), 1 << 1 | 1 << 4);
}

/// The function of the workload that is probed.
const FUNCTION: &str = "work_probed";

/// How often it is called: all of its texts fit into one page.
const CALLS: i64 = 40;

fn probed(probe: &str, more: &[&str]) -> (Trace, u32) {
    let args = [&["-e", probe, "--only-command"], more].concat();
    recorded(&args, &["function", &CALLS.to_string()])
}

#[test]
fn a_function_of_a_program_has_its_arguments() {
    let probe = format!(
        "uprobe:{}:{FUNCTION}{{number=arg0:u64, text=arg1:ustr, signed=arg2:d32, first=*(u8 *)arg1}}",
        work()
    );
    let (trace, pid) = probed(&probe, &[]);
    assert_eq!(trace.events.len() as i64, CALLS);
    for (number, event) in (0..).zip(&trace.events) {
        assert_eq!((event.pid, event.tid), (pid, pid));
        assert_eq!(event.number("number"), number);
        assert_eq!(event.number("signed"), -number);
        // The text of every fourth call is nowhere.
        let readable = number % 4 != 3;
        let (text, first) = if readable {
            (format!("call {number}"), i64::from(b'c'))
        } else {
            ("(fault)".to_owned(), 0)
        };
        assert_eq!(
            (event.text("text"), event.number("first")),
            (&text[..], first)
        );
        // Numbers first, then strings: `number`, `signed`, `first`, `text`.
        let faults = if readable { 0 } else { 1 << 2 | 1 << 3 };
        assert_eq!(event.number("fetch_fault"), faults);
    }
}

/// The first argument, a number, as the address of a string, read at entry and at return.
#[test]
fn a_string_without_an_address_is_null() {
    let probe = format!(
        "probe:{}:{FUNCTION}{{n=arg0:u64, text=arg0:ustr, more=arg0:ustr}}",
        work()
    );
    for (kind, mask) in [("u", "fetch_fault"), ("uret", "entry_fetch_fault")] {
        let (trace, _) = probed(&format!("{kind}{probe}"), &[]);
        assert_eq!(trace.events.len() as i64, CALLS);
        for (number, event) in (0..).zip(&trace.events) {
            let text = if number == 0 { "(null)" } else { "(fault)" };
            assert_eq!((event.text("text"), event.text("more")), (text, text));
            assert_eq!(event.number("n"), number);
            assert_eq!(event.number(mask), 1 << 1 | 1 << 2);
        }
    }
}

#[test]
fn registers_are_there_without_a_list() {
    let (trace, _) = probed(&format!("uprobe:{}:{FUNCTION}", work()), &[]);
    let numbers: Vec<i64> = trace
        .events
        .iter()
        .map(|event| event.number("arg0"))
        .collect();
    assert_eq!(numbers, (0..CALLS).collect::<Vec<_>>());
}

#[test]
fn calls_are_filtered_by_their_arguments() {
    let probe = format!(
        "uprobe:{}:{FUNCTION}{{n=arg0:u64, text=arg1:ustr, s=arg2:d32}}",
        work()
    );
    let count = |filter: &str| probed(&probe, &["-f", filter]).0.events.len();
    let count = |filter: &str| {
        let before = ["-f", filter];
        let args = [&before[..], &["-e", &probe, "--only-command"]].concat();
        let (trace, _) = recorded(&args, &["function", &CALLS.to_string()]);
        assert_eq!(trace.events.len(), count(filter), "-f before and after");
        trace.events.len()
    };
    assert_eq!(count("n < 10"), 10);
    assert_eq!(count("s < -9 && s >= -20"), 11);
    assert_eq!(count("text == 'call 12'"), 1);
    assert_eq!(count("text ~ 'call 1*'"), 8);
    assert_eq!(count("text ~ '*[02]'"), 8);
    // What cannot be read is neither equal nor different.
    assert_eq!(count("text != 'call 12'"), 29);
}

#[test]
fn a_function_of_a_program_has_result_and_duration() {
    let (trace, pid) = probed(&format!("uretprobe:{}:{FUNCTION}", work()), &[]);
    assert_eq!(trace.events.len() as i64, CALLS);
    let mut last = 0;
    for (number, event) in (0..).zip(&trace.events) {
        assert_eq!(event.pid, pid);
        assert_eq!(event.number("ret"), number * 3 + 1);
        let duration = event.number("duration");
        // Not before the return of the call before.
        let began = event.timestamp_ns - duration as u64;
        assert!(duration > 0 && began >= last, "{event:?}");
        last = event.timestamp_ns;
    }
}

#[test]
fn returns_are_filtered_by_the_result() {
    let probe = format!("uretprobe:{}:{FUNCTION}", work());
    let (trace, _) = probed(&probe, &["-f", "ret > 100 && duration >= 0"]);
    let returned: Vec<i64> = trace
        .events
        .iter()
        .map(|event| event.number("ret"))
        .collect();
    let expected = (0..CALLS)
        .map(|number| number * 3 + 1)
        .filter(|ret| *ret > 100);
    assert_eq!(returned, expected.collect::<Vec<_>>());
}

#[test]
fn arguments_are_kept_until_the_function_returns() {
    let probe = format!(
        "uretprobe:{}:{FUNCTION}{{ret:d64, number=arg0:u64, text=arg1:ustr, signed=arg2:d32}}",
        work()
    );
    let numbers = |filter: &[&str]| -> Vec<i64> {
        let (trace, _) = probed(&probe, filter);
        let number = |event: &Event| {
            let number = event.number("number");
            assert_eq!(event.number("ret"), number * 3 + 1);
            assert_eq!(event.number("signed"), -number);
            // The text of every fourth call is nowhere.
            let readable = number % 4 != 3;
            let text = readable.then(|| format!("call {number}"));
            assert_eq!(event.text("text"), text.unwrap_or("(fault)".to_owned()));
            // Numbers first, then strings: `number`, `signed`, `text`.
            let fault = if readable { 0 } else { 1 << 2 };
            assert_eq!(event.number("entry_fetch_fault"), fault);
            number
        };
        trace.events.iter().map(number).collect()
    };
    assert_eq!(numbers(&[]), (0..CALLS).collect::<Vec<_>>());
    assert_eq!(numbers(&["-f", "signed < -9 && ret < 37"]), [10, 11]);
    assert_eq!(
        numbers(&["-f", "text ~ '*2' && duration >= 0"]),
        [2, 12, 22, 32]
    );
    // What could not be read is neither equal nor different.
    let different = numbers(&["-f", "text != 'call 8' && number > 6"]);
    let expected = (7..CALLS).filter(|number| number % 4 != 3 && *number != 8);
    assert_eq!(different, expected.collect::<Vec<_>>());
}

/// Entry and return of one function in one recording.
#[test]
fn two_probes_of_a_function_see_each_call() {
    let (entry, exit) = (
        format!("uprobe:{}:{FUNCTION}", work()),
        format!("uretprobe:{}:{FUNCTION}", work()),
    );
    let (trace, pid) = probed(&entry, &["-e", &exit]);
    let calls = |name: &str| trace.count(name, pid) as i64;
    assert_eq!((calls(&entry), calls(&exit)), (CALLS, CALLS));
    // They take turns.
    let names: Vec<&str> = trace
        .events
        .iter()
        .map(|event| event.name.as_str())
        .collect();
    assert!(
        names.chunks(2).all(|pair| pair == [&entry[..], &exit]),
        "{names:?}"
    );
}

#[test]
fn an_address_names_a_place_of_a_program() {
    let output = std::process::Command::new("nm").arg(work()).output();
    let Ok(output) = output else {
        println!("left out: no `nm`");
        return;
    };
    let symbols = String::from_utf8(output.stdout).unwrap();
    let line = symbols
        .lines()
        .find(|line| line.ends_with(" T work_probed"))
        .unwrap();
    let address = line.split(' ').next().unwrap().trim_start_matches('0');
    let (trace, _) = probed(&format!("uprobe:{}:0x{address}{{arg0:u64}}", work()), &[]);
    assert_eq!(trace.events.len() as i64, CALLS);
    assert_eq!(trace.events[7].number("arg0"), 7);
}

fn refused(probe: &str, parts: &[&str]) {
    let recorder = Recorder::new(&["-e", probe]).command(work_words(&["exit", "0"]));
    leaves_nothing_attached(|| recorder.run()).assert_refused(parts);
}

#[test]
fn a_wrong_path_is_refused_with_its_structure_and_a_suggestion() {
    refused(
        "rawtp:sched_process_exec{p->pidd}",
        &[
            "`struct task_struct` has no member `pidd`",
            "did you mean `pid`",
            "p->pidd",
        ],
    );
    refused(
        "rawtp:sched_process_exec{q->pid}",
        &["no value is named `q` here", "`p`", "`bprm`"],
    );
    refused("rawtp:sched_process_exec{p->mm}{", &["{"]);
    refused(
        "rawtp:sched_process_exec{p->signal}:str",
        &["rawtp:sched_process_exec"],
    );
    refused(
        "rawtp:sched_process_exec{(struct task_strukt *)p}",
        &["unknown type `struct task_strukt`"],
    );
    refused(
        "rawtp:sched_process_exek",
        &["sched_process_exek", "did you mean"],
    );
    refused(
        "sched:sched_switch{prev_pidd}",
        &["no value is named `prev_pidd` here", "`prev_pid`"],
    );
    refused(
        &format!("uprobe:{}:{FUNCTION}x", work()),
        &[
            "has no function `work_probedx`",
            "did you mean `work_probed`",
        ],
    );
    refused(
        "uprobe:/no/such/program:main",
        &["cannot read `/no/such/program`"],
    );
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text");
    fs::write(&text, "no program").unwrap();
    refused(
        &format!("uprobe:{}:main", text.display()),
        &["is not an ELF program or library"],
    );
}

/// Values of one place by the record of the kernel and by its types.
#[test]
fn two_ways_to_a_value_lead_to_the_same() {
    let raw = "rawtp:sched_switch{prev->pid, next->pid, next->prio, next->comm:str}";
    let held = crate::common::recording::Held::new(&["--cpu", "1", "switch", "100"]);
    let pid = held.pid().to_string();
    let recording = Recorder::new(&["-e", raw, "-e", "sched:sched_switch", "-p", &pid])
        .command(["sh", "-c", &held.script()])
        .run();
    let other = printed(&recording.stdout, "other");
    let trace = recording.trace();
    let of = |name: &str, fields: [&str; 3]| -> Vec<(u32, Vec<Value>)> {
        let between = trace
            .of(name)
            .filter(|event| event.tid == held.pid() || event.tid == other);
        let values = |event: &Event| {
            fields
                .iter()
                .map(|name| event.fields[*name].clone())
                .collect()
        };
        between.map(|event| (event.tid, values(event))).collect()
    };
    let raw = of("rawtp:sched_switch", ["prev_pid", "next_pid", "next_comm"]);
    let recorded = of("sched_switch", ["prev_tid", "next_tid", "next_comm"]);
    assert!(raw.len() >= 200, "{}", raw.len());
    assert_eq!(raw, recorded);
}
