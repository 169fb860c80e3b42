//! Contexts on a kernel whose types are made up.

use std::fs;

use super::*;
use crate::btf::{KernelBtfError, builder::Builder};

/// A kernel whose `struct task_struct` has these members, each at its offset in bytes.
fn kernel(members: &[(&str, u32)]) -> KernelBtf {
    let mut types = Builder::new();
    let int = types.integer("int", 4, true);
    let members: Vec<_> = members.iter().map(|&(name, at)| (name, int, at)).collect();
    types.structure("task_struct", 4096, &members);
    let sys = tempfile::tempdir().unwrap();
    let folder = sys.path().join("kernel/btf");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("vmlinux"), types.bytes()).unwrap();
    KernelBtf::read(sys.path()).unwrap()
}

/// A context that must not need the types of the kernel.
fn plain(name: &str) -> Context {
    Context::named(name, || panic!("`{name}` needs no types")).unwrap()
}

fn of_task(name: &str) -> (Vec<i64>, Load, i32) {
    let kernel = kernel(&[
        ("prio", 100),
        ("static_prio", 104),
        ("tgid", 200),
        ("real_parent", 208),
    ]);
    let context = Context::named(name, || Ok(&kernel)).unwrap();
    assert_eq!((context.field.name.as_str(), context.len()), (name, 4));
    let ContextSource::Task { fetch, minus } = context.source else {
        panic!("{:?}", context.source);
    };
    assert_eq!(fetch.base, Base::Task);
    (fetch.steps, fetch.load, minus)
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
fn priorities_are_counted_as_lttng_does() {
    assert_eq!(of_task("prio"), (vec![], number_at(100), 100));
    assert_eq!(of_task("nice"), (vec![], number_at(104), 120));
}

#[test]
fn the_parent_is_one_step_away() {
    assert_eq!(of_task("ppid"), (vec![208], number_at(200), 0));
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
    let kernel = kernel(&[("tgid", 200)]);
    let error = Context::named("ppid", || Ok(&kernel)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "this kernel has no `task_struct.real_parent`, which context `ppid` is read from"
    );
}

#[test]
fn a_kernel_without_types_has_the_contexts_that_need_none() {
    let sys = tempfile::tempdir().unwrap();
    let btf = || Err(KernelBtf::read(sys.path()).unwrap_err());
    let error = Context::named("nice", btf).unwrap_err();
    assert!(matches!(
        &error,
        ContextError::Btf { name, source: KernelBtfError::Missing(_) } if name == "nice"
    ));
    plain("uid");
}

#[test]
fn what_may_have_been_meant_is_said() {
    let error = Context::named("pppid", || unreachable!()).unwrap_err();
    let shown = error.to_string();
    assert!(shown.starts_with("there is no context `pppid`"), "{shown}");
    assert!(
        shown.contains("`ppid`") && shown.contains("cgroup"),
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
