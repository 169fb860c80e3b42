//! Entries of functions, and raw tracepoints.
//!
//! One template serves kprobes, fentry, uprobes and raw tracepoints: they differ in how arguments
//! are accessed, which is up to the code that the recorder generates for each probe.

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::bpf_get_attach_cookie;
use aya_ebpf::macros::kprobe;
use aya_ebpf::programs::ProbeContext;
use tracer_common::{FunctionCookie, spec_flags};

use crate::fetched::Event;
use crate::maps::constant;
use crate::{hook, scope, throttle};

#[kprobe]
pub(crate) fn on_function(ctx: ProbeContext) -> u32 {
    if hook::filter(ctx.as_ptr(), 0, core::ptr::null())
        && let Some(scope) = scope::admit()
    {
        let (class, flags) = (class(&ctx), constant!(SPEC.flags));
        if !throttle::passes(flags & spec_flags::THROTTLED != 0, class) {
            return 0;
        }
        let event = Event {
            ctx: &ctx,
            scope: &scope,
            class,
            call: None,
            fetch_len: constant!(SPEC.fetch_len) as usize,
            unused_tail: 0,
        };
        event.emit();
    }
    0
}

#[inline(always)]
fn class(ctx: &ProbeContext) -> u32 {
    if constant!(SPEC.flags) & spec_flags::CLASS_IS_COOKIE == 0 {
        constant!(SPEC.class)
    } else {
        cookie(ctx).class
    }
}

/// The function that the program runs for, of those that share it.
#[inline(always)]
pub(crate) fn cookie(ctx: &ProbeContext) -> FunctionCookie {
    // SAFETY: the context of this program.
    FunctionCookie::from_bits(unsafe { bpf_get_attach_cookie(ctx.as_ptr()) })
}
