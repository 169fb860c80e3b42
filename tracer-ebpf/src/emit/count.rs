//! Counters of events that are not in the trace, or not completely.

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::bpf_get_smp_processor_id;
use aya_log_ebpf::debug;
use tracer_common::CpuState;

use crate::atomics;
use crate::maps::{CPUS, FAULTS, LOST, constant};
use crate::scope::Scope;

/// Counts a lost event, for its class and its CPU.
#[inline(always)]
pub(crate) fn lost(ctx: &impl EbpfContext, scope: &Scope, class: u32) {
    let row = class * constant!(CONFIG.cpu_count) + scope.cpu;
    // SAFETY: live counters; atomic, because an interrupt on this CPU may lose one, too.
    unsafe {
        if scope.requested {
            atomics::add_one(&raw mut (*scope.state).lost);
        }
        if let Some(counter) = LOST.get_ptr_mut(row) {
            atomics::add_one(counter);
        }
    }
    debug!(
        ctx,
        "ring of CPU {} is full: event of class {} lost", scope.cpu, class
    );
}

/// Counts an event with a value that could not be read, if it `faulted`.
#[inline(always)]
pub(crate) fn fault(scope: &Scope, class: u32, faulted: bool) {
    if faulted
        && let Some(counter) = FAULTS.get_ptr_mut(class * constant!(CONFIG.cpu_count) + scope.cpu)
    {
        // SAFETY: a live counter.
        unsafe { atomics::add_one(counter) };
    }
}

/// Counts a system call of 32-bit code, which is not recorded.
#[inline(always)]
pub(crate) fn compat_syscall(scope: &Scope) {
    // SAFETY: the live counter of this CPU.
    unsafe { atomics::add_one(&raw mut (*scope.state).compat_syscalls) };
}

/// Counts an event on this CPU if it came online during the recording.
#[inline(always)]
pub(crate) fn unrecorded() {
    let cpu = unsafe { bpf_get_smp_processor_id() } as u32;
    let Some(state) = CPUS.get_ptr_mut(cpu) else {
        return;
    };
    // SAFETY: the live state of this CPU; the recorder may write `enabled` at any time.
    unsafe {
        if core::ptr::read_volatile(&raw const (*state).enabled) == CpuState::COUNTED {
            atomics::add_one(&raw mut (*state).unrecorded);
        }
    }
}
