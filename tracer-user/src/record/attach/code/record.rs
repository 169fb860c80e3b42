//! Code that writes the payload of a recipe.

use aya_obj::generated::bpf_insn;
use tracer_common::MAX_EVENT_LEN;

use crate::probe::recipes::{Bytes, Content, RecordLayout, Text, Value};
use crate::record::attach::code::asm::{Code, Helper, Jump, Op, Reg, TooLong, Width};
use crate::record::attach::code::value::{Abi, CTX};

/// Holds the address of the payload.
const PAYLOAD: Reg = Reg::R7;
/// Holds the number of bytes written, from the first string on.
const POSITION: Reg = Reg::R8;
/// Payloads are shorter than this.
const POSITION_MASK: i32 = MAX_EVENT_LEN as i32 - 1;
/// The most bytes of a string, with its terminator (`PAGE_SIZE`, the largest string that the
/// kernel's records have).
const MAX_STRING: u64 = 4096;
/// The most words that are copied by loads instead of a helper.
const MAX_WORDS: u32 = 4;
/// Of a thread's name (`TASK_COMM_LEN`).
const COMM_LEN: u64 = 16;
/// What the kernel records of a string at address 0.
const NULL: &str = "(null)";

impl RecordLayout {
    /// The function `fn(ctx, payload) -> bytes`.
    pub(in crate::record::attach) fn code(&self, abi: Abi) -> Result<Vec<bpf_insn>, TooLong> {
        let mut code = Code::default();
        code.op(Op::Move, CTX, Reg::R1);
        code.op(Op::Move, PAYLOAD, Reg::R2);
        let mut writer = Writer {
            code,
            abi,
            place: WritePosition::Fixed(0),
        };
        for value in &self.values {
            writer.value(value);
        }
        let Writer {
            mut code, place, ..
        } = writer;
        match place {
            WritePosition::Fixed(len) => code.set(Reg::R0, len.into()),
            WritePosition::Moving => code.op(Op::Move, Reg::R0, POSITION),
        }
        code.exit();
        code.finish()
    }
}

/// Where the next value is written.
#[derive(Clone, Copy)]
enum WritePosition {
    /// At this offset of the payload.
    Fixed(u32),
    /// At [`POSITION`].
    Moving,
}

struct Writer {
    code: Code,
    abi: Abi,
    place: WritePosition,
}

impl Writer {
    fn value(&mut self, value: &Value) {
        if let (WritePosition::Fixed(_), Some(at)) = (self.place, value.at) {
            self.place = WritePosition::Fixed(at);
        }
        match &value.content {
            Content::Number(node) => {
                self.code.node(self.abi, node);
                let width = Width::of(value.len).unwrap_or(Width::Double);
                self.store(width, 0, Reg::R0);
                self.advance(value.len);
            }
            Content::Bytes(bytes) => {
                self.bytes(bytes, value.len);
                self.advance(value.len);
            }
            Content::Text(text) => {
                if let WritePosition::Fixed(at) = self.place {
                    self.code.set(POSITION, at.into());
                    self.place = WritePosition::Moving;
                }
                self.text(text);
            }
        }
    }

    /// Stores a number `offset` bytes from the current place.
    fn store(&mut self, width: Width, offset: u32, value: Reg) {
        match self.place {
            WritePosition::Fixed(at) => {
                self.code.store(width, PAYLOAD, (at + offset) as i16, value);
            }
            WritePosition::Moving => {
                self.address(Reg::R2);
                self.code.store(width, Reg::R2, offset as i16, value);
            }
        }
    }

    /// `dst` = the address of the current place.
    fn address(&mut self, dst: Reg) {
        self.code.op(Op::Move, dst, PAYLOAD);
        match self.place {
            WritePosition::Fixed(at) => self.code.add(dst, at.into()),
            WritePosition::Moving => self.code.op(Op::Add, dst, POSITION),
        }
    }

    fn advance(&mut self, len: u32) {
        match &mut self.place {
            WritePosition::Fixed(at) => *at += len,
            WritePosition::Moving => {
                self.code.op_imm(Op::Add, POSITION, len as i32);
                self.code.op_imm(Op::And, POSITION, POSITION_MASK);
            }
        }
    }

    fn bytes(&mut self, bytes: &Bytes, len: u32) {
        match bytes {
            Bytes::At {
                address,
                offset,
                typed: true,
            } if self.abi == Abi::TypedArguments
                && len.is_multiple_of(8)
                && len / 8 <= MAX_WORDS
                && *offset >= 0
                && *offset + i64::from(len) <= i64::from(i16::MAX) =>
            {
                self.code.node(self.abi, address);
                for word in 0..len / 8 {
                    let from = *offset as i16 + (word * 8) as i16;
                    self.code.load(Width::Double, Reg::R1, Reg::R0, from);
                    self.store(Width::Double, word * 8, Reg::R1);
                }
            }
            Bytes::At {
                address, offset, ..
            } => {
                self.code.node(self.abi, address);
                self.code.op(Op::Move, Reg::R3, Reg::R0);
                self.code.add(Reg::R3, *offset);
                self.address(Reg::R1);
                self.code.set(Reg::R2, len.into());
                // The helper writes zeroes if it cannot read.
                self.code.call(Helper::ProbeReadKernel);
            }
            Bytes::Comm => {
                self.address(Reg::R1);
                self.code.set(Reg::R2, len.into());
                self.code.call(Helper::GetCurrentComm);
            }
        }
    }

    /// Appends a string with its terminator.
    fn text(&mut self, text: &Text) {
        match text {
            Text::Literal(text) => self.literal(text),
            Text::Comm => {
                // Its length is not known: it is read as a string from where it was written.
                self.address(Reg::R1);
                self.code.set(Reg::R2, COMM_LEN);
                self.code.call(Helper::GetCurrentComm);
                self.address(Reg::R0);
                self.string();
            }
            Text::At(address) => {
                let (null, done) = (self.code.label(), self.code.label());
                self.code.node(self.abi, address);
                self.code.jump_if_imm(Jump::Equal, Reg::R0, 0, null);
                self.string();
                self.code.jump(done);
                self.code.place(null);
                self.literal(NULL);
                self.code.place(done);
            }
            Text::If {
                condition,
                then,
                otherwise,
            } => {
                let (no, done) = (self.code.label(), self.code.label());
                self.code.node(self.abi, condition);
                self.code.jump_if_imm(Jump::Equal, Reg::R0, 0, no);
                self.text(then);
                self.code.jump(done);
                self.code.place(no);
                self.text(otherwise);
                self.code.place(done);
            }
        }
    }

    /// Appends the string at the address `R0`.
    fn string(&mut self) {
        self.code.op(Op::Move, Reg::R3, Reg::R0);
        self.address(Reg::R1);
        self.code.set(Reg::R2, MAX_STRING);
        self.code.call(Helper::ProbeReadKernelStr);
        let read = self.code.label();
        self.code.jump_if_imm(Jump::SignedGreater, Reg::R0, 0, read);
        self.address(Reg::R1);
        self.code.store_imm(Width::Byte, Reg::R1, 0, 0);
        self.code.set(Reg::R0, 1);
        self.code.place(read);
        self.code.op(Op::Add, POSITION, Reg::R0);
        self.code.op_imm(Op::And, POSITION, POSITION_MASK);
    }

    fn literal(&mut self, text: &str) {
        self.address(Reg::R1);
        for (at, byte) in (0..).zip(text.bytes().chain([0])) {
            self.code.store_imm(Width::Byte, Reg::R1, at, byte.into());
        }
        self.advance(text.len() as u32 + 1);
    }
}
