//! The kernel selects the events that match a filter. Needs root.

mod any;
mod conditions;
mod links;

use self::links::Links;
use crate::common::recording::{
    Held, Recorder, Recording, leaves_nothing_attached, printed, work_words,
};
use crate::common::trace::{Event, Trace};

/// Numbers that the workload's calls have, each in calls of their own.
const NUMBERS: usize = 18;
/// The error of an argument that means nothing, and of a descriptor that is not open.
const EINVAL: i64 = -22;
const EBADF: i64 = -9;

/// Records the calls of `work values`, each `probe` with its options; `--names` is first.
fn values(names: &str, probes: &[&str]) -> Trace {
    let args = [&["--names", names], probes].concat();
    Recorder::new(&[&args[..], &["--only-command"]].concat())
        .command(work_words(&["--cpu", "1", "values"]))
        .run()
        .trace()
}

/// How many events there are of `probe`, filtered.
fn count(probe: &str, filter: &str) -> usize {
    values("tracefs", &["-e", probe, "-f", filter]).events.len()
}

#[test]
fn numbers_with_a_sign_and_without() {
    // Each number is an offset three times, with descriptor 100.
    let seeks = |filter: &str| count("syscalls:sys_enter_lseek", filter);
    assert_eq!(seeks("whence == 7"), NUMBERS);
    assert_eq!(seeks("fd == 100 && whence == 0 && offset < 0"), 5);
    assert_eq!(seeks("fd == 100 && whence == 0 && !(offset >= -2)"), 3);
    assert_eq!(seeks("fd == 100 && offset == -9223372036854775808"), 3);
    // As a descriptor, each number is cut to 32 bits without a sign.
    assert_eq!(seeks("fd >= 0x80000000"), 6);
    assert_eq!(seeks("fd > 2147483647 && fd < 0xffffffff"), 3);
    assert_eq!(seeks("whence == 7 && (offset & 0xff) == 0xff"), 6);
    assert_eq!(seeks("whence == 7 && offset & 0x100"), 8);
    assert_eq!(seeks("whence == 7 && (offset == 255 || offset == 256)"), 2);
    // Signed numbers of 32 bits, and one of 16 bits without a sign.
    let priorities = |filter: &str| count("syscalls:sys_enter_setpriority", filter);
    assert_eq!(priorities("which == 99 && niceval < 0"), 12);
    assert_eq!(priorities("which == 99 && who == -2147483648"), 1);
    let modes = |filter: &str| count("syscalls:sys_enter_fchmod", filter);
    assert_eq!(modes("fd == 4294967289 && mode == 0xffff"), 4);
}

#[test]
fn what_a_call_returns() {
    let of = |probe: &str, filter: &str| count(probe, filter);
    assert_eq!(of("syscalls:sys_exit_setpriority", "ret == -22"), NUMBERS);
    assert_eq!(of("syscalls:sys_exit_setpriority", "ret >= 0"), 0);
    let trace = values(
        "tracefs",
        &["-e", "syscalls:sys_exit_lseek if ret == -22 || ret == -9"],
    );
    assert!(trace.events.len() > NUMBERS);
    for event in &trace.events {
        assert!([EINVAL, EBADF].contains(&event.number("ret")), "{event:?}");
    }
}

#[test]
fn strings_of_calls() {
    let opened = |filter: &str| {
        let filter = format!("dfd == -7 && {filter}");
        count("syscalls:sys_enter_openat", &filter)
    };
    assert_eq!(opened("filename == 'abc'"), 1);
    assert_eq!(opened("filename == ''"), 1);
    assert_eq!(opened("filename != 'abc'"), 31);
    assert_eq!(opened("filename ~ 'a*'"), 10);
    assert_eq!(opened("filename ~ 'ab?'"), 2);
    assert_eq!(opened("filename ~ '*.[rt][sx]*'"), 4);
    assert_eq!(opened("filename ~ '[!a]*'"), 21);
    assert_eq!(opened("filename ~ 'a\\\\b\\\"c?'"), 1);
    assert_eq!(opened("!(filename ~ '*a*')"), 19);
    assert_eq!(opened("filename == 'Größe'"), 1);
    // Two names in a call.
    let renamed = |filter: &str| count("syscalls:sys_enter_renameat", filter);
    assert_eq!(renamed("oldname == 'a' && newname ~ 'long*'"), 1);
    assert_eq!(renamed("newname == 'none'"), 1);
}

#[test]
fn long_strings_are_compared_up_to_the_cut() {
    let long = |length: usize| "long".repeat(2000)[..length].to_owned();
    let opened = |filter: String| count("syscalls:sys_enter_openat", &filter);
    for length in [62, 63, 64, 65, 127, 128, 4032, 4094] {
        assert_eq!(
            opened(format!("filename == '{}'", long(length))),
            1,
            "{length}"
        );
    }
    // Of the name of 4096 bytes an event has as much.
    assert_eq!(opened(format!("filename == '{}'", long(4095))), 2);
    assert_eq!(opened(format!("filename == '{}'", long(4096))), 0);
    assert_eq!(opened(format!("filename ~ '{}*'", long(4096))), 0);
    assert_eq!(opened(format!("filename ~ '{}*'", long(4094))), 3);
    // A general pattern goes through all of it.
    assert_eq!(opened("filename ~ 'l*gl*g' && filename != ''".into()), 4);
    assert_eq!(opened("filename ~ 'l*onglo'".into()), 3);
}

#[test]
fn patterns_have_sixty_three_items() {
    let pattern = |items: usize| format!("dfd == -7 && filename ~ '{}'", "?".repeat(items));
    let opened = |items| count("syscalls:sys_enter_openat", &pattern(items));
    assert_eq!(opened(62), 1);
    assert_eq!(opened(63), 1);
    let too_long = pattern(64);
    refused(
        &["-e", "syscalls:sys_enter_openat", "-f", &too_long],
        &["is too long: the maximum is 63 characters other than `*`"],
    );
}

#[test]
fn names_of_threads_in_tracepoints() {
    let renamed = |filter: &str| count("task:task_rename", filter);
    assert_eq!(renamed("newcomm ~ 'worker/*'"), 2);
    assert_eq!(renamed("newcomm == 'worker/10'"), 1);
    assert_eq!(renamed("newcomm == 'fifteen--bytes-'"), 1);
    assert_eq!(renamed("newcomm ~ '*o*k?r/[01]'"), 1);
    assert_eq!(renamed("newcomm ~ 'more than fift*'"), 1);
    assert_eq!(renamed("oldcomm == 'w' && newcomm != 'w'"), 1);
}

#[test]
fn strings_of_variable_length_in_tracepoints() {
    let links = Links::new(&["first", "second", "another"]);
    let of = |filter: &str| {
        let recording = Recorder::new(&["-e", "sched:sched_process_exec", "-f", filter])
            .command(links.words())
            .run();
        let trace = recording.trace();
        let events = trace.events.iter();
        let own = events.filter(|event| event.text("filename").starts_with(&links.dir()));
        own.map(|event| {
            event
                .text("filename")
                .rsplit('/')
                .next()
                .unwrap()
                .to_owned()
        })
        .collect::<Vec<_>>()
    };
    let dir = links.dir();
    assert_eq!(of(&format!("filename == '{dir}/second'")), ["second"]);
    assert_eq!(
        of(&format!("filename ~ '{dir}/*'")),
        ["first", "second", "another"]
    );
    assert_eq!(of("filename ~ '*/[fs]*t'"), ["first"]);
    assert_eq!(of("filename ~ '*/?????d'"), ["second"]);
}

#[test]
fn contexts_of_events() {
    let held = Held::new(&["--cpu", "1", "getppid", "10"]);
    let pid = held.pid();
    // All are asked of the same calls: each class has its own filter.
    let filters = [
        format!("pid == {pid} && tid == {pid}"),
        format!("ctx.pid != {pid} && pid == {pid}"),
    ];
    let recording = Recorder::new(&[
        "-e",
        "syscalls:sys_enter_getppid",
        "-f",
        &filters[0],
        "-e",
        "syscalls:sys_exit_getppid",
        "-f",
        &filters[1],
    ])
    .command(["sh", "-c", &held.script()])
    .run();
    let trace = recording.trace();
    assert_eq!(trace.events.len(), 10);
    assert_eq!(trace.count("syscall_entry_getppid", pid), 10);
}

/// Records getppid of the workload on CPU 1 alone; the shell before it makes none that count.
fn asked(filter: &str) -> usize {
    let recording = Recorder::new(&["-e", "syscalls:sys_enter_getppid", "-f", filter])
        .command(work_words(&["--cpu", "1", "getppid", "10"]))
        .run();
    let pid = printed(&recording.stdout, "pid");
    recording.trace().count("syscall_entry_getppid", pid)
}

#[test]
fn names_users_and_cpus_of_threads() {
    let uid = rustix::process::getuid().as_raw();
    assert_eq!(asked("comm == 'work'"), 10);
    assert_eq!(asked("comm == 'wor'"), 0);
    assert_eq!(asked("comm ~ 'wo*' && comm != 'works'"), 10);
    assert_eq!(asked("comm ~ '*[rR]k'"), 10);
    assert_eq!(asked("comm ~ '*'"), 10);
    assert_eq!(asked("!(comm ~ '*')"), 0);
    assert_eq!(asked("comm ~ '**' && comm ~ '*' || comm == ''"), 10);
    assert_eq!(asked("comm ~ 'work has a name of sixteen bytes*'"), 0);
    assert_eq!(asked("comm != 'work has a name of sixteen bytes'"), 10);
    assert_eq!(asked("cpu == 1"), 10);
    assert_eq!(asked("cpu != 1"), 0);
    assert_eq!(asked(&format!("uid == {uid}")), 10);
    assert_eq!(asked(&format!("uid != {uid}")), 0);
}

#[test]
fn a_filter_knows_the_names_of_the_kernel_and_those_of_the_trace() {
    for names in [["next_pid", "prev_pid"], ["next_tid", "prev_tid"]] {
        let held = Held::new(&["--cpu", "1", "switch", "100"]);
        let pid = held.pid();
        let filter = names.map(|name| format!("{name} == {pid}")).join(" || ");
        let trace = Recorder::new(&["-e", "sched:sched_switch", "-f", &filter])
            .command(["sh", "-c", &held.script()])
            .run()
            .trace();
        let names = ["next_tid", "prev_tid"];
        let is_of_it = |event: &Event| {
            let mut tids = names.iter().map(|name| event.number(name));
            tids.any(|tid| tid == i64::from(pid))
        };
        assert!(trace.events.iter().all(is_of_it));
        // To it and from it, in each round.
        assert!(trace.events.len() >= 200, "{}", trace.events.len());
    }
}

#[test]
fn a_filter_without_meaning_for_a_class_leaves_the_class_out() {
    let recording = Recorder::new(&[
        "--names",
        "tracefs",
        "--only-command",
        "-e",
        "syscall:lseek if whence == 7",
    ])
    .command(work_words(&["values"]))
    .run();
    let trace = recording.trace();
    // The return has no such field.
    assert_eq!(trace.classes(), ["syscall_entry_lseek"].into());
    assert_eq!(trace.events.len(), NUMBERS);
}

#[test]
fn each_probe_has_its_own_filter_and_one_before_all_is_for_those_without() {
    let probes = [
        "-f",
        "which == 99 && who == 8",
        "-e",
        "syscalls:sys_enter_setpriority",
        "-e",
        "syscalls:sys_enter_lseek if whence == 7",
    ];
    let trace = values("tracefs", &probes);
    assert_eq!(trace.of("syscall_entry_setpriority").count(), 1);
    assert_eq!(trace.of("syscall_entry_lseek").count(), NUMBERS);
}

/// The recording is refused with this message, and leaves nothing.
fn refused(args: &[&str], parts: &[&str]) {
    let run = || {
        Recorder::new(args)
            .command(work_words(&["exit", "0"]))
            .run()
    };
    let recording: Recording = leaves_nothing_attached(run);
    recording.assert_refused(parts);
}

#[test]
fn wrong_filters_are_refused() {
    let probe = "syscalls:sys_enter_openat";
    for (filter, parts) in [
        (
            "filenam == 'a'",
            &["no field `filenam`", "did you mean `filename`"][..],
        ),
        ("filename == 3", &["filename", "a string"]),
        ("flags == 'x'", &["flags", "numbers stand without quotes"]),
        ("filename & 1", &["`&` is for numbers"]),
        ("dfd == 99999999999", &["is out of range for `dfd`"]),
        ("dfd ==", &["dfd =="]),
        ("string_fault == 0", &["cannot look at `string_fault`"]),
    ] {
        refused(&["-e", probe, "-f", filter], parts);
    }
    refused(
        &[
            "-e",
            "syscalls:sys_enter_openat if dfd == 1",
            "-f",
            "dfd == 2",
        ],
        &["join them with `&&`"],
    );
}
