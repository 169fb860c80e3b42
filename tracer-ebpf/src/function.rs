//! Functions and raw tracepoints: values that generated code fetches become the payload.
//!
//! One template serves kprobes, kretprobes, fentry, fexit, uprobes and raw tracepoints:
//! what differs between them, the way to arguments and results, is in the code that the
//! recorder makes for each probe.

use aya_ebpf::{
    EbpfContext, helpers::bpf_get_attach_cookie, macros::kprobe, programs::ProbeContext,
};
use core::ptr;
use tracer_common::spec_flags;

use crate::{emit, hook, maps::constant, scope, scratch::Scratch, throttle};

#[kprobe]
pub(crate) fn on_function(ctx: ProbeContext) -> u32 {
    if hook::filter(ctx.as_ptr(), 0, ptr::null())
        && let Some(scope) = scope::admit()
    {
        let (class, flags) = (class(&ctx), constant!(SPEC.flags));
        if !throttle::passes(flags & spec_flags::THROTTLED != 0, class) {
            return 0;
        }
        if flags & spec_flags::VARIABLE == 0 {
            emit_fixed(&ctx, &scope, class);
        } else {
            emit_variable(&ctx, &scope, class);
        }
    }
    0
}

#[inline(always)]
fn class(ctx: &ProbeContext) -> u32 {
    if constant!(SPEC.flags) & spec_flags::CLASS_IS_COOKIE == 0 {
        constant!(SPEC.class)
    } else {
        // SAFETY: the context of this program.
        unsafe { bpf_get_attach_cookie(ctx.as_ptr()) as u32 }
    }
}

#[inline(always)]
fn emit_fixed(ctx: &ProbeContext, scope: &scope::Scope, class: u32) {
    let context_len = constant!(CONFIG.context_len) as usize;
    let len = context_len + constant!(SPEC.fetch_len) as usize;
    emit::fixed(ctx, scope, class, len, 0, |payload| {
        hook::context(payload);
        let payload = payload.wrapping_add(context_len);
        emit::count_fault(scope, class, hook::fetch(ctx.as_ptr(), payload).faulted());
    });
}

#[inline(always)]
fn emit_variable(ctx: &ProbeContext, scope: &scope::Scope, class: u32) {
    let flags = constant!(SPEC.flags);
    let Some(scratch) = Scratch::of_probe(scope.cpu, flags) else {
        return emit::lost(ctx, scope, class);
    };
    scratch.push_context();
    scratch.push_fetched(ctx.as_ptr(), scope, class);
    scratch.push_stacks(ctx.as_ptr(), flags);
    emit::variable(ctx, scope, class, &scratch);
    scratch.give_back();
}
