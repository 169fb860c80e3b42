//! Functions that return, with what was stored at their entry.
//!
//! A return finds its entry by the value of the stack pointer at the entry. No other call of the
//! function that has not returned yet has the same: neither one of the same thread (recursion),
//! nor one that interrupts it, nor one of another thread.

use core::ffi::c_void;

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::BPF_ANY;
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::helpers::generated::{bpf_map_delete_elem, bpf_map_lookup_elem, bpf_map_update_elem};
use aya_ebpf::macros::kprobe;
use aya_ebpf::programs::ProbeContext;
use tracer_common::arch::NATIVE;
use tracer_common::{CallEntry, CallKey, MAX_ENTRY_VALUES, spec_flags};

use crate::emit::count;
use crate::emit::scratch::Scratch;
use crate::fetched::{Call, Event};
use crate::maps::{ENTRIES, constant};
use crate::registers::Registers;
use crate::scope::{self, Scope};
use crate::{hook, throttle};

/// Stores the time of the entry of a function, and the values fetched there.
#[kprobe]
pub(crate) fn on_entry(ctx: ProbeContext) -> u32 {
    if let Some(scope) = scope::admit()
        && let Some(scratch) = Scratch::of_probe(scope.cpu, constant!(SPEC.flags))
    {
        keep_entry(&ctx, &scope, &scratch);
        scratch.give_back();
    }
    0
}

#[inline(always)]
fn keep_entry(ctx: &ProbeContext, scope: &Scope, scratch: &Scratch) {
    let entry = scratch.event().cast::<CallEntry>();
    let values = scratch.event().wrapping_add(size_of::<CallEntry>());
    let fetched = hook::fetch(ctx.as_ptr(), values);
    // SAFETY: the scratch is longer than an entry, and aligned to 8.
    unsafe {
        (*entry).len = fetched.len() as u64 & (MAX_ENTRY_VALUES as u64 - 1);
        (*entry).timestamp_ns = bpf_ktime_get_ns();
    }
    count::fault(scope, constant!(SPEC.class), fetched.faulted());
    let key = key(ctx, scope, 0);
    // SAFETY: key and value have at least the sizes of the map. If the map is full, the entry is
    // not stored, and the duration of the event is unknown.
    unsafe {
        bpf_map_update_elem(
            map(),
            (&raw const key).cast(),
            entry.cast(),
            u64::from(BPF_ANY),
        );
    }
}

/// Emits the duration of a call, the values fetched at its return, and those of its entry.
#[kprobe]
pub(crate) fn on_return(ctx: ProbeContext) -> u32 {
    let flags = constant!(SPEC.flags);
    let Some(scope) = scope::admit() else {
        return 0;
    };
    let key = key(&ctx, &scope, NATIVE.return_address_len);
    // SAFETY: the key has the size of the map's keys.
    let entry = unsafe { bpf_map_lookup_elem(map(), (&raw const key).cast()) }.cast::<CallEntry>();
    let duration = if entry.is_null() {
        -1
    } else {
        // SAFETY: the map contains whole entries.
        unsafe { bpf_ktime_get_ns().wrapping_sub((*entry).timestamp_ns) as i64 }
    };
    let throttled = flags & spec_flags::THROTTLED != 0;
    if hook::filter(ctx.as_ptr(), duration, entry)
        && throttle::passes(throttled, constant!(SPEC.class))
    {
        let event = Event {
            ctx: &ctx,
            scope: &scope,
            class: constant!(SPEC.class),
            call: Some(Call {
                duration,
                entry: Some(entry),
            }),
            fetch_len: constant!(SPEC.fetch_len) as usize,
            unused_tail: 0,
        };
        event.emit();
    }
    if !entry.is_null() {
        // SAFETY: as above.
        unsafe { bpf_map_delete_elem(map(), (&raw const key).cast()) };
    }
    0
}

/// The key of a call, `popped` bytes of whose stack have been removed since its entry.
#[inline(always)]
fn key(ctx: &ProbeContext, scope: &Scope, popped: u64) -> CallKey {
    let flags = constant!(SPEC.flags);
    let place = if flags & spec_flags::TRAMPOLINE == 0 {
        let stack = Registers::of_function(ctx).stack_pointer();
        stack.wrapping_sub(popped)
    } else {
        // The arguments that a trampoline keeps on the stack, the same for entry and return.
        ctx.as_ptr() as u64
    };
    CallKey {
        place,
        class: constant!(SPEC.class),
        // The stacks of different processes have the same addresses.
        pid: if flags & spec_flags::USER == 0 {
            0
        } else {
            scope.pid
        },
    }
}

#[inline(always)]
fn map() -> *mut c_void {
    (&raw const ENTRIES).cast_mut().cast()
}
