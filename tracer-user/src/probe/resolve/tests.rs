//! Resolving against the files of a recorded kernel (6.18, x86-64), shortened.

use std::path::Path;

use tracer_common::arch::NATIVE;

use super::*;
use crate::probe::syscalls::Numbers;
use crate::trace::event::{Display, FieldType, IntegerType};

fn recorded() -> KernelFiles {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/kernel-6.18");
    KernelFiles {
        tracefs: root.join("tracefs"),
        proc: root.join("proc"),
        sys: root.join("sys"),
        modules: root.join("modules"),
    }
}

fn resolved(texts: &[&str]) -> Result<Vec<ResolvedProbe>, ProbeError> {
    let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
    resolve_texts(&recorded(), &texts)
}

fn names(texts: &[&str]) -> Vec<String> {
    resolved(texts)
        .unwrap()
        .into_iter()
        .map(|probe| probe.class.name)
        .collect()
}

fn message(text: &str) -> String {
    resolved(&[text]).unwrap_err().to_string()
}

#[test]
fn sched_switch_is_a_straight_copy() {
    let probes = resolved(&["sched:sched_switch"]).unwrap();
    let AttachPoint::Tracepoint { id, spec, .. } = &probes[0].attach_point else {
        panic!("{:?}", probes[0].attach_point)
    };
    assert_eq!(*id, 372);
    assert_eq!(
        (spec.flags, spec.payload_offset, spec.payload_len),
        (0, 8, 56)
    );
    let fields = &probes[0].class.fields;
    let shapes: Vec<(&str, &FieldType)> = fields
        .iter()
        .map(|field| (field.name.as_str(), &field.ty))
        .collect();
    let comm = FieldType::Array {
        element: IntegerType::natural(1, false, Display::Text),
        length: 16,
    };
    let int = FieldType::Integer(IntegerType::natural(4, true, Display::Decimal));
    let state = shapes[3].1.clone();
    assert_eq!(
        shapes,
        [
            ("prev_comm", &comm),
            ("prev_pid", &int),
            ("prev_prio", &int),
            ("prev_state", &state),
            ("next_comm", &comm),
            ("next_pid", &int),
            ("next_prio", &int),
        ]
    );
}

#[test]
fn classes_are_numbered_in_order_and_merged() {
    let probes = resolved(&[
        "syscall:openat,sched:sched_switch",
        "syscalls:sys_exit_openat",
    ])
    .unwrap();
    let numbered: Vec<(u32, &str)> = probes
        .iter()
        .map(|probe| (probe.class.id, probe.class.name.as_str()))
        .collect();
    assert_eq!(
        numbered,
        [
            (0, "syscall_entry_openat"),
            (1, "syscall_exit_openat"),
            (2, "sched:sched_switch"),
        ]
    );
    for probe in &probes {
        let class = match &probe.attach_point {
            AttachPoint::Syscall { spec, .. } => spec.class,
            AttachPoint::Tracepoint { spec, .. } => spec.class,
            other => panic!("{other:?}"),
        };
        assert_eq!(class, probe.class.id);
    }
}

#[test]
fn what_a_pattern_and_a_name_find_is_explicit_in_either_order() {
    for texts in [
        ["sched:*", "sched:sched_switch"],
        ["sched:sched_switch", "sched:*"],
    ] {
        let probes = resolved(&texts).unwrap();
        let explicit: Vec<&str> = probes
            .iter()
            .filter(|probe| probe.explicit)
            .map(|probe| probe.class.name.as_str())
            .collect();
        assert_eq!(explicit, ["sched:sched_switch"]);
    }
}

#[test]
fn everything_is_everything_but_the_records_of_ftrace() {
    let all = names(&["*:*"]);
    assert!(all.contains(&"syscall_exit_read".to_owned()));
    assert!(all.contains(&"raw_syscalls:sys_enter".to_owned()));
    assert!(all.iter().all(|name| !name.starts_with("ftrace:")));
    assert_eq!(
        all.iter()
            .filter(|name| name.starts_with("syscall_entry_"))
            .count(),
        12
    );
    assert!(message("ftrace:print").contains("event of ftrace itself"));
}

#[test]
fn a_call_is_found_under_either_name() {
    let expected = ["syscall_entry_newfstat", "syscall_exit_newfstat"];
    assert_eq!(names(&["syscall:fstat"]), expected);
    assert_eq!(names(&["syscall:newfstat"]), expected);
    assert_eq!(names(&["syscalls:sys_enter_fstat"]), expected[..1]);
    let number = Numbers::of(NATIVE).get("umount2").unwrap();
    let probes = resolved(&["syscall:umount2"]).unwrap();
    assert!(
        matches!(probes[0].attach_point, AttachPoint::Syscall { nr, entry: true, .. } if nr == number)
    );
}

#[test]
fn whole_calls_are_classes_of_their_own() {
    let expected = [
        "syscall_entry_newfstat",
        "syscall_exit_newfstat",
        "call:newfstat",
    ];
    assert_eq!(names(&["syscall:fstat", "call:fstat"]), expected);
    assert_eq!(names(&["call:m*"]), ["call:mmap", "call:mount"]);
    assert!(message("call:opena").contains("call:openat"));
}

#[test]
fn a_call_that_is_no_system_call_is_a_function() {
    let root = tempfile::tempdir().unwrap();
    let symbols = "ff10 T vfs_read\nff50 T vfs_readv\n";
    let files = with_functions(root.path(), symbols, "vfs_read\nvfs_readv\n");
    let names = |text: &str| -> Vec<String> {
        let probes = resolve_texts(&files, &[text.to_owned()]).unwrap();
        let returns = |probe: &ResolvedProbe| {
            matches!(
                &probe.attach_point,
                AttachPoint::Function {
                    target: FunctionTarget::Kretprobe { .. },
                    ..
                }
            )
        };
        assert!(probes.iter().all(returns));
        probes.into_iter().map(|probe| probe.class.name).collect()
    };
    std::fs::create_dir_all(root.path().join("tracefs/events")).unwrap();
    assert_eq!(names("call:vfs_read"), ["call:vfs_read"]);
    assert_eq!(names("call:vfs_*"), ["call:vfs_read", "call:vfs_readv"]);
}

#[test]
fn tracefs_names_mean_one_side_of_a_call() {
    assert_eq!(names(&["syscalls:sys_exit_read"]), ["syscall_exit_read"]);
    assert_eq!(
        names(&["syscalls:sys_enter_m*"]),
        ["syscall_entry_mmap", "syscall_entry_mount"]
    );
}

#[test]
fn strings_of_mount_are_known_and_its_data_is_a_pointer() {
    let probes = resolved(&["syscalls:sys_enter_mount"]).unwrap();
    let AttachPoint::Syscall { spec, .. } = probes[0].attach_point else {
        panic!("{:?}", probes[0].attach_point)
    };
    assert_eq!((spec.strings, spec.arg_count), (0b111, 5));
}

#[test]
fn raw_system_calls_have_a_place_of_their_own() {
    let probes = resolved(&["raw_syscalls:*"]).unwrap();
    assert!(matches!(
        probes[0].attach_point,
        AttachPoint::RawSyscall { entry: true }
    ));
    assert!(matches!(
        probes[1].attach_point,
        AttachPoint::RawSyscall { entry: false }
    ));
}

#[test]
fn the_default_set_leaves_out_what_is_missing() {
    let probes = resolve_texts(&recorded(), &[]).unwrap();
    let sched: Vec<&str> = probes
        .iter()
        .map(|probe| probe.class.name.as_str())
        .filter(|name| name.starts_with("sched:"))
        .collect();
    assert_eq!(
        sched,
        [
            "sched:sched_switch",
            "sched:sched_waking",
            "sched:sched_wakeup",
            "sched:sched_process_fork",
            "sched:sched_process_exec"
        ]
    );
    assert!(
        probes
            .iter()
            .any(|probe| probe.class.name == "syscall_entry_read")
    );
}

#[test]
fn unknown_probes_bring_near_names() {
    assert!(
        message("sched:sched_swich").starts_with(
            "no such tracepoint: `sched:sched_swich`; did you mean `sched:sched_switch`"
        ),
    );
    assert!(message("shed:sched_switch").contains("did you mean `sched`?"));
    assert!(message("syscall:opennat").contains("`syscall:openat`"));
}

#[test]
fn bare_names_bring_the_whole_probe() {
    assert_eq!(
        message("sched_switch"),
        "`sched_switch` is not a probe: missing colon; did you mean `sched:sched_switch`?"
    );
    assert!(message("openat").contains("`syscall:openat`"));
    assert!(message("fstat").contains("`syscall:newfstat`"));
    assert!(message("sched").contains("`sched:*`"));
    assert!(message("opennat").contains("`syscall:openat`"));
    assert!(message("zzzz").contains("write SYSTEM:EVENT"));
}

#[test]
fn patterns_without_a_match_are_errors() {
    for text in ["sched:zz*", "zz*:*", "syscall:zz*"] {
        assert!(message(text).starts_with("no probe matches"), "{text}");
    }
    assert!(message("shed:*").contains("did you mean `sched`?"));
}

#[test]
fn kprobes_need_a_kernel_that_has_them() {
    assert_eq!(
        message("kprobe:vfs_read"),
        "cannot attach to `kprobe:vfs_read`: the kernel was built without CONFIG_KPROBES; use \
         tracepoints (`tracer list`)"
    );
}

/// A kernel that has kprobes and these functions, in a folder of its own.
fn with_functions(root: &Path, kallsyms: &str, listed: &str) -> KernelFiles {
    let write = |path: &str, text: &str| {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("sys/bus/event_source/devices/kprobe/type", "8\n");
    write("proc/kallsyms", kallsyms);
    write("tracefs/available_filter_functions", listed);
    KernelFiles {
        tracefs: root.join("tracefs"),
        proc: root.join("proc"),
        sys: root.join("sys"),
        modules: root.join("modules"),
    }
}

#[test]
fn patterns_find_a_function_once_whatever_they_call_it() {
    let root = tempfile::tempdir().unwrap();
    let symbols = "ff10 t __do_sys_getppid\nff10 T __ia32_sys_getppid\nff10 T __x64_sys_getppid\n";
    let files = with_functions(root.path(), symbols, "__do_sys_getppid\n");
    let classes = |texts: &[&str]| -> Vec<(String, usize)> {
        let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        let probes = resolve_texts(&files, &texts).unwrap();
        let classes = probes.into_iter();
        classes
            .map(|probe| (probe.class.name, probe.request))
            .collect()
    };
    let class = |name: &str, request| (name.to_owned(), request);
    let (x64, ia32) = ("kprobe:__x64_sys_getppid", "kprobe:__ia32_sys_getppid");
    let patterns = ["kprobe:__x64_*", "kprobe:__ia32_*"];
    assert_eq!(classes(&patterns), [class(x64, 1)]);
    // A name means itself; a pattern finds what it has named.
    assert_eq!(classes(&[ia32, patterns[0]]), [class(ia32, 1)]);
    assert_eq!(
        classes(&[patterns[0], ia32]),
        [class(x64, 0), class(ia32, 1)]
    );
    // Returns are events of their own.
    let returns = class("kretprobe:__ia32_sys_getppid", 1);
    assert_eq!(
        classes(&[patterns[0], "kretprobe:__ia32_*"]),
        [class(x64, 0), returns]
    );
}

#[test]
fn kprobes_record_registers() {
    let root = tempfile::tempdir().unwrap();
    let symbols = "ff10 T vfs_read\nff50 T vfs_readv\nff90 T vfs_write\n";
    let files = with_functions(root.path(), symbols, "vfs_read\nvfs_readv\nvfs_write\n");
    let texts = ["kprobe:vfs_read+0x10,kretprobe:vfs_re*".to_owned()];
    let probes = resolve_texts(&files, &texts).unwrap();
    let names: Vec<&str> = probes
        .iter()
        .map(|probe| probe.class.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "kprobe:vfs_read+0x10",
            "kretprobe:vfs_read",
            "kretprobe:vfs_readv"
        ]
    );
    assert!(
        matches!(&probes[0].attach_point, AttachPoint::Function { target: FunctionTarget::Kprobe { offset: 16, uniform: false, .. }, layout, .. } if layout.len == 48)
    );
    assert!(
        matches!(&probes[1].attach_point, AttachPoint::Function { target: FunctionTarget::Kretprobe { .. }, layout, .. } if layout.len == 8)
    );
    assert_eq!(probes[0].class.fields.len(), 6);
}

#[test]
fn a_path_is_no_event_name() {
    assert!(message("sched:../sched/sched_switch").starts_with("no such tracepoint"));
}

#[test]
fn a_kernel_without_readable_tracepoints_is_an_error_by_default() {
    let files = KernelFiles {
        tracefs: "/nowhere".into(),
        ..recorded()
    };
    let error = resolve_texts(&files, &[]).unwrap_err().to_string();
    assert!(
        error.starts_with("cannot read `/nowhere/events`"),
        "{error}"
    );
}

#[test]
fn a_class_belongs_to_the_last_text_that_names_it() {
    let texts = ["syscall:openat", "sched:sched_switch", "syscall:*"].map(str::to_owned);
    let probes = resolve_texts(&recorded(), &texts).unwrap();
    let request = |name: &str| {
        let found = probes.iter().find(|probe| probe.class.name == name);
        found.map(|probe| probe.request)
    };
    assert_eq!(request("syscall_entry_openat"), Some(2));
    assert_eq!(request("sched:sched_switch"), Some(1));
}
