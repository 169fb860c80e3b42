//! BPF programs that report ids and times of the initial namespaces.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use anyhow::{Context, Result, bail};
use aya_obj::generated::bpf_attach_type::BPF_TRACE_ITER;
use aya_obj::generated::bpf_insn;
use aya_obj::generated::bpf_prog_type::{BPF_PROG_TYPE_RAW_TRACEPOINT, BPF_PROG_TYPE_TRACING};

use crate::kernel::btf::{Btf, KernelBtf, Kind, NameKind, Type};
use crate::record::attach::code::asm::{Code, Helper, Jump, Label, Op, Reg, Width};
use crate::sys::bpf::{self, ProgramKind};

/// A program that returns the id of the current process in the initial namespace.
pub(super) fn own_id() -> Result<OwnedFd> {
    let mut code = Code::default();
    code.call(Helper::GetCurrentPidTgid);
    code.op_imm(Op::ShiftRight, Reg::R0, 32);
    code.exit();
    load_raw("own_id", &code.finish()?)
}

/// A program that returns `(now - arguments[0]) >> arguments[1]`, where `now` is
/// `CLOCK_MONOTONIC` of the initial namespace in nanoseconds.
pub(super) fn time_since() -> Result<OwnedFd> {
    let mut code = Code::default();
    code.load(Width::Double, Reg::R6, Reg::R1, 0);
    code.load(Width::Double, Reg::R7, Reg::R1, 8);
    code.op_imm(Op::And, Reg::R7, 63);
    code.call(Helper::KtimeGetNs);
    code.op_imm(Op::Multiply, Reg::R6, -1);
    code.op(Op::Add, Reg::R0, Reg::R6);
    code.op(Op::ArithmeticShiftRight, Reg::R0, Reg::R7);
    code.exit();
    load_raw("time_since", &code.finish()?)
}

fn load_raw(name: &str, code: &[bpf_insn]) -> Result<OwnedFd> {
    let kind = ProgramKind::of(BPF_PROG_TYPE_RAW_TRACEPOINT);
    Ok(bpf::load_program(kind, name, code, c"GPL")?)
}

/// Lists the threads of the PID namespace of the process that reads it.
pub(super) struct TaskIterator {
    link: OwnedFd,
}

/// A thread: its ids in the initial namespace and in that of the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TaskIds {
    pub(super) outer: u32,
    pub(super) inner: u32,
}

impl TaskIterator {
    pub(super) fn new(sys: &Path) -> Result<Self> {
        let btf = KernelBtf::read(sys)?;
        let btf = btf.vmlinux();
        let function = btf.find(NameKind::Function, "bpf_iter_task");
        let function = function.context("the kernel has no BPF iterator of threads")?;
        let kind = ProgramKind {
            kind: BPF_PROG_TYPE_TRACING,
            attach_type: Some(BPF_TRACE_ITER as u32),
            btf_id: function.id(),
        };
        let code = list_ids(&Layout::read(btf)?)?;
        let program = bpf::load_program(kind, "task_ids", &code, c"GPL")?;
        let link = bpf::link_iterator(program.as_fd())?;
        Ok(Self { link })
    }

    pub(super) fn read(&self) -> io::Result<Vec<TaskIds>> {
        let mut bytes = Vec::new();
        File::from(bpf::open_iterator(self.link.as_fd())?).read_to_end(&mut bytes)?;
        Ok(parse(&bytes))
    }
}

/// The records of [`list_ids`].
fn parse(bytes: &[u8]) -> Vec<TaskIds> {
    let (records, _) = bytes.as_chunks::<8>();
    let id = |bytes: &[u8]| bytes.try_into().map_or(0, u32::from_ne_bytes);
    records
        .iter()
        .map(|record| TaskIds {
            outer: id(&record[..4]),
            inner: id(&record[4..]),
        })
        .collect()
}

/// Offsets in the kernel's structures, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    /// In `struct task_struct`.
    pid: i32,
    thread_pid: i32,
    /// In `struct pid`.
    level: i32,
    numbers: i32,
    /// Of `struct upid`.
    upid_len: i32,
    /// In `struct upid`.
    nr: i32,
}

impl Layout {
    fn read(btf: &Btf) -> Result<Self> {
        let composite = |name: &str| match btf.find(NameKind::Struct, name).map(Type::kind) {
            Some(Kind::Composite(composite)) => Ok(composite),
            _ => bail!("the kernel's BTF has no `struct {name}`"),
        };
        let offset = |structure: &str, member: &str| {
            let found = composite(structure)?.member(member);
            let found = found.with_context(|| format!("no `{member}` in `struct {structure}`"))?;
            Ok::<_, anyhow::Error>((found.bit_offset / 8) as i32)
        };
        Ok(Self {
            pid: offset("task_struct", "pid")?,
            thread_pid: offset("task_struct", "thread_pid")?,
            level: offset("pid", "level")?,
            numbers: offset("pid", "numbers")?,
            upid_len: composite("upid")?.size() as i32,
            nr: offset("upid", "nr")?,
        })
    }
}

/// Places on the stack.
mod stack {
    /// The record: the outer id, then the inner one.
    pub(super) const RECORD: i32 = -8;
    pub(super) const INNER: i32 = -4;
    pub(super) const NUMBERS: i32 = -16;
    pub(super) const READER: i32 = -24;
    pub(super) const LEVEL: i32 = -32;
}

/// The program of the iterator. A `struct pid` has a number for each namespace that its thread is
/// in, the outermost first; the reader's namespace has the level of the reader's last one
/// (`pid_nr_ns`, `kernel/pid.c`).
fn list_ids(layout: &Layout) -> Result<Vec<bpf_insn>> {
    let mut code = Code::default();
    let done = code.label();
    // `struct bpf_iter__task`: `meta`, which begins with the file, and `task`, null at the end.
    code.load(Width::Double, Reg::R7, Reg::R1, 8);
    code.jump_if_imm(Jump::Equal, Reg::R7, 0, done);
    code.load(Width::Double, Reg::R6, Reg::R1, 0);
    code.load(Width::Double, Reg::R6, Reg::R6, 0);
    read(&mut code, stack::RECORD, 4, Reg::R7, layout.pid, done);
    read(
        &mut code,
        stack::NUMBERS,
        8,
        Reg::R7,
        layout.thread_pid,
        done,
    );
    code.call(Helper::GetCurrentTask);
    read(
        &mut code,
        stack::READER,
        8,
        Reg::R0,
        layout.thread_pid,
        done,
    );
    code.load(Width::Double, Reg::R8, Reg::Frame, stack::READER as i16);
    read(&mut code, stack::LEVEL, 4, Reg::R8, layout.level, done);
    code.load(Width::Word, Reg::R8, Reg::Frame, stack::LEVEL as i16);
    code.op_imm(Op::Multiply, Reg::R8, layout.upid_len);
    code.load(Width::Double, Reg::R9, Reg::Frame, stack::NUMBERS as i16);
    code.op(Op::Add, Reg::R8, Reg::R9);
    let number = layout.numbers + layout.nr;
    read(&mut code, stack::INNER, 4, Reg::R8, number, done);
    code.op(Op::Move, Reg::R1, Reg::R6);
    code.op(Op::Move, Reg::R2, Reg::Frame);
    code.op_imm(Op::Add, Reg::R2, stack::RECORD);
    code.set(Reg::R3, 8);
    code.call(Helper::SeqWrite);
    code.place(done);
    code.set(Reg::R0, 0);
    code.exit();
    Ok(code.finish()?)
}

/// Copies `len` bytes at `from + offset` to the stack. Jumps to `fail` if they cannot be read.
fn read(code: &mut Code, to: i32, len: u64, from: Reg, offset: i32, fail: Label) {
    code.op(Op::Move, Reg::R3, from);
    code.op_imm(Op::Add, Reg::R3, offset);
    code.op(Op::Move, Reg::R1, Reg::Frame);
    code.op_imm(Op::Add, Reg::R1, to);
    code.set(Reg::R2, len);
    code.call(Helper::ProbeReadKernel);
    code.jump_if_imm(Jump::NotEqual, Reg::R0, 0, fail);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::btf::builder::Builder;

    #[test]
    fn records_of_the_iterator_are_pairs() {
        let words = [4711_u32, 12, 4712, 13];
        let mut bytes: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
        let ids = |outer, inner| TaskIds { outer, inner };
        assert_eq!(parse(&bytes), [ids(4711, 12), ids(4712, 13)]);
        bytes.pop();
        assert_eq!(parse(&bytes), [ids(4711, 12)]);
    }

    #[test]
    fn offsets_are_those_of_the_kernel() {
        let mut types = Builder::new();
        let int = types.integer("int", 4, true);
        let pointer = types.pointer(int);
        let members = [("pid", int, 4), ("thread_pid", pointer, 16)];
        types.structure("task_struct", 32, &members);
        let upid = types.structure("upid", 16, &[("nr", int, 0), ("ns", pointer, 8)]);
        types.structure("pid", 32, &[("level", int, 4), ("numbers", upid, 16)]);
        let expected = Layout {
            pid: 4,
            thread_pid: 16,
            level: 4,
            numbers: 16,
            upid_len: 16,
            nr: 0,
        };
        assert_eq!(Layout::read(&types.build()).unwrap(), expected);
    }

    #[test]
    fn a_missing_structure_is_named() {
        let error = Layout::read(&Builder::new().build()).unwrap_err();
        let expected = "the kernel's BTF has no `struct task_struct`";
        assert_eq!(error.to_string(), expected);
    }
}
