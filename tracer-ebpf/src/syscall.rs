//! System calls: one program for all that are entered, one for all that return.
//!
//! They attach to the raw tracepoints with BTF, where registers are read directly instead
//! of through a helper. The `raw_` programs record every call with its six registers, as
//! the kernel's own `raw_syscalls` events do.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::pt_regs;
use aya_ebpf::btf_maps::Array;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use tracer_common::{MAX_SYSCALL_ARGS, MAX_SYSCALLS, SYSCALL_ARG_SLOT_LEN, SyscallSpec};

use crate::maps::{SYSCALL_ENTER, SYSCALL_EXIT, constant};
use crate::scope::{self, Scope};
use crate::scratch::Scratch;
use crate::{emit, hook, throttle};

/// User code segment of 32-bit code (`__USER32_CS`, `arch/x86/include/asm/segment.h`).
const USER32_CS: u16 = 0x23;

// Without the second line the program is a call of this function: it is long.
#[btf_tracepoint(function = "sys_enter")]
#[inline(always)]
pub(crate) fn on_sys_enter(ctx: BtfTracePointContext) -> i32 {
    let regs: *const pt_regs = ctx.arg(0);
    if is_compat(regs) {
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
    let regs: *const pt_regs = ctx.arg(0);
    // SAFETY: the registers of the caller, typed by BTF.
    let nr = unsafe { (*regs).orig_rax };
    let ret: i64 = ctx.arg(1);
    if is_compat(regs) {
        // Once for each call.
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
    let regs: *const pt_regs = ctx.arg(0);
    let nr: u64 = ctx.arg(1);
    if hook::syscall_filter(regs.cast(), RAW_FILTER, nr as i64)
        && let Some(scope) = scope::admit()
        && let class = constant!(CONFIG.raw_enter_class)
        && throttle::passes(constant!(CONFIG.raw_enter_throttled) != 0, class)
    {
        let flags = constant!(CONFIG.raw_enter_flags);
        let args = arguments(regs);
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
    let regs: *const pt_regs = ctx.arg(0);
    let ret: i64 = ctx.arg(1);
    if hook::syscall_filter(regs.cast(), RAW_FILTER, ret)
        && let Some(scope) = scope::admit()
        && let class = constant!(CONFIG.raw_exit_class)
        && throttle::passes(constant!(CONFIG.raw_exit_throttled) != 0, class)
    {
        let flags = constant!(CONFIG.raw_exit_flags);
        // SAFETY: the registers of the caller, typed by BTF.
        let nr = unsafe { (*regs).orig_rax };
        emit_values(&ctx, &scope, class, flags, 0, [nr, ret as u64]);
    }
    0
}

/// The filter of the events of `raw_syscalls`.
const RAW_FILTER: u64 = 0;

/// Whether the filter of a call, if it has one, lets it pass.
#[inline(always)]
fn wanted(spec: &SyscallSpec, regs: *const pt_regs, ret: i64) -> bool {
    spec.filter == 0 || hook::syscall_filter(regs.cast(), u64::from(spec.filter), ret)
}

/// The row of a system call that is to be recorded. It is not copied: a call that is refused
/// needs little of it. Of the register with the number the kernel takes 32 bits.
#[inline(always)]
fn row(table: &Array<SyscallSpec, MAX_SYSCALLS>, nr: u64) -> Option<&SyscallSpec> {
    let spec = table.get(nr as u32)?;
    (spec.enabled != 0).then_some(spec)
}

/// True for a call from 32-bit code, whose numbers mean other calls.
#[inline(always)]
fn is_compat(regs: *const pt_regs) -> bool {
    // SAFETY: the registers are typed by BTF. Two bytes: newer kernels have a union here,
    // whose first member is as short.
    let code_segment = unsafe { core::ptr::read_volatile((&raw const (*regs).cs).cast::<u16>()) };
    code_segment == USER32_CS
}

#[inline(always)]
fn count_compat() {
    if let Some(scope) = scope::admit() {
        // SAFETY: the live counter of this CPU.
        unsafe { emit::add_one(&raw mut (*scope.state).compat_syscalls) };
    }
}

#[inline(always)]
fn enter(ctx: &BtfTracePointContext, scope: &Scope, spec: &SyscallSpec, regs: *const pt_regs) {
    if spec.strings != 0 {
        return enter_with_strings(ctx, scope, spec, regs);
    }
    let args = arguments(regs);
    let (class, tail, flags) = (spec.class, spec.unused_tail, u32::from(spec.flags));
    // One arm per size, because a reservation's size is a constant to the verifier.
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

/// Emits an event whose payload is `values`, of which the last `unused_tail` bytes are not
/// part of it, and the stacks that `flags` ask for.
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
    emit::fixed(ctx, scope, class, len, unused_tail, |payload| {
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
    emit::variable(ctx, scope, class, &scratch);
}

#[inline(always)]
fn enter_with_strings(
    ctx: &BtfTracePointContext,
    scope: &Scope,
    spec: &SyscallSpec,
    regs: *const pt_regs,
) {
    let Some(scratch) = Scratch::of_syscall(scope.cpu) else {
        return;
    };
    scratch.push_context();
    let args = arguments(regs);
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
    emit::variable(ctx, scope, spec.class, &scratch);
}

/// The six argument registers of a system call, in order.
#[inline(always)]
fn arguments(regs: *const pt_regs) -> [u64; MAX_SYSCALL_ARGS] {
    // SAFETY: the registers of the caller, typed by BTF.
    unsafe {
        [
            (*regs).rdi,
            (*regs).rsi,
            (*regs).rdx,
            (*regs).r10,
            (*regs).r8,
            (*regs).r9,
        ]
    }
}
