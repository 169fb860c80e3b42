//! Kernels made up of files.

use std::fs;

use super::*;
use crate::kernel::btf::builder::Builder;

/// A folder like `/sys`, of a kernel with `vfs_read` and `rawtp:exec`, and of a module
/// with `hook`.
fn kernel() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut kernel = Builder::new();
    let int = kernel.integer("int", 4, true);
    kernel.function("vfs_read", int, &[("fd", int)]);
    let pointer = kernel.pointer(0);
    let tracepoint = kernel.prototype(0, &[("__data", pointer), ("pid", int)]);
    let tracepoint = kernel.pointer(tracepoint);
    kernel.typedef("btf_trace_exec", tracepoint);
    let mut module = Builder::module_of(&kernel);
    module.function("hook", 0, &[("skb", pointer)]);
    let btf = folder.path().join("kernel/btf");
    fs::create_dir_all(&btf).unwrap();
    fs::write(btf.join("vmlinux"), kernel.bytes()).unwrap();
    fs::write(btf.join("nf_tables"), module.bytes()).unwrap();
    fs::write(btf.join("broken"), b"no BTF").unwrap();
    folder
}

#[test]
fn functions_are_found_in_the_kernel_and_its_modules() {
    let folder = kernel();
    let kernel = KernelBtf::read(folder.path()).unwrap();
    let read = kernel.function("vfs_read").unwrap();
    assert_eq!((read.object, read.ty.id()), ("vmlinux", 3));
    let hook = kernel.function("hook").unwrap();
    assert_eq!(hook.object, "nf_tables");
    let names: Vec<&str> = hook.prototype.arguments().map(|arg| arg.name).collect();
    assert_eq!(names, ["skb"]);
    assert!(kernel.function("nothing").is_none());
    assert_eq!(kernel.functions().collect::<Vec<_>>(), ["vfs_read", "hook"]);
}

#[test]
fn raw_tracepoints_are_without_the_argument_of_the_tracer() {
    let folder = kernel();
    let kernel = KernelBtf::read(folder.path()).unwrap();
    let exec = kernel.raw_tracepoint("exec").unwrap();
    assert_eq!(exec.ty.name(), "btf_trace_exec");
    let names: Vec<&str> = exec.prototype.arguments().map(|arg| arg.name).collect();
    assert_eq!(names, ["pid"]);
    assert_eq!(kernel.raw_tracepoints().collect::<Vec<_>>(), ["exec"]);
}

#[test]
fn a_kernel_without_btf_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let error = KernelBtf::read(folder.path()).unwrap_err();
    assert!(matches!(error, KernelBtfError::Missing(_)));
    assert!(error.to_string().contains("CONFIG_DEBUG_INFO_BTF"));
}
