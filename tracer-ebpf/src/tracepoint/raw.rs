//! Tracepoints by their raw tracepoints: generated code computes the payload from the arguments.

use aya_ebpf::EbpfContext;
use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use tracer_common::spec_flags;

use crate::emit::scratch::Scratch;
use crate::emit::{count, ring};
use crate::hook;
use crate::maps::constant;
use crate::scope::Scope;
use crate::tracepoint::{context_len, record_event};

#[raw_tracepoint]
pub(crate) fn on_raw_tracepoint(ctx: RawTracePointContext) -> i32 {
    record_event(&ctx, |scope| {
        if constant!(SPEC.flags) & spec_flags::VARIABLE == 0 {
            emit_fixed(&ctx, scope);
        } else {
            emit_variable(&ctx, scope);
        }
    });
    0
}

#[inline(always)]
fn emit_fixed(ctx: &RawTracePointContext, scope: &Scope) {
    let class = constant!(SPEC.class);
    let context_len = context_len();
    let len = context_len + constant!(SPEC.payload_len) as usize;
    ring::fixed(ctx, scope, class, len, 0, |payload| {
        if context_len != 0 {
            hook::context(payload);
        }
        hook::fetch(ctx.as_ptr(), payload.wrapping_add(context_len));
    });
}

#[inline(always)]
fn emit_variable(ctx: &RawTracePointContext, scope: &Scope) {
    let (class, flags) = (constant!(SPEC.class), constant!(SPEC.flags));
    let Some(scratch) = Scratch::nested(scope.cpu) else {
        return count::lost(ctx, scope, class);
    };
    if context_len() != 0 {
        scratch.push_context();
    }
    scratch.push_fetched(ctx.as_ptr(), scope, class);
    scratch.push_stacks(ctx.as_ptr(), flags);
    ring::variable(ctx, scope, class, &scratch);
    scratch.give_back();
}
