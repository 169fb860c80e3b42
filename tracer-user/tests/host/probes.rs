//! Resolving against the kernel that runs the test. Needs root.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use tracer::kernel::KernelFiles;
use tracer::kernel::tracefs::format::Format;
use tracer::kernel::tracefs::mount::Tracefs;
use tracer::probe::{AttachPoint, ResolvedProbe, resolve_texts};
use tracer::sys::mount::TracefsMount;
use tracer::trace::event::{EventClass, Field, FieldType};
use tracer_common::{MAX_PIECES, PieceKind, ProbeSpec, spec_flags};

/// Also returns the CPU time, which does not depend on the load of the machine.
fn resolve(tracefs: &Tracefs, text: &str) -> (Vec<ResolvedProbe>, Duration) {
    let files = KernelFiles::running(tracefs);
    let start = cpu_time();
    let probes = resolve_texts(&files, &[text.to_owned()]).unwrap();
    (probes, cpu_time().saturating_sub(start))
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn layout_kind(spec: &ProbeSpec) -> &'static str {
    let pieces = &spec.pieces[..spec.piece_count as usize];
    if spec.flags & spec_flags::PIECES == 0 {
        "straight"
    } else if pieces
        .iter()
        .all(|piece| piece.kind == PieceKind::Fixed as u32)
    {
        "scattered"
    } else {
        "dynamic"
    }
}

/// Where a CTF reader finds each field, in bits from the start of the payload, and where
/// the payload ends; of classes without strings and sequences.
fn walk(fields: &[Field]) -> (Vec<u64>, u64) {
    let mut cursor = 0_u64;
    let mut starts = Vec::new();
    for field in fields {
        let (integer, count) = match field.ty {
            FieldType::Integer(number) | FieldType::Labeled { number, .. } => (number, 1),
            FieldType::Array { element, length } => (element, length),
            FieldType::Sequence { .. } | FieldType::String => panic!("{field:?} is dynamic"),
        };
        starts.push(cursor.next_multiple_of(u64::from(integer.align_bits)));
        for _ in 0..count {
            cursor = cursor.next_multiple_of(u64::from(integer.align_bits))
                + u64::from(integer.size_bits);
        }
    }
    (starts, cursor)
}

/// Asserts that a straight copy of the record has each field where the kernel put it.
fn assert_straight(class: &EventClass, spec: &ProbeSpec, format: &Format) {
    let (starts, end) = walk(&class.fields);
    let expected: Vec<u64> = format
        .fields
        .iter()
        .filter(|field| field.size > 0)
        .map(|field| 8 * u64::from(field.offset - spec.payload_offset))
        .collect();
    assert_eq!(starts, expected, "{}", class.name);
    assert_eq!(end, 8 * u64::from(spec.payload_len), "{}", class.name);
}

fn field_names_are_unique(class: &EventClass) -> bool {
    let names: HashSet<&str> = class
        .fields
        .iter()
        .map(|field| field.name.as_str())
        .collect();
    names.len() == class.fields.len()
}

#[test]
fn every_tracepoint_of_this_kernel_has_a_layout_that_adds_up() {
    let tracefs = Tracefs::open().unwrap();
    let files = KernelFiles::running(&tracefs);
    let (probes, elapsed) = resolve(&tracefs, "*:*");
    let mut kinds = BTreeMap::<&str, usize>::new();
    let mut most_pieces = 0;
    for probe in &probes {
        let class = &probe.class;
        assert!(field_names_are_unique(class), "{}", class.name);
        let kind = match &probe.attach_point {
            AttachPoint::Tracepoint {
                system, name, spec, ..
            } => {
                most_pieces = most_pieces.max(spec.piece_count);
                if spec.flags & spec_flags::PIECES == 0 {
                    assert_straight(class, spec, &files.format(system, name).unwrap());
                }
                layout_kind(spec)
            }
            AttachPoint::Syscall { .. } => "syscall",
            AttachPoint::RawSyscall { .. } => "raw syscall",
            AttachPoint::Call { .. } => "call",
            other @ AttachPoint::Function { .. } => panic!("{other:?}"),
        };
        *kinds.entry(kind).or_default() += 1;
    }
    println!(
        "`*:*`: {} classes in {elapsed:?}, {kinds:?}, at most {most_pieces} pieces of {MAX_PIECES}",
        probes.len()
    );
    assert!(kinds["syscall"] > 600);
}

#[test]
fn resolving_takes_milliseconds() {
    let tracefs = Tracefs::open().unwrap();
    for (text, limit) in [("syscall:*", 150), ("*:*", 300)] {
        let best = (0..3).map(|_| resolve(&tracefs, text).1).min().unwrap();
        println!("`{text}`: {best:?}");
        if !cfg!(debug_assertions) {
            assert!(best < Duration::from_millis(limit), "{text}: {best:?}");
        }
    }
}

#[test]
fn a_private_tracefs_has_events_and_leaves_the_mount_table_alone() {
    let mount_table = || std::fs::read_to_string("/proc/self/mounts").unwrap();
    let before = mount_table();
    let mount = TracefsMount::new().unwrap();
    let path = mount.path().to_owned();
    assert!(path.join("events/sched/sched_switch/format").exists());
    assert_eq!(mount_table(), before);
    drop(mount);
    assert!(!path.join("events").exists());
    assert_eq!(mount_table(), before);
}

#[test]
fn a_private_tracefs_shows_the_same_probes() {
    let shown = Tracefs::open().unwrap();
    let private = Tracefs::private().unwrap();
    assert!(private.is_private());
    let names = |tracefs| -> Vec<String> {
        resolve(tracefs, "sched:*")
            .0
            .into_iter()
            .map(|probe| probe.class.name)
            .collect()
    };
    assert_eq!(names(&private), names(&shown));
}

#[test]
fn functions_of_this_kernel_are_found_quickly() {
    let tracefs = Tracefs::open().unwrap();
    // Whether this kernel has kprobes or not, its lists can be read.
    let sys = tempfile::tempdir().unwrap();
    let kprobe = sys.path().join("bus/event_source/devices/kprobe");
    std::fs::create_dir_all(&kprobe).unwrap();
    std::fs::write(kprobe.join("type"), "8\n").unwrap();
    let files = KernelFiles {
        sys: sys.path().into(),
        ..KernelFiles::running(&tracefs)
    };
    let start = Instant::now();
    let texts = ["kprobe:vfs_read,kretprobe:vfs_*".to_owned()];
    let probes = resolve_texts(&files, &texts).unwrap();
    println!("{} functions in {:?}", probes.len(), start.elapsed());
    assert!(probes.len() > 10);
}
