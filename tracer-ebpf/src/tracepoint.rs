//! Tracepoints: the kernel's record of the event becomes the payload.

use aya_ebpf::{
    EbpfContext, helpers::generated::bpf_probe_read_kernel, macros::tracepoint,
    programs::TracePointContext,
};
use core::ffi::c_void;
use tracer_common::{
    MAX_PIECES, MAX_PRIORITIES, Piece, PieceKind, REALTIME_PRIORITIES, spec_flags,
};

use crate::{
    emit,
    maps::{SCRATCH, constant},
    scope::{self, Scope},
    scratch::Scratch,
    worked_out,
};

#[tracepoint]
pub(crate) fn on_tracepoint(ctx: TracePointContext) -> u32 {
    let flags = constant!(SPEC.flags);
    let scope = if flags & spec_flags::UNFILTERED == 0 {
        scope::admit()
    } else {
        scope::admit_unfiltered()
    };
    if let Some(scope) = scope {
        if flags & spec_flags::PIECES == 0 {
            copy_record(&ctx, &scope);
        } else {
            build_from_pieces(&ctx, &scope);
        }
    }
    0
}

/// A payload of fixed size: one run of the record, copied in place.
#[inline(always)]
fn copy_record(ctx: &TracePointContext, scope: &Scope) {
    let len = constant!(SPEC.payload_len) as usize;
    emit::fixed(ctx, scope, constant!(SPEC.class), len, 0, |payload| {
        if len != 0 {
            let source = at(ctx, constant!(SPEC.payload_offset));
            unsafe { bpf_probe_read_kernel(payload.cast(), len as u32, source) };
        }
        for i in 0..MAX_PRIORITIES {
            if i < constant!(SPEC.priority_count) as usize {
                // SAFETY: inside the payload, as the recorder has it from the same layout.
                unsafe {
                    let priority = payload.add(constant!(SPEC.priorities[i]) as usize);
                    let priority = priority.cast::<u32>();
                    *priority = (*priority).wrapping_sub(REALTIME_PRIORITIES);
                }
            }
        }
    });
}

/// A payload with strings or arrays of variable length.
#[inline(always)]
fn build_from_pieces(ctx: &TracePointContext, scope: &Scope) {
    let Some(scratch) = Scratch::of_cpu(&SCRATCH, scope.cpu) else {
        return;
    };
    for i in 0..MAX_PIECES {
        if i >= constant!(SPEC.piece_count) as usize {
            break;
        }
        push_piece(ctx, scope, &scratch, constant!(SPEC.pieces[i]));
    }
    emit::variable(ctx, scope, constant!(SPEC.class), &scratch);
}

#[inline(always)]
fn push_piece(ctx: &TracePointContext, scope: &Scope, scratch: &Scratch, piece: Piece) {
    if piece.kind == PieceKind::Fixed as u32 {
        scratch.push_kernel_bytes(at(ctx, piece.offset), piece.len as usize);
        return;
    }
    if piece.kind >= PieceKind::Priority as u32 {
        worked_out::push(ctx, scope, scratch, piece);
        return;
    }
    // `__data_loc`: length in the upper half, offset in the lower, from the start of the
    // record, or for `__rel_loc` from the end of the word (`include/trace/stages`).
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
        // An unchecked division would bring in the code of a panic.
        let count = len.checked_div(piece.len).unwrap_or(0);
        scratch.push_u32(count);
        scratch.push_kernel_bytes(source, (count * piece.len) as usize);
    }
}

/// The number at `offset` of the kernel's record.
#[inline(always)]
pub(crate) fn u32_at(ctx: &TracePointContext, offset: u32) -> u32 {
    let mut word = 0u32;
    unsafe { bpf_probe_read_kernel((&raw mut word).cast(), 4, at(ctx, offset)) };
    word
}

#[inline(always)]
pub(crate) fn at(ctx: &TracePointContext, offset: u32) -> *const c_void {
    ctx.as_ptr().cast_const().wrapping_byte_add(offset as usize)
}
