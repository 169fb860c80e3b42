//! System calls as one event each, emitted when they return: arguments, result and duration.
//!
//! The arguments of a call are kept in the storage of its thread. A thread has at most one call
//! under way, and a new one has none: the return of its clone is that of no entry. Strings are
//! kept from the entry too, because the process may have changed them by the return, or have
//! another memory (exec).

use core::ptr;

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::BPF_LOCAL_STORAGE_GET_F_CREATE;
use aya_ebpf::helpers::generated::{
    bpf_get_current_task_btf, bpf_probe_read_user_str, bpf_task_storage_get,
};
use aya_ebpf::helpers::{bpf_get_smp_processor_id, bpf_ktime_get_ns};
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use tracer_common::{
    CALL_STRING_SLOT_LEN, CallSpec, CpuState, KeptCall, MAX_STRING_LEN, MAX_SYSCALL_ARGS,
    SYSCALL_ARG_SLOT_LEN, call_traits, call_values,
};

use crate::emit::scratch::Scratch;
use crate::emit::{count, ring};
use crate::maps::{CALLS, CPUS, SYSCALL_CALL, constant};
use crate::registers::Registers;
use crate::scope::{self, Prospect, Scope};
use crate::{atomics, hook, throttle};

/// Values after the arguments: result, duration, and whether it is unfinished.
const OUTCOMES: usize = call_values::COUNT - MAX_SYSCALL_ARGS;

/// Bytes that the last of them, a byte, leaves unused in its slot.
const UNUSED_TAIL: u8 = SYSCALL_ARG_SLOT_LEN as u8 - 1;

/// What a system call without a number has for one after its return: `rt_sigreturn` restores
/// registers in which the number is -1.
const NO_NUMBER: u32 = u32::MAX;

/// States of a kept call: whether it is one of those that the recording lacks until they return.
const UNDER_WAY: u32 = 1;
const COUNTED: u32 = 2;

#[btf_tracepoint(function = "sys_enter")]
#[inline(always)]
pub(crate) fn on_call_enter(ctx: BtfTracePointContext) -> i32 {
    let regs = Registers::of_syscall(&ctx);
    let nr: u64 = ctx.arg(1);
    if regs.is_compat() {
        if constant!(CONFIG.calls_only) != 0
            && let Some(scope) = scope::admit()
        {
            count::compat_syscall(&scope);
        }
    } else if let Some(spec) = row(nr as u32) {
        // The return decides if the recording, or that of the process, has started by then.
        match scope::prospect() {
            Prospect::Refused => {}
            Prospect::Open => enter(&ctx, spec, nr as u32, regs, UNDER_WAY),
            Prospect::Admitted => enter(&ctx, spec, nr as u32, regs, COUNTED),
        }
    }
    0
}

#[btf_tracepoint(function = "sys_exit")]
#[inline(always)]
pub(crate) fn on_call_exit(ctx: BtfTracePointContext) -> i32 {
    let nr = Registers::of_syscall(&ctx).syscall_number() as u32;
    // Most calls are not recorded: the table says so faster than the storage.
    if (nr == NO_NUMBER || row(nr).is_some())
        && let Some(call) = kept(0)
    {
        // SAFETY: of this thread, whose programs do not interrupt each other.
        let (under_way, kept_nr) = unsafe { ((*call).under_way, (*call).nr) };
        if under_way != 0
            && (nr == NO_NUMBER || nr == kept_nr)
            && let Some(spec) = row(kept_nr)
        {
            // SAFETY: as above.
            unsafe { (*call).under_way = 0 };
            if under_way == COUNTED {
                count_returned();
            }
            if let Some(scope) = scope::admit() {
                returned(&ctx, &scope, spec, call);
            }
        }
    }
    0
}

/// The row of a recorded system call.
#[inline(always)]
fn row(nr: u32) -> Option<&'static CallSpec> {
    let spec = SYSCALL_CALL.get(nr)?;
    (spec.enabled != 0).then_some(spec)
}

/// The storage of the current thread.
#[inline(always)]
fn kept(flags: u64) -> Option<*mut KeptCall> {
    // SAFETY: the current thread; the map is a task storage.
    let call = unsafe {
        let map = (&raw const CALLS).cast_mut().cast();
        bpf_task_storage_get(map, bpf_get_current_task_btf(), ptr::null_mut(), flags)
    };
    (!call.is_null()).then_some(call.cast())
}

#[inline(always)]
fn enter(ctx: &BtfTracePointContext, spec: &CallSpec, nr: u32, regs: Registers, under_way: u32) {
    let Some(call) = kept(u64::from(BPF_LOCAL_STORAGE_GET_F_CREATE)) else {
        if let Some(scope) = scope::admit() {
            count::lost(ctx, &scope, spec.class);
        }
        return;
    };
    let args = regs.syscall_arguments();
    // SAFETY: of this thread, whose programs do not interrupt each other.
    unsafe {
        (*call).nr = nr;
        (*call).unreadable = 0;
        (*call).cut = 0;
        #[allow(clippy::manual_memcpy, reason = "each is read from its register")]
        for i in 0..MAX_SYSCALL_ARGS {
            (*call).values[i] = args[i];
        }
    }
    if constant!(CONFIG.call_string_slots) != 0 && spec.strings != 0 {
        read_strings(spec, call, spec.strings.into());
    }
    if spec.traits & call_traits::NEVER_RETURNS != 0 {
        if let Some(scope) = scope::admit() {
            finish(ctx, &scope, spec, call, [0, -1, 1]);
        }
        return;
    }
    // SAFETY: as above.
    unsafe {
        // If a program missed the return of the last one, it is counted already.
        if under_way == COUNTED && (*call).under_way != COUNTED {
            count_entered();
        }
        (*call).under_way = under_way;
        // At last, so that the duration is that of the call.
        (*call).entered_ns = bpf_ktime_get_ns();
    }
}

/// Reads the strings of these arguments from the process.
#[inline(always)]
fn read_strings(spec: &CallSpec, call: *mut KeptCall, wanted: u32) {
    for i in 0..MAX_SYSCALL_ARGS {
        let bit = 1u32 << i;
        if wanted & bit == 0 {
            continue;
        }
        let Some((string, len)) = slot(spec, call, i) else {
            continue;
        };
        // SAFETY: the slot has room for one byte more than is recorded.
        unsafe {
            let source = (*call).values[i] as *const _;
            let read = bpf_probe_read_user_str(string.cast(), MAX_STRING_LEN as u32 + 1, source);
            (*call).unreadable &= !bit;
            if read > MAX_STRING_LEN as i64 {
                string.add(MAX_STRING_LEN - 1).write(0);
                (*call).cut |= bit;
                len.write(MAX_STRING_LEN as u64);
            } else if read > 0 {
                len.write(read as u64);
            } else {
                (*call).unreadable |= bit;
                string.write(0);
                len.write(1);
            }
        }
    }
}

/// Where the string of argument `i` is kept, and its length.
#[inline(always)]
fn slot(spec: &CallSpec, call: *mut KeptCall, i: usize) -> Option<(*mut u8, *mut u64)> {
    let slot = u32::from(spec.slots[i]);
    if slot >= constant!(CONFIG.call_string_slots) {
        return None;
    }
    let offset = size_of::<KeptCall>() + slot as usize * CALL_STRING_SLOT_LEN;
    let lens = unsafe { (&raw mut (*call).lens).cast::<u64>() };
    Some((
        call.cast::<u8>().wrapping_add(offset),
        lens.wrapping_add(slot as usize),
    ))
}

/// The call of this thread returns with the result in the context.
#[inline(always)]
fn returned(ctx: &BtfTracePointContext, scope: &Scope, spec: &CallSpec, call: *mut KeptCall) {
    let ret: i64 = ctx.arg(1);
    // SAFETY: of this thread.
    let (entered_ns, unreadable) = unsafe { ((*call).entered_ns, (*call).unreadable) };
    if constant!(CONFIG.call_string_slots) != 0
        && unreadable != 0
        && (spec.traits & call_traits::REPLACES_MEMORY == 0 || ret != 0)
    {
        // The call has brought the page in, if the string is valid.
        read_strings(spec, call, unreadable);
    }
    let duration = unsafe { bpf_ktime_get_ns() }.wrapping_sub(entered_ns);
    finish(ctx, scope, spec, call, [ret, duration as i64, 0]);
}

/// Emits the event of a call unless its filter or throttle drops it.
#[inline(always)]
fn finish(
    ctx: &BtfTracePointContext,
    scope: &Scope,
    spec: &CallSpec,
    call: *mut KeptCall,
    outcome: [i64; OUTCOMES],
) {
    for i in 0..OUTCOMES {
        // SAFETY: of this thread.
        unsafe { (*call).values[MAX_SYSCALL_ARGS + i] = outcome[i] as u64 };
    }
    if (spec.filter == 0 || hook::call_filter(call, spec.filter.into()))
        && throttle::passes(spec.throttled != 0, spec.class)
    {
        emit(ctx, scope, spec, call);
    }
}

#[inline(always)]
fn emit(ctx: &BtfTracePointContext, scope: &Scope, spec: &CallSpec, call: *const KeptCall) {
    if spec.strings != 0 || spec.flags != 0 {
        return emit_variable(ctx, scope, spec, call);
    }
    // One arm per size, because the verifier requires a constant to be reserved.
    match spec.arg_count {
        0 => emit_fixed::<0>(ctx, scope, spec, call),
        1 => emit_fixed::<1>(ctx, scope, spec, call),
        2 => emit_fixed::<2>(ctx, scope, spec, call),
        3 => emit_fixed::<3>(ctx, scope, spec, call),
        4 => emit_fixed::<4>(ctx, scope, spec, call),
        5 => emit_fixed::<5>(ctx, scope, spec, call),
        _ => emit_fixed::<6>(ctx, scope, spec, call),
    }
}

#[inline(always)]
fn emit_fixed<const ARGS: usize>(
    ctx: &BtfTracePointContext,
    scope: &Scope,
    spec: &CallSpec,
    call: *const KeptCall,
) {
    let context_len = constant!(CONFIG.context_len) as usize;
    let len = context_len + (ARGS + OUTCOMES) * SYSCALL_ARG_SLOT_LEN;
    ring::fixed(ctx, scope, spec.class, len, UNUSED_TAIL, |payload| {
        if context_len != 0 {
            hook::context(payload);
        }
        let payload = payload.wrapping_add(context_len).cast::<u64>();
        for i in 0..ARGS {
            // SAFETY: reserved; the call is of this thread.
            unsafe { payload.add(i).write((*call).values[i]) };
        }
        for i in 0..OUTCOMES {
            // SAFETY: as above.
            unsafe {
                payload
                    .add(ARGS + i)
                    .write((*call).values[MAX_SYSCALL_ARGS + i]);
            }
        }
    });
}

#[inline(always)]
fn emit_variable(
    ctx: &BtfTracePointContext,
    scope: &Scope,
    spec: &CallSpec,
    call: *const KeptCall,
) {
    let Some(scratch) = Scratch::of_syscall(scope.cpu) else {
        return;
    };
    scratch.push_context();
    for i in 0..MAX_SYSCALL_ARGS {
        if i >= spec.arg_count as usize {
            break;
        }
        let bit = 1u8 << i;
        if constant!(CONFIG.call_string_slots) != 0 && spec.strings & bit != 0 {
            if let Some((string, len)) = slot(spec, call.cast_mut(), i) {
                // SAFETY: of this thread.
                scratch.push_kernel_bytes(string.cast(), unsafe { len.read() } as usize);
            }
        } else {
            // SAFETY: of this thread.
            scratch.push_aligned_u64(unsafe { (*call).values[i] });
            if spec.narrow & bit != 0 {
                scratch.take_back(4);
            }
        }
    }
    for i in 0..OUTCOMES {
        // SAFETY: of this thread.
        scratch.push_aligned_u64(unsafe { (*call).values[MAX_SYSCALL_ARGS + i] });
    }
    scratch.take_back(UNUSED_TAIL.into());
    if spec.strings != 0 {
        // SAFETY: of this thread.
        let (cut, unreadable) = unsafe { ((*call).cut, (*call).unreadable) };
        scratch.push_byte(cut as u8);
        scratch.push_byte(unreadable as u8);
    }
    scratch.push_stacks(ctx.as_ptr(), spec.flags.into());
    ring::variable(ctx, scope, spec.class, &scratch);
}

#[inline(always)]
fn count_entered() {
    if let Some(state) = state() {
        // SAFETY: a live counter.
        unsafe { atomics::add_one(&raw mut (*state).calls_entered) };
    }
}

#[inline(always)]
fn count_returned() {
    if let Some(state) = state() {
        // SAFETY: a live counter.
        unsafe { atomics::add_one(&raw mut (*state).calls_returned) };
    }
}

/// The state of this CPU, recorded or not.
#[inline(always)]
fn state() -> Option<*mut CpuState> {
    CPUS.get_ptr_mut(unsafe { bpf_get_smp_processor_id() } as u32)
}
