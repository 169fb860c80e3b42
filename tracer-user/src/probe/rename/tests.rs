use std::collections::HashSet;
use std::path::Path;

use tracer_common::{PieceKind, ProbeSpec, spec_flags};

use crate::kernel::KernelFiles;
use crate::probe::rename::rename;
use crate::probe::{AttachPoint, resolve_texts};
use crate::trace::event::{EventClass, FieldType};
use crate::trace::lttng::{EVENTS, of_tracepoint, other_name, with_kernel_fields};

fn recorded() -> KernelFiles {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/kernel-6.18");
    KernelFiles {
        tracefs: root.join("tracefs"),
        proc: root.join("proc"),
        sys: root.join("sys"),
        modules: root.join("modules"),
    }
}

fn renamed(text: &str) -> (EventClass, ProbeSpec) {
    let files = recorded();
    let mut probes = resolve_texts(&files, &[text.to_owned()]).unwrap();
    rename(&files, &mut probes).unwrap();
    let probe = probes.remove(0);
    match probe.attach_point {
        AttachPoint::Tracepoint { spec, .. } => (probe.class, *spec),
        other => panic!("{other:?}"),
    }
}

fn names(class: &EventClass) -> Vec<&str> {
    let fields = class.fields.iter();
    fields.map(|field| field.name.as_str()).collect()
}

fn kinds(spec: &ProbeSpec) -> Vec<u32> {
    let pieces = &spec.pieces[..spec.piece_count as usize];
    pieces.iter().map(|piece| piece.kind).collect()
}

#[test]
fn no_event_is_there_twice() {
    let mut seen = HashSet::new();
    for event in EVENTS {
        assert!(seen.insert(event.name), "{}", event.name);
        let (system, tracepoint) = (event.system, event.tracepoint);
        assert_eq!(of_tracepoint(system, tracepoint), Some(event));
    }
}

#[test]
fn a_switch_is_still_one_copy_with_two_priorities() {
    let (class, spec) = renamed("sched:sched_switch");
    assert_eq!(class.name, "sched_switch");
    assert_eq!(
        names(&class),
        [
            "prev_comm",
            "prev_tid",
            "prev_prio",
            "prev_state",
            "next_comm",
            "next_tid",
            "next_prio"
        ]
    );
    assert_eq!(spec.flags & spec_flags::PIECES, 0);
    assert_eq!((spec.priority_count, spec.priorities), (2, [20, 52]));
}

#[test]
fn a_fork_has_processes_that_the_record_lacks() {
    let (class, spec) = renamed("sched:sched_process_fork");
    assert_eq!(
        names(&class),
        [
            "parent_comm",
            "parent_tid",
            "child_comm",
            "child_tid",
            "parent_pid",
            "child_pid"
        ]
    );
    let last = spec.piece_count as usize - 1;
    assert_eq!(spec.pieces[last - 1].kind, PieceKind::Pid as u32);
    assert_eq!(spec.pieces[last].kind, PieceKind::PidOfNewThread as u32);
    assert_eq!(spec.pieces[last].offset, 20, "the kernel's child_pid");
}

#[test]
fn a_request_has_its_flags_as_bits() {
    let (class, spec) = renamed("block:block_rq_issue");
    let rwbs = class.fields.iter().find(|field| field.name == "rwbs");
    let FieldType::Integer(ty) = rwbs.unwrap().ty else {
        panic!("{rwbs:?}")
    };
    assert_eq!((ty.size_bits, ty.signed), (32, false));
    assert!(kinds(&spec).contains(&(PieceKind::RequestFlags as u32)));
    assert!(kinds(&spec).contains(&(PieceKind::Tid as u32)));
}

#[test]
fn a_new_thread_is_noted_after_its_bytes() {
    let (class, spec) = renamed("task:task_newtask");
    assert_eq!(class.name, "task:task_newtask");
    let note = spec.pieces[spec.piece_count as usize - 1];
    assert_eq!(note.kind, PieceKind::NewThread as u32);
    assert_eq!((note.offset, note.len), (8, 32));
}

#[test]
fn other_events_stay_as_they_are() {
    let (class, _) = renamed("tcp:tcp_probe");
    assert_eq!(class.name, "tcp:tcp_probe");
    assert_eq!(with_kernel_fields(&class), None);
}

#[test]
fn fields_have_the_names_of_the_kernel_again() {
    let (class, _) = renamed("sched:sched_wakeup");
    assert_eq!(names(&class), ["comm", "tid", "prio", "target_cpu"]);
    let class = with_kernel_fields(&class).unwrap();
    assert_eq!(names(&class), ["comm", "pid", "prio", "target_cpu"]);
}

#[test]
fn each_name_leads_to_the_other() {
    assert_eq!(other_name("sched:sched_switch").unwrap(), "sched_switch");
    assert_eq!(other_name("irq_softirq_exit").unwrap(), "irq:softirq_exit");
    assert_eq!(other_name("kprobe:vfs_read"), None);
}
