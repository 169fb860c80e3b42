//! What the kernel selects is what a filter says of the events. Needs root.
#![cfg(feature = "host-tests")]

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use common::recording::{
    Held, Recorder, Recording, leaves_nothing_attached, said, work, work_words,
};
use common::trace::{Event, Trace};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRng, TestRunner};
use serde_json::Value;
use tracer::ctf::{self, FIRST_EVENT_OFFSET, PacketHeader};
use tracer::event::{Display, EventClass, FieldType, IntegerType};
use tracer::filter::{Context, Filter};
use tracer::probe::tracefs::Tracefs;
use tracer::probe::{KernelFiles, resolve_texts};

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
fn long_strings_are_compared_to_where_an_event_is_cut() {
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
        &["is too long: at most 63 characters beside `*`"],
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

/// Names under which the workload can be started.
struct Links {
    folder: tempfile::TempDir,
    names: Vec<String>,
}

impl Links {
    fn new(names: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            symlink(work(), folder.path().join(name)).unwrap();
        }
        let names = names.iter().map(|&name| name.to_owned()).collect();
        Self { folder, names }
    }

    fn dir(&self) -> String {
        self.folder.path().display().to_string()
    }

    /// The command that goes through all of them.
    fn words(&self) -> Vec<String> {
        let mut words = work_words(&["chain"]);
        let path = |name| format!("{}/{name}", self.dir());
        words.extend(self.names.iter().map(path));
        words
    }
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
    let pid = said(&recording.stdout, "pid");
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
fn a_filter_that_has_no_meaning_for_a_class_leaves_it_out() {
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

/// The recording is refused, says this, and leaves nothing behind.
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
        ("dfd == 99999999999", &["does not fit `dfd`"]),
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

/// Probes whose events in the workload are the same each time.
const PROBES: [&str; 9] = [
    "syscalls:sys_enter_lseek",
    "syscalls:sys_exit_lseek",
    "syscalls:sys_enter_setpriority",
    "syscalls:sys_enter_fadvise64",
    "syscalls:sys_enter_fchmod",
    "syscalls:sys_enter_openat",
    "syscalls:sys_enter_renameat",
    "task:task_rename",
    "sched:sched_process_exec",
];

/// How many filters each of them is recorded with.
const FILTERS: usize = 25;

/// What no filter can decide about in the kernel, and what differs from run to run.
const LEFT_OUT: [&str; 5] = ["string_cut", "string_fault", "pid", "old_pid", "tid"];

/// Fields of an event that are the same in each run.
fn same_each_time(event: &Event) -> Vec<(&String, &Value)> {
    let fields = event.fields.iter();
    fields
        .filter(|(name, _)| !["pid", "old_pid"].contains(&name.as_str()))
        .collect()
}

/// An event that the workload makes for this test, and not the start of a program.
fn is_made(event: &Event) -> bool {
    event.name != "syscall_entry_openat" || event.fields["dfd"] == -7
}

/// Records all calls of the workload, with a filter for each probe or without any. All runs on
/// CPU 1 from its start.
fn record_all(links: &Links, filters: Option<&[String]>) -> Recording {
    let mut args = vec![
        "--names".to_owned(),
        "tracefs".to_owned(),
        "--only-command".to_owned(),
    ];
    for (index, probe) in PROBES.iter().enumerate() {
        args.extend(["-e".to_owned(), (*probe).to_owned()]);
        args.extend(
            filters
                .iter()
                .flat_map(|filters| ["-f".to_owned(), filters[index].clone()]),
        );
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut words = work_words(&["sequence", "--"]);
    words.extend(work_words(&["values"]));
    words.push(";".into());
    words.extend(links.words());
    Recorder::new(&args)
        .command(words)
        .by_script("exec taskset -c 1 \"$@\"")
        .run()
}

/// The events of a trace as they lie in its packets, in the order of time on each CPU.
fn raw_events(dir: &Path) -> Vec<(u32, Vec<u8>)> {
    let mut events = Vec::new();
    for cpu in 0.. {
        let Ok(stream) = fs::read(dir.join(format!("channel0_{cpu}"))) else {
            break;
        };
        let mut rest = &stream[..];
        while !rest.is_empty() {
            let header = PacketHeader::parse(rest).unwrap();
            let content = &rest[..header.content_len() as usize];
            let mut at = FIRST_EVENT_OFFSET;
            while at < content.len() {
                let size = u32::from_le_bytes(content[at + 20..at + 24].try_into().unwrap());
                let end = at + size as usize;
                events.push((cpu, content[at..end].to_owned()));
                at = end.next_multiple_of(8);
            }
            rest = &rest[header.packet_len() as usize..];
        }
    }
    events
}

/// The class of each probe, with its number in a trace.
fn classes(trace: &ctf::Trace) -> Vec<EventClass> {
    let files = KernelFiles::running(&Tracefs::open().unwrap());
    let probes = resolve_texts(&files, &PROBES.map(str::to_owned)).unwrap();
    assert_eq!(probes.len(), PROBES.len());
    let with_number = |mut class: EventClass| {
        let mut recorded = trace.classes().iter();
        let recorded = recorded.find(|recorded| recorded.name == class.name);
        class.id = recorded.unwrap_or_else(|| panic!("no {}", class.name)).id;
        class
    };
    probes
        .into_iter()
        .map(|probe| with_number(probe.class))
        .collect()
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Conditions on a number, near the values that it has.
fn number_tests(name: &str, ty: IntegerType, values: Vec<i128>) -> BoxedStrategy<String> {
    let bits = u32::from(ty.size_bits);
    let (min, max) = if ty.signed {
        (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1)
    } else {
        (0, (1i128 << bits) - 1)
    };
    let near = (prop::sample::select(values), -1..=1i128)
        .prop_map(move |(value, by)| (value + by).clamp(min, max));
    let relation = prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]);
    let mask = (0..bits).prop_flat_map(move |low| {
        (Just(low), 1..=bits - low).prop_map(|(low, width)| ((1i128 << width) - 1) << low)
    });
    let mask = mask.prop_map(move |mask| mask.min(max));
    let (first, second, third) = (name.to_owned(), name.to_owned(), name.to_owned());
    prop_oneof![
        3 => (near.clone(), relation).prop_map(move |(value, relation)| {
            format!("{first} {relation} {value}")
        }),
        1 => mask.clone().prop_map(move |mask| format!("{second} & {mask:#x}")),
        1 => (near, mask).prop_map(move |(value, mask)| {
            format!("({third} & {mask:#x}) == {:#x}", value & mask)
        }),
    ]
    .boxed()
}

/// A pattern that is like `text`, as far as `part` and `kind` say.
fn pattern_like(text: &str, part: usize, kind: u8) -> String {
    let text: Vec<char> = text.chars().take(50).collect();
    let part = part % (text.len() + 1);
    let join = |chars: &[char]| chars.iter().collect::<String>();
    let (before, behind) = (join(&text[..part]), join(&text[part..]));
    let rest = join(text.get(part + 1..).unwrap_or_default());
    match (kind, text.get(part)) {
        (0, _) => format!("{before}*"),
        (1, _) => format!("*{behind}"),
        (2, _) => format!("{before}*{rest}*"),
        (3, Some(_)) => format!("{before}?{rest}*"),
        (4, Some(one)) if !"]!^-".contains(*one) => format!("{before}[{one}z]*{rest}*"),
        (5, Some(one)) if !"]!^-".contains(*one) => format!("{before}[!{one}]*"),
        (6, _) => format!("*{behind}*{before}*"),
        _ => join(&text),
    }
}

/// Conditions on a string, like the values that it has.
fn text_tests(name: &str, max: Option<usize>, values: Vec<String>) -> BoxedStrategy<String> {
    let value = prop::sample::select(values);
    let whole = value.clone().prop_filter("one that fits", move |value| {
        max.is_none_or(|max| value.len() <= max)
    });
    let (first, second) = (name.to_owned(), name.to_owned());
    prop_oneof![
        (whole, prop::sample::select(vec!["==", "!="]))
            .prop_map(move |(value, relation)| format!("{first} {relation} {}", quoted(&value))),
        (value, any::<usize>(), 0..8u8).prop_map(move |(value, part, kind)| {
            format!("{second} ~ {}", quoted(&pattern_like(&value, part, kind)))
        }),
    ]
    .boxed()
}

/// Conditions on the events of a class, of the kind that its own events satisfy or not.
fn filters_for(class: &EventClass, events: &[&Event]) -> BoxedStrategy<String> {
    let id = IntegerType::natural(4, false, Display::Decimal);
    let mut tests = vec![number_tests("cpu", id, vec![1])];
    // While a thread gets a name, a trace does not say which of the two it has.
    if class.name != "task:task_rename" {
        tests.push(text_tests(
            "comm",
            Some(16),
            vec!["work".into(), "first".into()],
        ));
    }
    for field in class
        .fields
        .iter()
        .filter(|field| !LEFT_OUT.contains(&field.name.as_str()))
    {
        let values = || events.iter().map(|event| &event.fields[&field.name]);
        let name = &field.name;
        tests.push(match &field.ty {
            FieldType::Integer(ty) | FieldType::Labeled { number: ty, .. } => {
                let number = |value: &Value| {
                    let signed = value.as_i64().map(i128::from);
                    signed.or_else(|| value.as_u64().map(i128::from)).unwrap()
                };
                number_tests(name, *ty, values().map(number).collect())
            }
            ty => {
                let max = match ty {
                    FieldType::Array { length, .. } => Some(*length as usize),
                    _ => None,
                };
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                text_tests(name, max, values().map(text).collect())
            }
        });
    }
    let join = |by: &'static str| move |parts: Vec<String>| format!("({})", parts.join(by));
    prop::strategy::Union::new(tests)
        .prop_recursive(3, 6, 3, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 2..4).prop_map(join(" && ")),
                prop::collection::vec(inner.clone(), 2..4).prop_map(join(" || ")),
                inner.prop_map(|part| format!("!({part})")),
            ]
        })
        .boxed()
}

#[test]
fn the_kernel_selects_what_the_filter_says_of_recorded_events() {
    let links = Links::new(&["first", "second", "a-third", "fourth_with_a_long_name"]);
    let whole = record_all(&links, None);
    let whole_trace = whole.trace();
    let layout = ctf::Trace::open(whole.trace_dir()).unwrap();
    let classes = classes(&layout);
    let raw = raw_events(whole.trace_dir());
    assert_eq!(raw.len(), whole_trace.events.len());
    let events_of = |class: &EventClass| -> Vec<(&Event, &[u8], u32)> {
        let of_class = raw
            .iter()
            .filter(|(_, raw)| raw[8..12] == class.id.to_le_bytes());
        let decoded = whole_trace.of(&class.name);
        decoded
            .zip(of_class)
            .map(|(event, (cpu, raw))| (event, &raw[..], *cpu))
            .collect()
    };
    let rng = TestRng::deterministic_rng(Config::default().rng_algorithm);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let strategies: Vec<BoxedStrategy<String>> = classes
        .iter()
        .map(|class| {
            let made = events_of(class).into_iter().map(|(event, ..)| event);
            filters_for(
                class,
                &made.filter(|event| is_made(event)).collect::<Vec<_>>(),
            )
        })
        .collect();
    let (mut selected, mut refused) = (0, 0);
    for _ in 0..FILTERS {
        let draw = |strategy: &BoxedStrategy<String>, runner: &mut TestRunner| {
            strategy.new_tree(runner).unwrap().current()
        };
        let filters: Vec<String> = strategies
            .iter()
            .map(|strategy| draw(strategy, &mut runner))
            .collect();
        let trace = record_all(&links, Some(&filters)).trace();
        for (class, filter) in classes.iter().zip(&filters) {
            let resolved = Filter::parse(filter).unwrap().resolve(class).unwrap();
            let wanted = |(event, raw, cpu): &(&Event, &[u8], u32)| {
                let comm = |_: &_| Some(event.comm.as_bytes().into());
                resolved.matches(
                    raw,
                    &Context {
                        cpu: *cpu,
                        comm: &comm,
                    },
                )
            };
            let all = events_of(class);
            let expected: Vec<_> = all
                .iter()
                .filter(|event| is_made(event.0) && wanted(event))
                .map(|(event, ..)| same_each_time(event))
                .collect();
            let found: Vec<_> = trace
                .of(&class.name)
                .filter(|event| is_made(event))
                .map(same_each_time)
                .collect();
            assert!(
                found == expected,
                "`{filter}` of {}: the kernel selected {} of {} events, and these are {}:\n\
                 {found:?}\n{expected:?}",
                class.name,
                found.len(),
                all.len(),
                expected.len()
            );
            selected += found.len();
            refused += all.iter().filter(|event| is_made(event.0)).count() - found.len();
        }
    }
    println!("selected {selected} events and refused {refused}");
    assert!(
        selected > 1000 && refused > 1000,
        "selected {selected}, refused {refused}"
    );
}
