//! Code that fetches values into the payload of an event.

use aya_obj::generated::bpf_insn;
use tracer_common::hook::FETCH_FAULTED;
use tracer_common::{FAULT_STRING, MAX_EVENT_LEN, NULL_STRING, NULL_STRING_LEN};

use crate::probe::fetch::{Fetched, Layout, Load, MAX_FETCHED_STRING};
use crate::record::attach::code::asm::{Code, Jump, Op, Reg, TooLong, Width};
use crate::record::attach::code::value::{Abi, CTX};
use crate::trace::event::FieldType;

/// Holds the address of the payload.
const PAYLOAD: Reg = Reg::R7;
/// Holds the number of bytes written.
const POSITION: Reg = Reg::R8;
/// Fixed values and strings together are shorter than this.
const POSITION_MASK: i32 = MAX_EVENT_LEN as i32 - 1;
/// Offset of the mask of faults in the payload.
const FAULTS: i16 = 0;

impl Layout {
    /// The function `fn(ctx, payload) -> bytes | FETCH_FAULTED`.
    pub(in crate::record::attach) fn code(&self, abi: Abi) -> Result<Vec<bpf_insn>, TooLong> {
        let mut code = Code::default();
        code.op(Op::Move, CTX, Reg::R1);
        code.op(Op::Move, PAYLOAD, Reg::R2);
        if self.faults {
            code.store_imm(Width::Word, PAYLOAD, FAULTS, 0);
        }
        for (bit, (at, value)) in self.fixed.iter().enumerate() {
            self.fixed_value(&mut code, abi, bit, *at, value);
        }
        code.set(POSITION, self.len.into());
        for (index, value) in self.strings.iter().enumerate() {
            self.string(&mut code, abi, self.fixed.len() + index, value);
        }
        code.op(Op::Move, Reg::R0, POSITION);
        if self.faults {
            let none = code.label();
            code.load(Width::Word, Reg::R1, PAYLOAD, FAULTS);
            code.jump_if_imm(Jump::Equal, Reg::R1, 0, none);
            code.set(Reg::R1, FETCH_FAULTED);
            code.op(Op::Or, Reg::R0, Reg::R1);
            code.place(none);
        }
        code.exit();
        code.finish()
    }

    fn fixed_value(&self, code: &mut Code, abi: Abi, bit: usize, at: u32, value: &Fetched) {
        let (fail, done) = (code.label(), code.label());
        match (&value.field.ty, value.fetch.load) {
            (FieldType::Integer(ty) | FieldType::Labeled { number: ty, .. }, _) => {
                let width = Width::of(u32::from(ty.size_bits / 8)).unwrap_or(Width::Double);
                code.number(abi, &value.fetch, ty.signed, fail);
                code.store(width, PAYLOAD, at as i16, Reg::R0);
                if code.is_used(fail) {
                    code.jump(done);
                    code.place(fail);
                    code.store_imm(width, PAYLOAD, at as i16, 0);
                    self.mark_fault(code, bit);
                }
            }
            (
                _,
                Load::Bytes {
                    offset,
                    len,
                    memory,
                },
            ) => {
                code.address(abi, &value.fetch, fail);
                code.op(Op::Move, Reg::R3, Reg::R0);
                code.add(Reg::R3, offset);
                code.op(Op::Move, Reg::R1, PAYLOAD);
                code.add(Reg::R1, at.into());
                code.set(Reg::R2, len.into());
                code.call(memory.reader());
                code.jump_if_imm(Jump::Equal, Reg::R0, 0, done);
                code.place(fail);
                zero(code, at, len);
                self.mark_fault(code, bit);
            }
            _ => debug_assert!(false, "a value that is neither a number nor bytes"),
        }
        code.place(done);
    }

    fn string(&self, code: &mut Code, abi: Abi, bit: usize, value: &Fetched) {
        let (null, fail, done) = (code.label(), code.label(), code.label());
        let Load::String { offset, memory } = value.fetch.load else {
            debug_assert!(false, "a string that is fetched as something else");
            return;
        };
        code.address(abi, &value.fetch, fail);
        code.op(Op::Move, Reg::R3, Reg::R0);
        code.add(Reg::R3, offset);
        code.jump_if_imm(Jump::Equal, Reg::R3, 0, null);
        end(code, Reg::R1);
        code.set(Reg::R2, MAX_FETCHED_STRING as u64);
        code.read_string(memory);
        // The path without a fault falls through, so that the verifier takes it first and
        // can prune the other one.
        code.jump_if_imm(Jump::SignedLessOrEqual, Reg::R0, 0, fail);
        code.op(Op::Add, POSITION, Reg::R0);
        code.op_imm(Op::And, POSITION, POSITION_MASK);
        code.jump(done);
        code.place(null);
        self.unread_string(code, bit, &NULL_STRING[..NULL_STRING_LEN]);
        code.jump(done);
        code.place(fail);
        self.unread_string(code, bit, &FAULT_STRING);
        code.place(done);
    }

    /// Writes `text` in place of a string that could not be read.
    fn unread_string(&self, code: &mut Code, bit: usize, text: &[u8]) {
        end(code, Reg::R1);
        for (at, byte) in (0..).zip(text) {
            code.store_imm(Width::Byte, Reg::R1, at, i32::from(*byte));
        }
        code.op_imm(Op::Add, POSITION, text.len() as i32);
        code.op_imm(Op::And, POSITION, POSITION_MASK);
        self.mark_fault(code, bit);
    }

    /// Sets a bit of the mask. The mask is in memory because the verifier does not track that:
    /// paths that differ only in faults are the same to it.
    fn mark_fault(&self, code: &mut Code, bit: usize) {
        if self.faults {
            code.load(Width::Word, Reg::R1, PAYLOAD, FAULTS);
            code.set(Reg::R2, 1 << bit);
            code.op(Op::Or, Reg::R1, Reg::R2);
            code.store(Width::Word, PAYLOAD, FAULTS, Reg::R1);
        }
    }
}

fn zero(code: &mut Code, at: u32, len: u32) {
    let mut done = 0;
    while done < len {
        let width = [Width::Double, Width::Word, Width::Half, Width::Byte]
            .into_iter()
            .find(|width| width.bytes() <= len - done && (at + done).is_multiple_of(width.bytes()))
            .unwrap_or(Width::Byte);
        code.store_imm(width, PAYLOAD, (at + done) as i16, 0);
        done += width.bytes();
    }
}

/// `dst` = the address of the next string.
fn end(code: &mut Code, dst: Reg) {
    code.op(Op::Move, dst, PAYLOAD);
    code.op(Op::Add, dst, POSITION);
}
