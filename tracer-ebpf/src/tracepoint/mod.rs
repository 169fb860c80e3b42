//! Tracepoints: the kernel's record of the event becomes the payload.

mod derived;
mod raw;
mod record;

use core::ffi::c_void;

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use aya_ebpf::programs::TracePointContext;
use tracer_common::{
    MAX_PIECES, MAX_PRIORITIES, Piece, PieceKind, REALTIME_PRIORITIES, spec_flags,
};

use self::record::{at, u32_at};
use crate::emit::scratch::Scratch;
use crate::emit::{count, ring};
use crate::maps::constant;
use crate::scope::{self, Scope};
use crate::{hook, pids, throttle};

/// Lets an event pass to the users of perf who count or sample this tracepoint. If any program
/// returns 0, the kernel drops the event for all of them (`perf_trace_run_bpf_submit`).
///
/// Kprobes and uprobes are not shared like that: perf makes an event of its own for each
/// (`create_local_trace_kprobe`), and their programs return 0.
const PASS_ON: u32 = 1;

// Without aya's macro, whose programs return 0.
#[unsafe(no_mangle)]
#[unsafe(link_section = "tracepoint")]
pub(crate) extern "C" fn on_tracepoint(ctx: *mut c_void) -> u32 {
    let ctx = TracePointContext::new(ctx);
    record_event(&ctx, |scope| {
        if constant!(SPEC.flags) & spec_flags::VARIABLE == 0 {
            copy_record(&ctx, scope);
        } else {
            build(&ctx, scope);
        }
    });
    PASS_ON
}

/// Emits the event if it is to be recorded.
#[inline(always)]
fn record_event(ctx: &impl EbpfContext, emit: impl FnOnce(&Scope)) {
    let flags = constant!(SPEC.flags);
    if flags & spec_flags::AT_EXEC != 0 {
        // The kernel may run the program that follows processes after this one.
        pids::begin_command();
    }
    let scope = if flags & spec_flags::UNFILTERED != 0 {
        scope::admit_unfiltered()
    } else if !hook::filter(ctx.as_ptr(), 0, core::ptr::null()) {
        None
    } else if flags & spec_flags::WITH_RECORDER != 0 {
        scope::admit_with_recorder()
    } else {
        scope::admit()
    };
    if let Some(scope) = scope
        && throttle::passes(flags & spec_flags::THROTTLED != 0, constant!(SPEC.class))
    {
        emit(&scope);
    }
}

/// Emits a payload of fixed size: a part of the record, copied in place.
#[inline(always)]
fn copy_record(ctx: &TracePointContext, scope: &Scope) {
    let class = constant!(SPEC.class);
    let record_len = constant!(SPEC.payload_len) as usize;
    let fetch_len = constant!(SPEC.fetch_len) as usize;
    let context_len = context_len();
    let fetch_at = if fetch_len == 0 {
        record_len
    } else {
        record_len.next_multiple_of(8)
    };
    let len = context_len + fetch_at + fetch_len;
    ring::fixed(ctx, scope, class, len, 0, |payload| {
        if context_len != 0 {
            hook::context(payload);
        }
        let payload = payload.wrapping_add(context_len);
        if record_len != 0 {
            let source = at(ctx, constant!(SPEC.payload_offset));
            unsafe { bpf_probe_read_kernel(payload.cast(), record_len as u32, source) };
        }
        if fetch_len != 0 {
            let fetched = hook::fetch(ctx.as_ptr(), payload.wrapping_add(fetch_at));
            count::fault(scope, class, fetched.faulted());
        }
        adapt_priorities(payload);
    });
}

/// Subtracts [`REALTIME_PRIORITIES`] from the priorities in a payload that was copied as a whole.
#[inline(always)]
fn adapt_priorities(payload: *mut u8) {
    for i in 0..MAX_PRIORITIES {
        if i < constant!(SPEC.priority_count) as usize {
            let priority = payload.wrapping_add(constant!(SPEC.priorities[i]) as usize);
            let priority = priority.cast::<u32>();
            // SAFETY: inside the payload, by the layout that the recorder reads.
            unsafe { *priority = (*priority).wrapping_sub(REALTIME_PRIORITIES) };
        }
    }
}

/// Bytes of the contexts before the payload. Events for the recorder itself have none.
#[inline(always)]
fn context_len() -> usize {
    if constant!(SPEC.flags) & spec_flags::UNFILTERED == 0 {
        constant!(CONFIG.context_len) as usize
    } else {
        0
    }
}

/// Emits a payload with strings, arrays of variable length, or stacks.
#[inline(always)]
fn build(ctx: &TracePointContext, scope: &Scope) {
    let flags = constant!(SPEC.flags);
    let Some(scratch) = Scratch::of_cpu(scope.cpu) else {
        return;
    };
    if context_len() != 0 {
        scratch.push_context();
    }
    if flags & spec_flags::PIECES == 0 {
        let (payload, source) = (scratch.end(), at(ctx, constant!(SPEC.payload_offset)));
        scratch.push_kernel_bytes(source, constant!(SPEC.payload_len) as usize);
        adapt_priorities(payload);
    } else {
        for i in 0..MAX_PIECES {
            if i >= constant!(SPEC.piece_count) as usize {
                break;
            }
            push_piece(ctx, scope, &scratch, constant!(SPEC.pieces[i]));
        }
    }
    if flags & spec_flags::FETCHES != 0 {
        scratch.push_fetched(ctx.as_ptr(), scope, constant!(SPEC.class));
    }
    scratch.push_stacks(ctx.as_ptr(), flags);
    ring::variable(ctx, scope, constant!(SPEC.class), &scratch);
}

#[inline(always)]
fn push_piece(ctx: &TracePointContext, scope: &Scope, scratch: &Scratch, piece: Piece) {
    if piece.kind == PieceKind::Fixed as u32 {
        scratch.push_kernel_bytes(at(ctx, piece.offset), piece.len as usize);
        return;
    }
    if piece.kind >= PieceKind::Priority as u32 {
        derived::push(ctx, scope, scratch, piece);
        return;
    }
    // `__data_loc`: length in the upper half, offset in the lower half, from the start of the
    // record or, for `__rel_loc`, from the end of this word (`include/trace/stages`).
    let word = u32_at(ctx, piece.offset);
    let len = word >> 16;
    let mut offset = word & 0xffff;
    if piece.kind == PieceKind::RelativeString as u32
        || piece.kind == PieceKind::RelativeSequence as u32
    {
        offset += piece.offset + 4;
    }
    let source = at(ctx, offset);
    if piece.kind == PieceKind::String as u32 || piece.kind == PieceKind::RelativeString as u32 {
        scratch.push_kernel_string(source, len as usize);
    } else {
        // An unchecked division would add the code of a panic.
        let count = len.checked_div(piece.len).unwrap_or(0);
        scratch.push_u32(count);
        scratch.push_kernel_bytes(source, (count * piece.len) as usize);
    }
}
