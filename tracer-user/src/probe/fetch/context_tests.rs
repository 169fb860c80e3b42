//! Contexts on a kernel whose types are made up.

use std::fs;

use super::*;
use crate::kernel::btf::KernelBtfError;
use crate::kernel::btf::builder::Builder;
use crate::probe::fetch::{Base, Memory};

/// A kernel without the member `missing` of `struct task_struct`.
fn kernel_without(missing: &str) -> KernelBtf {
    let mut types = Builder::new();
    let int = types.integer("int", 4, true);
    let uint = types.integer("unsigned int", 4, false);
    let common = types.structure("ns_common", 24, &[("inum", uint, 16)]);
    let namespace = types.structure("pid_namespace", 128, &[("ns", common, 64)]);
    let namespace = types.pointer(namespace);
    let upid = types.structure("upid", 16, &[("nr", int, 0), ("ns", namespace, 8)]);
    let numbers = types.array(upid, 0);
    let pid = types.structure("pid", 96, &[("level", uint, 4), ("numbers", numbers, 96)]);
    let pid = types.pointer(pid);
    let pids = types.array(pid, 4);
    let signal = types.structure("signal_struct", 1024, &[("pids", pids, 400)]);
    let signal = types.pointer(signal);
    let uts = types.structure("uts_namespace", 448, &[("ns", common, 416)]);
    let uts = types.pointer(uts);
    let proxy = types.structure("nsproxy", 72, &[("uts_ns", uts, 8)]);
    let proxy = types.pointer(proxy);
    let user = types.structure("", 4, &[("val", uint, 0)]);
    let user = types.typedef("kuid_t", user);
    let cred = types.structure("cred", 176, &[("euid", user, 24)]);
    let cred = types.constant(cred);
    let cred = types.pointer(cred);
    let forward = types.forward("task_struct");
    let parent = types.pointer(forward);
    let members = [
        ("prio", int, 100),
        ("static_prio", int, 104),
        ("tgid", int, 200),
        ("real_parent", parent, 208),
        ("thread_pid", pid, 216),
        ("cred", cred, 224),
        ("nsproxy", proxy, 232),
        ("signal", signal, 240),
    ];
    let members: Vec<_> = members.into_iter().filter(|row| row.0 != missing).collect();
    types.structure("task_struct", 4096, &members);
    let sys = tempfile::tempdir().unwrap();
    let folder = sys.path().join("kernel/btf");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("vmlinux"), types.bytes()).unwrap();
    KernelBtf::read(sys.path()).unwrap()
}

fn named(name: &str) -> ContextField {
    let kernel = kernel_without("nothing");
    let context = ContextField::named(name, || Ok(&kernel)).unwrap().unwrap();
    assert_eq!((context.field.name.as_str(), context.len()), (name, 4));
    context
}

/// A context that must not need the types of the kernel.
fn plain(name: &str) -> ContextField {
    let context = ContextField::named(name, || panic!("`{name}` needs no types"));
    context.unwrap().unwrap()
}

/// A way from the thread.
fn way(steps: &[i64], load: Load) -> Fetch {
    Fetch {
        base: Base::Task,
        steps: steps.to_vec(),
        load,
    }
}

fn number_at(offset: i64) -> Load {
    Load::Number {
        offset,
        size: 4,
        bits: None,
        memory: Memory::Kernel,
    }
}

#[test]
fn numbers_of_the_thread_are_at_the_ends_of_their_ways() {
    for (name, steps, offset, minus, signed) in [
        // Counted as LTTng does.
        ("prio", &[][..], 100, 100, true),
        ("nice", &[], 104, 120, true),
        ("ppid", &[208], 200, 0, true),
        ("euid", &[224], 24, 0, false),
        ("uts_ns", &[232, 8], 432, 0, false),
    ] {
        let context = named(name);
        let fetch = way(steps, number_at(offset));
        assert_eq!(context.source, ContextSource::Task { fetch, minus });
        let ty = IntegerType::natural(4, signed, Display::Decimal);
        assert_eq!(context.field.ty, FieldType::Integer(ty), "{name}");
    }
}

#[test]
fn numbers_of_namespaces_are_in_entries() {
    for (name, to_number, steps, offset) in [
        ("vtid", &[216][..], &[][..], 0),
        ("vpid", &[240, 408], &[], 0),
        ("vppid", &[208, 240, 408], &[], 0),
        ("pid_ns", &[216], &[8], 80),
    ] {
        let entry = Entry {
            level: way(&[216], number_at(4)),
            last: way(to_number, number_at(4)),
            first: way(to_number, Load::AddressOf { offset: 96 }),
            len: 16,
        };
        let fetch = Fetch {
            base: Base::Entry,
            ..way(steps, number_at(offset))
        };
        let entry = Box::new(entry);
        assert_eq!(named(name).source, ContextSource::Entry { entry, fetch });
    }
}

#[test]
fn what_every_event_has_costs_nothing() {
    for name in ["pid", "tid"] {
        let context = ContextField::named(name, || panic!("`{name}` needs no types"));
        assert_eq!(context.unwrap(), None);
    }
}

#[test]
fn the_name_of_the_thread_has_two_names() {
    let context = plain("comm");
    assert_eq!(context, plain("procname"));
    assert_eq!(context.field.name, "procname");
    assert_eq!(context.len(), COMM_LEN);
}

#[test]
fn a_member_that_the_kernel_lacks_is_named() {
    let kernel = kernel_without("real_parent");
    let error = ContextField::named("ppid", || Ok(&kernel)).unwrap_err();
    let shown = error.to_string();
    let begin = "the kernel does not provide context field `ppid` (`task->real_parent->tgid`): \
                 `struct task_struct` has no member `real_parent`";
    assert!(shown.starts_with(begin), "{shown}");
}

#[test]
fn a_kernel_without_types_has_the_contexts_that_need_none() {
    let sys = tempfile::tempdir().unwrap();
    let btf = || Err(KernelBtf::read(sys.path()).unwrap_err());
    let error = ContextField::named("nice", btf).unwrap_err();
    assert!(matches!(
        &error,
        ContextError::Btf { name, cause: KernelBtfError::Missing(_) } if name == "nice"
    ));
    plain("uid");
}

#[test]
fn similar_names_are_suggested() {
    let error = ContextField::named("pppid", || unreachable!()).unwrap_err();
    let shown = error.to_string();
    assert!(
        shown.starts_with("unknown context field `pppid`"),
        "{shown}"
    );
    assert!(
        shown.contains("`ppid`") && names().iter().all(|name| shown.contains(name)),
        "{shown}"
    );
}

#[test]
fn the_largest_comes_first_and_the_payload_is_aligned() {
    let mut contexts = ["comm", "uid", "cgroup", "gid"].map(plain);
    sort(&mut contexts);
    let names = contexts
        .each_ref()
        .map(|context| context.field.name.as_str());
    assert_eq!(names, ["cgroup", "uid", "gid", "procname"]);
    assert_eq!(len(&contexts), 32);
    assert_eq!(len(&contexts[..2]), 16);
    assert_eq!(len(&[]), 0);
}
