//! Code that writes the contexts of an event in front of its payload.

use aya_obj::generated::bpf_insn;

use super::{
    asm::{Code, Helper, Op, Reg, TooLong, Width},
    value::Abi,
};
use crate::fetch::{Context, ContextSource};

/// Where the contexts go, for the time that the function runs.
const CONTEXTS: Reg = Reg::R7;

/// The function `fn(contexts)`, for contexts that lie one behind the other.
pub(in crate::attach) fn context(contexts: &[Context]) -> Result<Vec<bpf_insn>, TooLong> {
    let mut code = Code::default();
    code.op(Op::Move, CONTEXTS, Reg::R1);
    let mut at = 0;
    for context in contexts {
        write(&mut code, at, context);
        at += context.len() as i16;
    }
    // What is left up to the payload.
    while at % 8 != 0 {
        code.store_imm(Width::Byte, CONTEXTS, at, 0);
        at += 1;
    }
    code.set(Reg::R0, 0);
    code.exit();
    code.finish()
}

fn write(code: &mut Code, at: i16, context: &Context) {
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
            let (fail, done) = (code.label(), code.label());
            code.number(Abi::Record, fetch, true, fail);
            code.add(Reg::R0, -i64::from(*minus));
            if code.is_used(fail) {
                code.jump(done);
                // The kernel's own memory of a thread that runs can be read.
                code.place(fail);
                code.set(Reg::R0, 0);
            }
            code.place(done);
        }
    }
    code.store(width, CONTEXTS, at, Reg::R0);
}
