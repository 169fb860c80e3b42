//! Writes eBPF instructions (`Documentation/bpf/standardization/instruction-set.rst`).

use aya_obj::generated::{
    BPF_ADD, BPF_ALU64, BPF_AND, BPF_ARSH, BPF_B, BPF_CALL, BPF_DIV, BPF_DW, BPF_EXIT, BPF_H,
    BPF_IMM, BPF_JMP, BPF_K, BPF_LD, BPF_LDX, BPF_LSH, BPF_MEM, BPF_MOD, BPF_MOV, BPF_MUL, BPF_OR,
    BPF_PSEUDO_MAP_VALUE, BPF_RSH, BPF_ST, BPF_STX, BPF_SUB, BPF_W, BPF_X, BPF_XOR, bpf_insn,
};

/// A register. `R0` holds results; `R1` to `R5` hold arguments, and calls destroy them; `R6`
/// to `R9` are preserved across calls; `Frame` is the end of the function's stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::record) enum Reg {
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
    Frame,
}

/// Size of a load or a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::record) enum Width {
    Byte,
    Half,
    Word,
    Double,
}

impl Width {
    /// The width of a number of `bytes`; `None` unless it is 1, 2, 4 or 8.
    pub(in crate::record) const fn of(bytes: u32) -> Option<Self> {
        match bytes {
            1 => Some(Self::Byte),
            2 => Some(Self::Half),
            4 => Some(Self::Word),
            8 => Some(Self::Double),
            _ => None,
        }
    }

    pub(in crate::record) const fn bytes(self) -> u32 {
        match self {
            Self::Byte => 1,
            Self::Half => 2,
            Self::Word => 4,
            Self::Double => 8,
        }
    }

    const fn code(self) -> u32 {
        match self {
            Self::Byte => BPF_B,
            Self::Half => BPF_H,
            Self::Word => BPF_W,
            Self::Double => BPF_DW,
        }
    }
}

/// The condition of a jump, between its left and its right operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::record) enum Jump {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    SignedGreater,
    SignedGreaterOrEqual,
    SignedLess,
    SignedLessOrEqual,
    /// They have bits in common.
    Bits,
}

impl Jump {
    const fn code(self) -> u32 {
        use aya_obj::generated::{
            BPF_JEQ, BPF_JGE, BPF_JGT, BPF_JLE, BPF_JLT, BPF_JNE, BPF_JSET, BPF_JSGE, BPF_JSGT,
            BPF_JSLE, BPF_JSLT,
        };
        match self {
            Self::Equal => BPF_JEQ,
            Self::NotEqual => BPF_JNE,
            Self::Greater => BPF_JGT,
            Self::GreaterOrEqual => BPF_JGE,
            Self::Less => BPF_JLT,
            Self::LessOrEqual => BPF_JLE,
            Self::SignedGreater => BPF_JSGT,
            Self::SignedGreaterOrEqual => BPF_JSGE,
            Self::SignedLess => BPF_JSLT,
            Self::SignedLessOrEqual => BPF_JSLE,
            Self::Bits => BPF_JSET,
        }
    }
}

/// A 64-bit operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::record) enum Op {
    Move,
    Add,
    Subtract,
    Multiply,
    /// Without a sign; by 0 it is 0.
    Divide,
    /// Without a sign.
    Remainder,
    And,
    Or,
    Xor,
    ShiftLeft,
    ShiftRight,
    /// Keeps the sign.
    ArithmeticShiftRight,
}

impl Op {
    const fn code(self) -> u32 {
        match self {
            Self::Move => BPF_MOV,
            Self::Add => BPF_ADD,
            Self::Subtract => BPF_SUB,
            Self::Multiply => BPF_MUL,
            Self::Divide => BPF_DIV,
            Self::Remainder => BPF_MOD,
            Self::And => BPF_AND,
            Self::Or => BPF_OR,
            Self::Xor => BPF_XOR,
            Self::ShiftLeft => BPF_LSH,
            Self::ShiftRight => BPF_RSH,
            Self::ArithmeticShiftRight => BPF_ARSH,
        }
    }
}

/// A helper function of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(in crate::record) enum Helper {
    KtimeGetNs = 5,
    GetSmpProcessorId = 8,
    GetCurrentPidTgid = 14,
    GetCurrentUidGid = 15,
    GetCurrentComm = 16,
    GetCurrentTask = 35,
    CurrentTaskUnderCgroup = 37,
    GetCurrentCgroupId = 80,
    ProbeReadUser = 112,
    ProbeReadKernel = 113,
    ProbeReadUserStr = 114,
    ProbeReadKernelStr = 115,
    Jiffies64 = 118,
    SeqWrite = 127,
    GetFuncArg = 183,
    GetFuncRet = 184,
}

/// The target of jumps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::record) struct Label(usize);

/// A function under construction. Labels may be placed before or after the jumps to them.
#[derive(Debug, Default)]
pub(in crate::record) struct Code {
    instructions: Vec<bpf_insn>,
    /// Position of each label.
    labels: Vec<Option<usize>>,
    /// Jumps whose distance is not known yet.
    jumps: Vec<(usize, Label)>,
}

/// A jump is longer than an instruction can encode.
#[derive(Debug, thiserror::Error)]
#[error("the generated code is too long: a jump over {0} instructions")]
pub(in crate::record) struct TooLong(usize);

impl Code {
    /// Its instructions, jumps resolved. Every label that is used must have been placed.
    pub(in crate::record) fn finish(mut self) -> Result<Vec<bpf_insn>, TooLong> {
        for (at, Label(label)) in self.jumps {
            let Some(target) = self.labels[label] else {
                debug_assert!(false, "a label was not placed");
                continue;
            };
            let distance = target as i64 - at as i64 - 1;
            self.instructions[at].off = distance
                .try_into()
                .map_err(|_| TooLong(target.abs_diff(at)))?;
        }
        Ok(self.instructions)
    }

    fn push(&mut self, code: u32, dst: Reg, src: u8, off: i16, imm: i32) {
        self.instructions.push(bpf_insn {
            code: code as u8,
            _bitfield_align_1: [],
            _bitfield_1: bpf_insn::new_bitfield_1(dst as u8, src),
            off,
            imm,
        });
    }

    pub(in crate::record) fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// Whether a jump to `label` exists so far: the verifier refuses unreachable code.
    pub(in crate::record) fn is_used(&self, label: Label) -> bool {
        self.jumps.iter().any(|(_, to)| *to == label)
    }

    /// Places `label` here.
    pub(in crate::record) fn place(&mut self, label: Label) {
        self.labels[label.0] = Some(self.instructions.len());
    }

    /// `dst = dst OP src`.
    pub(in crate::record) fn op(&mut self, op: Op, dst: Reg, src: Reg) {
        self.push(BPF_ALU64 | op.code() | BPF_X, dst, src as u8, 0, 0);
    }

    /// `dst = dst OP value`, which is sign-extended.
    pub(in crate::record) fn op_imm(&mut self, op: Op, dst: Reg, value: i32) {
        self.push(BPF_ALU64 | op.code() | BPF_K, dst, 0, 0, value);
    }

    /// `dst = value`.
    pub(in crate::record) fn set(&mut self, dst: Reg, value: u64) {
        if let Ok(short) = i32::try_from(value as i64) {
            return self.op_imm(Op::Move, dst, short);
        }
        self.wide(dst, 0, value as u32 as i32, (value >> 32) as i32);
    }

    /// `dst` = the address of byte `offset` of the only value of the map `fd`.
    pub(in crate::record) fn map_value(&mut self, dst: Reg, fd: i32, offset: i32) {
        self.wide(dst, BPF_PSEUDO_MAP_VALUE as u8, fd, offset);
    }

    /// `dst` = the map `fd`.
    pub(in crate::record) fn map(&mut self, dst: Reg, fd: i32) {
        self.wide(dst, aya_obj::generated::BPF_PSEUDO_MAP_FD as u8, fd, 0);
    }

    fn wide(&mut self, dst: Reg, src: u8, low: i32, high: i32) {
        self.push(BPF_LD | BPF_IMM | BPF_DW, dst, src, 0, low);
        self.push(0, Reg::R0, 0, 0, high);
    }

    /// `dst = *(width *)(src + off)`, zero-extended.
    pub(in crate::record) fn load(&mut self, width: Width, dst: Reg, src: Reg, off: i16) {
        self.push(BPF_LDX | BPF_MEM | width.code(), dst, src as u8, off, 0);
    }

    /// `*(width *)(dst + off) = src`.
    pub(in crate::record) fn store(&mut self, width: Width, dst: Reg, off: i16, src: Reg) {
        self.push(BPF_STX | BPF_MEM | width.code(), dst, src as u8, off, 0);
    }

    /// `*(width *)(dst + off) = value`.
    pub(in crate::record) fn store_imm(&mut self, width: Width, dst: Reg, off: i16, value: i32) {
        self.push(BPF_ST | BPF_MEM | width.code(), dst, 0, off, value);
    }

    pub(in crate::record) fn jump(&mut self, to: Label) {
        self.jumps.push((self.instructions.len(), to));
        self.push(BPF_JMP, Reg::R0, 0, 0, 0);
    }

    pub(in crate::record) fn jump_if(&mut self, jump: Jump, left: Reg, right: Reg, to: Label) {
        self.jumps.push((self.instructions.len(), to));
        self.push(BPF_JMP | jump.code() | BPF_X, left, right as u8, 0, 0);
    }

    /// With a constant, which is sign-extended.
    pub(in crate::record) fn jump_if_imm(&mut self, jump: Jump, left: Reg, right: i32, to: Label) {
        self.jumps.push((self.instructions.len(), to));
        self.push(BPF_JMP | jump.code() | BPF_K, left, 0, 0, right);
    }

    pub(in crate::record) fn call(&mut self, helper: Helper) {
        self.push(BPF_JMP | BPF_CALL, Reg::R0, 0, 0, helper as i32);
    }

    /// Returns `R0`.
    pub(in crate::record) fn exit(&mut self) {
        self.push(BPF_JMP | BPF_EXIT, Reg::R0, 0, 0, 0);
    }

    /// Sign-extends or zero-extends the lowest `bits` bits of `dst`.
    pub(in crate::record) fn extend(&mut self, dst: Reg, bits: u32, signed: bool) {
        let unused = 64 - bits as i32;
        if unused == 0 {
            return;
        }
        self.op_imm(Op::ShiftLeft, dst, unused);
        let back = if signed {
            Op::ArithmeticShiftRight
        } else {
            Op::ShiftRight
        };
        self.op_imm(back, dst, unused);
    }
}

#[cfg(test)]
#[path = "asm_tests.rs"]
mod tests;
