//! Events of functions and raw tracepoints: the payload is what generated code fetches and, at
//! returns, the duration of the call and the values of its entry.

use core::ffi::c_void;

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use aya_ebpf::programs::ProbeContext;
use tracer_common::{CallEntry, MAX_ENTRY_VALUES, spec_flags};

use crate::emit::scratch::Scratch;
use crate::emit::{count, ring};
use crate::hook;
use crate::maps::constant;
use crate::scope::Scope;

/// A call that returns.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    /// Nanoseconds since its entry; -1 if the entry was not seen.
    pub(crate) duration: i64,
    /// What was stored at its entry, null if the entry was not seen; none for programs that do
    /// not store values.
    pub(crate) entry: Option<*const CallEntry>,
}

/// An event to emit.
pub(crate) struct Event<'a> {
    pub(crate) ctx: &'a ProbeContext,
    pub(crate) scope: &'a Scope,
    pub(crate) class: u32,
    /// The call, if the event is its return.
    pub(crate) call: Option<Call>,
    /// Bytes of the fetched values, in an event of fixed size.
    pub(crate) fetch_len: usize,
    /// Bytes at their end that are not part of the event.
    pub(crate) unused_tail: u8,
}

impl Event<'_> {
    /// Emits it as specified.
    #[inline(always)]
    pub(crate) fn emit(&self) {
        if constant!(SPEC.flags) & spec_flags::VARIABLE == 0 {
            self.emit_fixed();
        } else {
            self.emit_variable();
        }
    }

    #[inline(always)]
    fn emit_fixed(&self) {
        let context_len = constant!(CONFIG.context_len) as usize;
        let duration_len = if self.call.is_some() { 8 } else { 0 };
        let entry = self.call.and_then(|call| call.entry);
        let entry_len = if entry.is_some() {
            constant!(SPEC.entry_len) as usize
        } else {
            0
        };
        // Padding only if values follow: an event ends with its last field.
        let fetch_len = if entry_len == 0 {
            self.fetch_len
        } else {
            self.fetch_len.next_multiple_of(8)
        };
        let len = context_len + duration_len + fetch_len + entry_len;
        ring::fixed(
            self.ctx,
            self.scope,
            self.class,
            len,
            self.unused_tail,
            |payload| {
                hook::context(payload);
                let payload = payload.wrapping_add(context_len);
                if let Some(call) = self.call {
                    // SAFETY: reserved.
                    unsafe { payload.cast::<i64>().write(call.duration) };
                }
                let payload = payload.wrapping_add(duration_len);
                let faulted = hook::fetch(self.ctx.as_ptr(), payload).faulted();
                count::fault(self.scope, self.class, faulted);
                if let Some(entry) = entry
                    && entry_len != 0
                {
                    let values = if entry.is_null() {
                        core::ptr::null()
                    } else {
                        entry.wrapping_add(1).cast::<c_void>()
                    };
                    let to = payload.wrapping_add(fetch_len);
                    // SAFETY: reserved; the helper writes zeroes if it cannot read.
                    unsafe { bpf_probe_read_kernel(to.cast(), entry_len as u32, values) };
                }
            },
        );
    }

    #[inline(always)]
    fn emit_variable(&self) {
        let (ctx, flags) = (self.ctx, constant!(SPEC.flags));
        let Some(scratch) = Scratch::of_probe(self.scope.cpu, flags) else {
            return count::lost(ctx, self.scope, self.class);
        };
        scratch.push_context();
        if let Some(call) = self.call {
            scratch.push_aligned_u64(call.duration as u64);
        }
        scratch.push_fetched(ctx.as_ptr(), self.scope, self.class);
        if self.unused_tail != 0 {
            scratch.take_back(self.unused_tail.into());
        }
        if let Some(entry) = self.call.and_then(|call| call.entry) {
            push_entry(&scratch, entry);
        }
        scratch.push_stacks(ctx.as_ptr(), flags);
        ring::variable(ctx, self.scope, self.class, &scratch);
        scratch.give_back();
    }
}

/// Appends the values that were stored at the entry of a call.
#[inline(always)]
fn push_entry(scratch: &Scratch, entry: *const CallEntry) {
    if constant!(SPEC.entry_len) == 0 && constant!(SPEC.entry_strings) == 0 {
        return;
    }
    scratch.align();
    if entry.is_null() {
        scratch.push_zeroes(constant!(SPEC.entry_len) as usize);
        for _ in 0..constant!(SPEC.entry_strings) {
            scratch.push_unread_string(false);
        }
    } else {
        // SAFETY: the map contains whole entries.
        let len = unsafe { (*entry).len } as usize;
        let values = entry.wrapping_add(1).cast::<c_void>();
        scratch.push_kernel_bytes(values, len & (MAX_ENTRY_VALUES - 1));
    }
}
