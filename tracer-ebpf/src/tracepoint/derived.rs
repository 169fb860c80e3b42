//! Values that LTTng's modules record but that the kernel's record of a tracepoint has in
//! another form, or not at all.

use aya_ebpf::helpers::generated::bpf_probe_read_kernel_str;
use aya_ebpf::programs::TracePointContext;
use tracer_common::{Piece, PieceKind, REALTIME_PRIORITIES, REQUEST_LETTERS, request_flags};

use crate::emit::scratch::Scratch;
use crate::maps::{NEW_THREAD_SLOTS, NEW_THREADS};
use crate::scope::Scope;
use crate::tracepoint::record::{at, u32_at};

/// `clone` flag for a thread of the same process (`include/uapi/linux/sched.h`).
const CLONE_THREAD: u64 = 0x1_0000;

/// Appends the value of a piece; its kind is [`PieceKind::Priority`] or a later one.
#[inline(always)]
pub(crate) fn push(ctx: &TracePointContext, scope: &Scope, scratch: &Scratch, piece: Piece) {
    let kind = piece.kind;
    if kind == PieceKind::NewThread as u32 {
        note_thread(ctx, scope, piece);
        return;
    }
    let value = if kind == PieceKind::Priority as u32 {
        u32_at(ctx, piece.offset).wrapping_sub(REALTIME_PRIORITIES)
    } else if kind == PieceKind::RequestFlags as u32 {
        flags_at(ctx, piece)
    } else if kind == PieceKind::Tid as u32 {
        scope.tid
    } else if kind == PieceKind::Pid as u32 {
        scope.pid
    } else {
        pid_of_new_thread(u32_at(ctx, piece.offset))
    };
    scratch.push_u32(value);
}

#[inline(always)]
fn flags_at(ctx: &TracePointContext, piece: Piece) -> u32 {
    let mut letters = [0; REQUEST_LETTERS];
    let len = piece.len.min(REQUEST_LETTERS as u32);
    // As a string: the bytes after its end are left over from an earlier event.
    unsafe { bpf_probe_read_kernel_str((&raw mut letters).cast(), len, at(ctx, piece.offset)) };
    request_flags(&letters)
}

/// Remembers the process of a new thread. `sched_process_fork` follows in the same thread, maybe
/// on another CPU, and does not have it.
#[inline(always)]
fn note_thread(ctx: &TracePointContext, scope: &Scope, piece: Piece) {
    let tid = u32_at(ctx, piece.offset);
    let flags = u64::from(u32_at(ctx, piece.len));
    let pid = if flags & CLONE_THREAD != 0 {
        scope.pid
    } else {
        tid
    };
    if let Some(slot) = NEW_THREADS.get_ptr_mut(tid % NEW_THREAD_SLOTS) {
        // SAFETY: an aligned word of a live map; volatile, because all CPUs write it.
        unsafe { slot.write_volatile(u64::from(tid) << 32 | u64::from(pid)) };
    }
}

#[inline(always)]
fn pid_of_new_thread(tid: u32) -> u32 {
    let Some(slot) = NEW_THREADS.get_ptr_mut(tid % NEW_THREAD_SLOTS) else {
        return tid;
    };
    // SAFETY: as above.
    let noted = unsafe { slot.read_volatile() };
    if (noted >> 32) as u32 == tid {
        noted as u32
    } else {
        tid
    }
}
