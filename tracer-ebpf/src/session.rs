//! Functions that return, with one program for the entries and returns of many functions
//! (kprobe-session). The time of the entry is stored in memory that the kernel provides for each
//! call.

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::kprobe;
use aya_ebpf::programs::ProbeContext;
use tracer_common::{FunctionCookie, RETURN_SLOT_LEN, spec_flags};

use crate::fetched::{Call, Event};
use crate::maps::constant;
use crate::scope::{self, Prospect};
use crate::{function, hook, throttle};

/// Not zero at an entry: the kernel does not run the program for the return of this call.
#[kprobe]
pub(crate) fn on_session(ctx: ProbeContext) -> u32 {
    let entered_ns = hook::session_cookie(ctx.as_ptr());
    if hook::session_is_return(ctx.as_ptr()) {
        // SAFETY: of this call, as long as the program runs. It is cleared because another call
        // may get the same memory: kernels before 6.14 run the program for the return of a call
        // whose entry they missed.
        let began_ns = unsafe { core::ptr::replace(entered_ns, 0) };
        returned(&ctx, began_ns);
        return 0;
    }
    let began_ns = match scope::prospect() {
        Prospect::Refused => return 1,
        Prospect::Open => 0,
        Prospect::Admitted => unsafe { bpf_ktime_get_ns() },
    };
    // SAFETY: as above.
    unsafe { entered_ns.write(began_ns) };
    0
}

/// Emits the duration of a call, entered at `began_ns` (0 if the entry was not seen), and the
/// values fetched at its return.
#[inline(always)]
fn returned(ctx: &ProbeContext, began_ns: u64) {
    let Some(scope) = scope::admit() else {
        return;
    };
    let duration = if began_ns == 0 {
        -1
    } else {
        unsafe { bpf_ktime_get_ns() }.wrapping_sub(began_ns) as i64
    };
    if !hook::filter(ctx.as_ptr(), duration, core::ptr::null()) {
        return;
    }
    let FunctionCookie { class, unused_tail } = function::cookie(ctx);
    // Functions that share a program have one slot each, of whatever type.
    let slots = constant!(SPEC.fetch_len).div_ceil(RETURN_SLOT_LEN).max(1);
    if throttle::passes(constant!(SPEC.flags) & spec_flags::THROTTLED != 0, class) {
        let call = Call {
            duration,
            entry: None,
        };
        let event = Event {
            ctx,
            scope: &scope,
            class,
            call: Some(call),
            fetch_len: (slots * RETURN_SLOT_LEN) as usize,
            unused_tail,
        };
        event.emit();
    }
}
