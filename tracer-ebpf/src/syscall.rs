//! System calls: one program for all entries, one for all returns.
//!
//! They attach to the BTF-typed raw tracepoints, where registers are read directly instead of
//! through a helper. The `raw_` programs record every call with its six arguments, like the
//! kernel's `raw_syscalls` events.

use aya_ebpf::EbpfContext;
use aya_ebpf::btf_maps::Array;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use tracer_common::{MAX_SYSCALL_ARGS, MAX_SYSCALLS, SYSCALL_ARG_SLOT_LEN, SyscallSpec};

use crate::emit::scratch::Scratch;
use crate::emit::{count, ring};
use crate::maps::{SYSCALL_ENTER, SYSCALL_EXIT, constant};
use crate::registers::Registers;
use crate::scope::{self, Scope};
use crate::{hook, throttle};

// Not inlined, the program would only call this function, because it is long.
#[btf_tracepoint(function = "sys_enter")]
#[inline(always)]
pub(crate) fn on_sys_enter(ctx: BtfTracePointContext) -> i32 {
    let regs = Registers::of_syscall(&ctx);
    if regs.is_compat() {
        count_compat();
    } else if let Some(spec) = row(&SYSCALL_ENTER, ctx.arg(1))
        && wanted(spec, regs, 0)
        && let Some(scope) = scope::admit()
        && throttle::passes(spec.throttled != 0, spec.class)
    {
        enter(&ctx, &scope, spec, regs);
    }
    0
}

#[btf_tracepoint(function = "sys_exit")]
pub(crate) fn on_sys_exit(ctx: BtfTracePointContext) -> i32 {
    let regs = Registers::of_syscall(&ctx);
    let nr = regs.syscall_number();
    let ret: i64 = ctx.arg(1);
    if regs.is_compat() {
        // Once per call.
        if constant!(CONFIG.exits_only) != 0 {
            count_compat();
        }
    } else if let Some(spec) = row(&SYSCALL_EXIT, nr)
        && wanted(spec, regs, ret)
        && let Some(scope) = scope::admit()
        && throttle::passes(spec.throttled != 0, spec.class)
    {
        let flags = u32::from(spec.flags);
        emit_values(&ctx, &scope, spec.class, flags, 0, [ret as u64]);
    }
    0
}

#[btf_tracepoint(function = "sys_enter")]
pub(crate) fn on_raw_sys_enter(ctx: BtfTracePointContext) -> i32 {
    let regs = Registers::of_syscall(&ctx);
    let nr: u64 = ctx.arg(1);
    if hook::syscall_filter(regs.as_ptr(), RAW_FILTER, nr as i64)
        && let Some(scope) = scope::admit()
        && let class = constant!(CONFIG.raw_enter_class)
        && throttle::passes(constant!(CONFIG.raw_enter_throttled) != 0, class)
    {
        let flags = constant!(CONFIG.raw_enter_flags);
        let args = regs.syscall_arguments();
        emit_values(
            &ctx,
            &scope,
            class,
            flags,
            0,
            [nr, args[0], args[1], args[2], args[3], args[4], args[5]],
        );
    }
    0
}

#[btf_tracepoint(function = "sys_exit")]
pub(crate) fn on_raw_sys_exit(ctx: BtfTracePointContext) -> i32 {
    let regs = Registers::of_syscall(&ctx);
    let ret: i64 = ctx.arg(1);
    if hook::syscall_filter(regs.as_ptr(), RAW_FILTER, ret)
        && let Some(scope) = scope::admit()
        && let class = constant!(CONFIG.raw_exit_class)
        && throttle::passes(constant!(CONFIG.raw_exit_throttled) != 0, class)
    {
        let flags = constant!(CONFIG.raw_exit_flags);
        let nr = regs.syscall_number();
        emit_values(&ctx, &scope, class, flags, 0, [nr, ret as u64]);
    }
    0
}

/// The filter of the events of `raw_syscalls`.
const RAW_FILTER: u64 = 0;

/// Whether a call passes its filter, if it has one.
#[inline(always)]
fn wanted(spec: &SyscallSpec, regs: Registers, ret: i64) -> bool {
    spec.filter == 0 || hook::syscall_filter(regs.as_ptr(), u64::from(spec.filter), ret)
}

/// The row of a recorded system call, by reference: most of it is not needed if the call turns
/// out to be filtered. Like the kernel, it uses 32 bits of the number.
#[inline(always)]
fn row(table: &Array<SyscallSpec, MAX_SYSCALLS>, nr: u64) -> Option<&SyscallSpec> {
    let spec = table.get(nr as u32)?;
    (spec.enabled != 0).then_some(spec)
}

#[inline(always)]
fn count_compat() {
    if let Some(scope) = scope::admit() {
        count::compat_syscall(&scope);
    }
}

#[inline(always)]
fn enter(ctx: &BtfTracePointContext, scope: &Scope, spec: &SyscallSpec, regs: Registers) {
    if spec.strings != 0 {
        return enter_with_strings(ctx, scope, spec, regs);
    }
    let args = regs.syscall_arguments();
    let (class, tail, flags) = (spec.class, spec.unused_tail, u32::from(spec.flags));
    // One arm per size, because the verifier requires a constant to be reserved.
    match spec.arg_count {
        0 => emit_values(ctx, scope, class, flags, tail, first::<0>(args)),
        1 => emit_values(ctx, scope, class, flags, tail, first::<1>(args)),
        2 => emit_values(ctx, scope, class, flags, tail, first::<2>(args)),
        3 => emit_values(ctx, scope, class, flags, tail, first::<3>(args)),
        4 => emit_values(ctx, scope, class, flags, tail, first::<4>(args)),
        5 => emit_values(ctx, scope, class, flags, tail, first::<5>(args)),
        _ => emit_values(ctx, scope, class, flags, tail, first::<6>(args)),
    }
}

/// The first arguments of a system call.
#[inline(always)]
fn first<const COUNT: usize>(args: [u64; MAX_SYSCALL_ARGS]) -> [u64; COUNT] {
    core::array::from_fn(|i| args[i])
}

/// Emits an event with `values`, the last `unused_tail` bytes of which are not part of it, and
/// the stacks selected by `flags`.
#[inline(always)]
fn emit_values<const COUNT: usize>(
    ctx: &BtfTracePointContext,
    scope: &Scope,
    class: u32,
    flags: u32,
    unused_tail: u8,
    values: [u64; COUNT],
) {
    if flags != 0 {
        return emit_values_and_stacks(ctx, scope, class, flags, unused_tail, values);
    }
    let context_len = constant!(CONFIG.context_len) as usize;
    let len = context_len + COUNT * SYSCALL_ARG_SLOT_LEN;
    ring::fixed(ctx, scope, class, len, unused_tail, |payload| {
        if context_len != 0 {
            hook::context(payload);
        }
        let payload = payload.wrapping_add(context_len).cast::<u64>();
        for i in 0..COUNT {
            // SAFETY: `COUNT` numbers are reserved.
            unsafe { payload.add(i).write(values[i]) };
        }
    });
}

#[inline(always)]
fn emit_values_and_stacks<const COUNT: usize>(
    ctx: &BtfTracePointContext,
    scope: &Scope,
    class: u32,
    flags: u32,
    unused_tail: u8,
    values: [u64; COUNT],
) {
    let Some(scratch) = Scratch::of_syscall(scope.cpu) else {
        return;
    };
    scratch.push_context();
    for i in 0..COUNT {
        scratch.push_aligned_u64(values[i]);
    }
    scratch.take_back(usize::from(unused_tail));
    scratch.push_stacks(ctx.as_ptr(), flags);
    ring::variable(ctx, scope, class, &scratch);
}

#[inline(always)]
fn enter_with_strings(
    ctx: &BtfTracePointContext,
    scope: &Scope,
    spec: &SyscallSpec,
    regs: Registers,
) {
    let Some(scratch) = Scratch::of_syscall(scope.cpu) else {
        return;
    };
    scratch.push_context();
    let args = regs.syscall_arguments();
    for i in 0..MAX_SYSCALL_ARGS {
        if i >= spec.arg_count as usize {
            break;
        }
        let bit = 1u8 << i;
        if spec.strings & bit != 0 {
            scratch.push_user_string(args[i] as *const _, bit);
        } else {
            scratch.push_aligned_u64(args[i]);
            if spec.narrow & bit != 0 {
                scratch.take_back(4);
            }
        }
    }
    scratch.align();
    scratch.push_string_marks();
    scratch.push_stacks(ctx.as_ptr(), u32::from(spec.flags));
    ring::variable(ctx, scope, spec.class, &scratch);
}
