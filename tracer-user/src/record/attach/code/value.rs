//! Loading a value: from registers or the kernel's record, and through pointers.

use tracer_common::arch::NATIVE;

use crate::probe::fetch::{Base, Fetch, Load, Memory};
use crate::record::attach::code::asm::{Code, Helper, Jump, Label, Op, Reg, Width};

/// How a program finds arguments and results: the kind of its context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::record::attach) enum Abi {
    /// The registers at a function's entry or return (`struct pt_regs`).
    Registers,
    /// As [`Registers`](Self::Registers), but of a process, with addresses in user space.
    UserRegisters,
    /// The registers of a system call. Its result is passed separately.
    Syscall,
    /// An array of arguments (raw tracepoints).
    Arguments,
    /// As [`Arguments`](Self::Arguments), with types known to the verifier, so that the program
    /// can load from the structures that they point to.
    TypedArguments,
    /// As [`Arguments`](Self::Arguments), with types known to the verifier (fentry, fexit).
    Trampoline,
    /// The record of one of perf's tracepoints.
    Record,
}

/// Holds the context of the program.
pub(super) const CTX: Reg = Reg::R6;

/// Holds the address of [`Base::Entry`] in the code of contexts.
pub(super) const ENTRY: Reg = Reg::R8;

/// The stack slot of a word that a helper writes.
pub(super) const WORD: i16 = -8;
/// The stack slot in which a filter keeps the result of a system call, or the duration of a
/// function.
pub(super) const RETURNED: i16 = -16;
/// The stack slot in which a filter keeps the address of the values kept from a function's
/// entry.
pub(super) const CALL_ENTRY: i16 = -24;
/// The stack below this offset is free for other uses.
pub(super) const FREE: i16 = -24;

impl Code {
    /// `R0` = the number at the end of `fetch`, sign-extended to 64 bits if `signed`. Jumps to
    /// `fail` if memory cannot be read.
    pub(super) fn number(&mut self, abi: Abi, fetch: &Fetch, signed: bool, fail: Label) {
        self.address(abi, fetch, fail);
        match fetch.load {
            Load::Itself => {}
            Load::AddressOf { offset } => self.op_imm(Op::Add, Reg::R0, offset as i32),
            Load::Number {
                offset,
                size,
                bits,
                memory,
            } => {
                let width = Width::of(size.into()).unwrap_or(Width::Double);
                self.read_word(width, offset, memory);
                self.jump_if_imm(Jump::NotEqual, Reg::R0, 0, fail);
                self.load(width, Reg::R0, Reg::Frame, WORD);
                let size_bits = u32::from(size) * 8;
                match bits {
                    Some((shift, width)) => {
                        self.op_imm(Op::ShiftRight, Reg::R0, shift.into());
                        self.extend(Reg::R0, width.into(), signed);
                    }
                    None if signed => self.extend(Reg::R0, size_bits, true),
                    None => {}
                }
            }
            // Neither is a number, so filters and layouts do not get here.
            Load::Bytes { .. } | Load::String { .. } => self.jump(fail),
        }
    }

    /// `R0` = the last address of `fetch` (the base itself if it has no steps). Jumps to
    /// `fail` if memory cannot be read.
    pub(super) fn address(&mut self, abi: Abi, fetch: &Fetch, fail: Label) {
        self.base(abi, fetch.base, fail);
        let memory = match abi {
            Abi::UserRegisters => Memory::User,
            _ => Memory::Kernel,
        };
        for &step in &fetch.steps {
            self.read_word(Width::Double, step, memory);
            self.jump_if_imm(Jump::NotEqual, Reg::R0, 0, fail);
            self.load(Width::Double, Reg::R0, Reg::Frame, WORD);
        }
    }

    fn base(&mut self, abi: Abi, base: Base, fail: Label) {
        match (base, abi) {
            (Base::Argument(index), Abi::Registers | Abi::UserRegisters) => {
                self.register(NATIVE.function_arguments, index, fail);
            }
            (Base::Argument(index), Abi::Syscall) => {
                self.register(&NATIVE.syscall_arguments, index, fail);
            }
            (Base::Argument(index), Abi::Arguments | Abi::TypedArguments) => {
                self.load(Width::Double, Reg::R0, CTX, i16::from(index) * 8);
            }
            (Base::Argument(index), Abi::Trampoline) => {
                self.op(Op::Move, Reg::R1, CTX);
                self.set(Reg::R2, index.into());
                self.stack_address(Reg::R3, WORD);
                self.call_for_word(Helper::GetFuncArg, fail);
            }
            (Base::Return, Abi::Registers | Abi::UserRegisters) => {
                self.load(Width::Double, Reg::R0, CTX, NATIVE.function_result as i16);
            }
            (Base::Return, Abi::Trampoline) => {
                self.op(Op::Move, Reg::R1, CTX);
                self.stack_address(Reg::R2, WORD);
                self.call_for_word(Helper::GetFuncRet, fail);
            }
            (Base::Return | Base::Duration, _) => {
                self.load(Width::Double, Reg::R0, Reg::Frame, RETURNED);
            }
            (
                Base::Record {
                    offset,
                    size,
                    signed,
                },
                _,
            ) => {
                self.record(offset, size, fail);
                if signed {
                    self.extend(Reg::R0, u32::from(size) * 8, true);
                }
            }
            (Base::Argument(_), Abi::Record) => self.jump(fail),
            (Base::Task, _) => self.call(Helper::GetCurrentTask),
            (Base::Entry, _) => self.op(Op::Move, Reg::R0, ENTRY),
            (Base::SyscallNumber, _) => {
                let len = u32::from(NATIVE.syscall_number_len);
                let width = Width::of(len).unwrap_or(Width::Double);
                self.load(width, Reg::R0, CTX, NATIVE.syscall_number as i16);
                self.extend(Reg::R0, len * 8, true);
            }
            (Base::Address(address), _) => self.set(Reg::R0, address),
        }
    }

    fn register(&mut self, registers: &[u16], index: u8, fail: Label) {
        match registers.get(usize::from(index)) {
            Some(&offset) => self.load(Width::Double, Reg::R0, CTX, offset as i16),
            None => self.jump(fail),
        }
    }

    /// `R0` = a number of the kernel's record. Programs can only load naturally aligned numbers
    /// from it; others are read by a helper.
    fn record(&mut self, offset: u32, size: u8, fail: Label) {
        let width = Width::of(size.into()).unwrap_or(Width::Double);
        if offset.is_multiple_of(width.bytes()) {
            return self.load(width, Reg::R0, CTX, offset as i16);
        }
        self.op(Op::Move, Reg::R0, CTX);
        self.read_word(width, offset.into(), Memory::Kernel);
        self.jump_if_imm(Jump::NotEqual, Reg::R0, 0, fail);
        self.load(width, Reg::R0, Reg::Frame, WORD);
    }

    /// Calls a helper that writes [`WORD`], and loads that into `R0`.
    fn call_for_word(&mut self, helper: Helper, fail: Label) {
        self.call(helper);
        self.jump_if_imm(Jump::NotEqual, Reg::R0, 0, fail);
        self.load(Width::Double, Reg::R0, Reg::Frame, WORD);
    }

    /// Reads `width` bytes at the address `R0 + offset` into [`WORD`]. `R0` is not 0 if that
    /// fails.
    fn read_word(&mut self, width: Width, offset: i64, memory: Memory) {
        self.op(Op::Move, Reg::R3, Reg::R0);
        self.add(Reg::R3, offset);
        self.stack_address(Reg::R1, WORD);
        self.set(Reg::R2, width.bytes().into());
        self.call(memory.reader());
    }

    /// Reads the string at the address `R3` into `R1`, at most `R2` bytes. `R0` is its length
    /// or an error. Types of the kernel do not always show whether a pointer is into user
    /// space; addresses of the kernel have the highest bit set.
    pub(super) fn read_string(&mut self, memory: Memory) {
        let (user, done) = (self.label(), self.label());
        if memory == Memory::Kernel {
            self.jump_if_imm(Jump::SignedGreaterOrEqual, Reg::R3, 0, user);
            self.call(Helper::ProbeReadKernelStr);
            self.jump(done);
        }
        self.place(user);
        self.call(Helper::ProbeReadUserStr);
        self.place(done);
    }

    /// `dst += value`.
    pub(super) fn add(&mut self, dst: Reg, value: i64) {
        if value != 0 {
            self.op_imm(Op::Add, dst, value as i32);
        }
    }

    /// `dst` = the address of the stack at `offset`.
    pub(super) fn stack_address(&mut self, dst: Reg, offset: i16) {
        self.op(Op::Move, dst, Reg::Frame);
        self.op_imm(Op::Add, dst, offset.into());
    }
}

impl Memory {
    /// The helper that reads bytes.
    pub(super) const fn reader(self) -> Helper {
        match self {
            Self::Kernel => Helper::ProbeReadKernel,
            Self::User => Helper::ProbeReadUser,
        }
    }
}
