//! Filters of any kind: the kernel selects the events of which the same filter later says
//! that they are wanted.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRng, TestRunner};
use serde_json::Value;
use tracer::kernel::KernelFiles;
use tracer::kernel::tracefs::mount::Tracefs;
use tracer::probe::filter::{EventContext, Filter};
use tracer::probe::resolve_texts;
use tracer::trace::ctf::{FIRST_EVENT_OFFSET, PacketHeader};
use tracer::trace::event::EventClass;
use tracer::trace::folder::Trace;

use crate::common::recording::{Recorder, Recording, work_words};
use crate::common::trace::Event;
use crate::filters::conditions::filters_for;
use crate::filters::links::Links;

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
fn classes(trace: &Trace) -> Vec<EventClass> {
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

#[test]
fn the_kernel_selects_the_same_events_as_the_filter_in_user_space() {
    let links = Links::new(&["first", "second", "a-third", "fourth_with_a_long_name"]);
    let whole = record_all(&links, None);
    let whole_trace = whole.trace();
    let layout = Trace::open(whole.trace_dir()).unwrap();
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
                    &EventContext {
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
