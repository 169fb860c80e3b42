//! The BPF ring buffer as the transport of events.
//!
//! The events of a ring are in the order of their timestamps, although an interrupt can come
//! between reading the clock and reserving: each event adds to the CPU's `sequence` once it has
//! its record. A program that sees the number change between reading the clock and reserving
//! discards the record and tries again. An interrupt that comes later is later in both orders.

use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::ptr;

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP, bpf_dynptr};
use aya_ebpf::helpers::{
    bpf_dynptr_write, bpf_ktime_get_ns, bpf_ringbuf_discard, bpf_ringbuf_discard_dynptr,
    bpf_ringbuf_reserve, bpf_ringbuf_reserve_dynptr, bpf_ringbuf_submit, bpf_ringbuf_submit_dynptr,
};
use tracer_common::{CpuState, EVENT_HEADER_LEN, EventHeader};

use crate::emit::count::lost;
use crate::emit::scratch::Scratch;
use crate::maps::{RINGS, constant};
use crate::scope::Scope;

/// Attempts to reserve a record before the event counts as lost.
const ATTEMPTS: usize = 4;

/// Bytes of the ring's own header of each record (`BPF_RINGBUF_HDR_SZ`).
const RING_RECORD_HEADER_LEN: u32 = 8;

/// Emits an event with a payload of `payload_len` bytes, which `fill` writes in place. The last
/// `unused_tail` bytes are not part of the event.
///
/// `payload_len` must be a constant to the verifier.
#[inline(always)]
pub(crate) fn fixed(
    ctx: &impl EbpfContext,
    scope: &Scope,
    class: u32,
    payload_len: usize,
    unused_tail: u8,
    fill: impl FnOnce(*mut u8),
) {
    let size = EVENT_HEADER_LEN + payload_len;
    let Some(ring) = RINGS.get(scope.cpu) else {
        return;
    };
    let ring = ptr::from_ref(ring).cast_mut().cast::<c_void>();
    for _ in 0..ATTEMPTS {
        let sequence = sequence(scope.state);
        let timestamp_ns = unsafe { bpf_ktime_get_ns() };
        let record = unsafe { bpf_ringbuf_reserve(ring, size as u64, 0) }.cast::<u8>();
        if record.is_null() {
            return lost(ctx, scope, class);
        }
        if !claim(scope.state, sequence) {
            unsafe { bpf_ringbuf_discard(record.cast(), u64::from(BPF_RB_NO_WAKEUP)) };
            continue;
        }
        // SAFETY: `size` bytes are reserved at `record`, aligned to 8.
        unsafe {
            record.cast::<EventHeader>().write(header(
                scope,
                class,
                timestamp_ns,
                size as u32 - u32::from(unused_tail),
            ));
        }
        fill(unsafe { record.add(EVENT_HEADER_LEN) });
        unsafe { bpf_ringbuf_submit(record.cast(), wakeup(scope.state, size as u32)) };
        return;
    }
    lost(ctx, scope, class);
}

/// Emits the event that was built in `scratch`.
#[inline(always)]
pub(crate) fn variable(ctx: &impl EbpfContext, scope: &Scope, class: u32, scratch: &Scratch) {
    let Some(ring) = RINGS.get(scope.cpu) else {
        return;
    };
    let ring = ptr::from_ref(ring).cast_mut().cast::<c_void>();
    let size = scratch.event_len();
    for _ in 0..ATTEMPTS {
        let sequence = sequence(scope.state);
        scratch.set_header(header(
            scope,
            class,
            unsafe { bpf_ktime_get_ns() },
            size as u32,
        ));
        let mut record = MaybeUninit::<bpf_dynptr>::uninit();
        let record = record.as_mut_ptr();
        if unsafe { bpf_ringbuf_reserve_dynptr(ring, size as u32, 0, record) } < 0 {
            // The verifier requires it for a failed reservation, too.
            unsafe { bpf_ringbuf_discard_dynptr(record, u64::from(BPF_RB_NO_WAKEUP)) };
            return lost(ctx, scope, class);
        }
        if !claim(scope.state, sequence) {
            unsafe { bpf_ringbuf_discard_dynptr(record, u64::from(BPF_RB_NO_WAKEUP)) };
            continue;
        }
        unsafe {
            bpf_dynptr_write(record, 0, scratch.event().cast(), size as u32, 0);
            bpf_ringbuf_submit_dynptr(record, wakeup(scope.state, size as u32));
        }
        return;
    }
    lost(ctx, scope, class);
}

#[inline(always)]
fn header(scope: &Scope, class: u32, timestamp_ns: u64, size: u32) -> EventHeader {
    EventHeader {
        timestamp_ns,
        class,
        tid: scope.tid,
        pid: scope.pid,
        size,
    }
}

#[inline(always)]
fn sequence(state: *const CpuState) -> u64 {
    // SAFETY: the state of this CPU; volatile, because an interrupt may change it.
    unsafe { ptr::read_volatile(&raw const (*state).sequence) }
}

/// Whether no other event was reserved since `sequence` was read; if so, counts this one.
#[inline(always)]
fn claim(state: *mut CpuState, sequence: u64) -> bool {
    // SAFETY: as above. An interrupt between the two reserves after us, and sets the same
    // number or a greater one.
    unsafe {
        if ptr::read_volatile(&raw const (*state).sequence) != sequence {
            return false;
        }
        ptr::write_volatile(&raw mut (*state).sequence, sequence + 1);
    }
    true
}

/// The flags for submitting `size` bytes: the reader is woken once per batch.
#[inline(always)]
fn wakeup(state: *mut CpuState, size: u32) -> u64 {
    let threshold = constant!(CONFIG.wakeup_bytes);
    // SAFETY: the state of this CPU. If an interrupt comes in between, the count is wrong by an
    // event, which the next batch or the reader's timer corrects.
    unsafe {
        let pending =
            ptr::read_volatile(&raw const (*state).pending_bytes) + size + RING_RECORD_HEADER_LEN;
        let wake = pending >= threshold;
        ptr::write_volatile(
            &raw mut (*state).pending_bytes,
            if wake { 0 } else { pending },
        );
        u64::from(if wake {
            BPF_RB_FORCE_WAKEUP
        } else {
            BPF_RB_NO_WAKEUP
        })
    }
}
