//! Code that writes the context fields of an event, before its payload.

use aya_obj::generated::bpf_insn;

use crate::probe::fetch::context::Entry;
use crate::probe::fetch::{ContextField, ContextSource};
use crate::record::attach::code::asm::{Code, Helper, Jump, Label, Op, Reg, TooLong, Width};
use crate::record::attach::code::value::{Abi, ENTRY};

/// Holds the address of the contexts.
const CONTEXTS: Reg = Reg::R7;

/// The function `fn(contexts)`, for contexts that follow each other without gaps.
pub(in crate::record::attach) fn context(
    contexts: &[ContextField],
) -> Result<Vec<bpf_insn>, TooLong> {
    let mut code = Code::default();
    code.op(Op::Move, CONTEXTS, Reg::R1);
    let mut at = 0;
    for context in contexts {
        write(&mut code, at, context);
        at += context.len() as i16;
    }
    // Padding up to the payload.
    while at % 8 != 0 {
        code.store_imm(Width::Byte, CONTEXTS, at, 0);
        at += 1;
    }
    code.set(Reg::R0, 0);
    code.exit();
    code.finish()
}

fn write(code: &mut Code, at: i16, context: &ContextField) {
    let width = Width::of(context.len()).unwrap_or(Width::Double);
    match &context.source {
        ContextSource::Comm => {
            code.op(Op::Move, Reg::R1, CONTEXTS);
            code.add(Reg::R1, at.into());
            code.set(Reg::R2, context.len().into());
            code.call(Helper::GetCurrentComm);
            return;
        }
        ContextSource::Uid => code.call(Helper::GetCurrentUidGid),
        ContextSource::Gid => {
            code.call(Helper::GetCurrentUidGid);
            code.op_imm(Op::ShiftRight, Reg::R0, 32);
        }
        ContextSource::Cgroup => code.call(Helper::GetCurrentCgroupId),
        ContextSource::Task { fetch, minus } => {
            or_zero(code, |code, fail| {
                code.number(Abi::Record, fetch, true, fail);
                code.add(Reg::R0, -i64::from(*minus));
            });
        }
        ContextSource::Entry { entry, fetch } => {
            or_zero(code, |code, fail| {
                find(code, entry, fail);
                code.number(Abi::Record, fetch, true, fail);
            });
        }
    }
    code.store(width, CONTEXTS, at, Reg::R0);
}

/// [`ENTRY`] = the address of the entry. Jumps to `fail` if there is none.
fn find(code: &mut Code, entry: &Entry, fail: Label) {
    code.number(Abi::Record, &entry.level, false, fail);
    code.op(Op::Move, ENTRY, Reg::R0);
    code.number(Abi::Record, &entry.last, false, fail);
    code.jump_if(Jump::Less, Reg::R0, ENTRY, fail);
    code.number(Abi::Record, &entry.first, false, fail);
    code.op_imm(Op::Multiply, ENTRY, entry.len);
    code.op(Op::Add, ENTRY, Reg::R0);
}

/// Generates `value`, which leaves a value in `R0`, or jumps to the given label for 0: an
/// exiting thread has neither namespaces nor an id.
fn or_zero(code: &mut Code, value: impl FnOnce(&mut Code, Label)) {
    let (fail, done) = (code.label(), code.label());
    value(code, fail);
    if code.is_used(fail) {
        code.jump(done);
        code.place(fail);
        code.set(Reg::R0, 0);
    }
    code.place(done);
}
