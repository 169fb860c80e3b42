//! System calls: one program for all that are entered, one for all that return.
//!
//! They attach to the raw tracepoints with BTF, where registers are read directly instead
//! of through a helper. The `raw_` programs record every call with its six registers, as
//! the kernel's own `raw_syscalls` events do.

use aya_ebpf::{
    bindings::pt_regs, btf_maps::Array, macros::btf_tracepoint, programs::BtfTracePointContext,
};
use tracer_common::{MAX_SYSCALL_ARGS, MAX_SYSCALLS, SYSCALL_ARG_SLOT_LEN, SyscallSpec};

use crate::{
    emit,
    maps::{SYSCALL_ENTER, SYSCALL_EXIT, SYSCALL_SCRATCH, constant},
    scope::{self, Scope},
    scratch::Scratch,
};

/// User code segment of 32-bit code (`__USER32_CS`, `arch/x86/include/asm/segment.h`).
const USER32_CS: u16 = 0x23;

#[btf_tracepoint(function = "sys_enter")]
pub(crate) fn on_sys_enter(ctx: BtfTracePointContext) -> i32 {
    if let Some(scope) = scope::admit() {
        let regs: *const pt_regs = ctx.arg(0);
        if is_compat(regs) {
            count_compat(&scope);
        } else if let Some(spec) = row(&SYSCALL_ENTER, ctx.arg(1)) {
            enter(&ctx, &scope, &spec, regs);
        }
    }
    0
}

#[btf_tracepoint(function = "sys_exit")]
pub(crate) fn on_sys_exit(ctx: BtfTracePointContext) -> i32 {
    if let Some(scope) = scope::admit() {
        let regs: *const pt_regs = ctx.arg(0);
        // SAFETY: the registers of the caller, typed by BTF.
        let nr = unsafe { (*regs).orig_rax };
        if is_compat(regs) {
            // Once for each call.
            if constant!(CONFIG.exits_only) != 0 {
                count_compat(&scope);
            }
        } else if let Some(spec) = row(&SYSCALL_EXIT, nr) {
            let ret: i64 = ctx.arg(1);
            emit::fixed(&ctx, &scope, spec.class, 8, 0, |payload| {
                // SAFETY: one number is reserved.
                unsafe { payload.cast::<i64>().write(ret) };
            });
        }
    }
    0
}

#[btf_tracepoint(function = "sys_enter")]
pub(crate) fn on_raw_sys_enter(ctx: BtfTracePointContext) -> i32 {
    if let Some(scope) = scope::admit() {
        let class = constant!(CONFIG.raw_enter_class);
        emit::fixed(&ctx, &scope, class, 56, 0, |payload| {
            let payload = payload.cast::<u64>();
            let args = arguments(ctx.arg(0));
            // SAFETY: seven numbers are reserved.
            unsafe {
                payload.write(ctx.arg(1));
                for (i, arg) in args.into_iter().enumerate() {
                    payload.add(i + 1).write(arg);
                }
            }
        });
    }
    0
}

#[btf_tracepoint(function = "sys_exit")]
pub(crate) fn on_raw_sys_exit(ctx: BtfTracePointContext) -> i32 {
    if let Some(scope) = scope::admit() {
        let regs: *const pt_regs = ctx.arg(0);
        let class = constant!(CONFIG.raw_exit_class);
        emit::fixed(&ctx, &scope, class, 16, 0, |payload| {
            let payload = payload.cast::<u64>();
            // SAFETY: two numbers are reserved; the registers are typed by BTF.
            unsafe {
                payload.write((*regs).orig_rax);
                payload.add(1).write(ctx.arg(1));
            }
        });
    }
    0
}

/// The row of a system call that is to be recorded.
#[inline(always)]
fn row(table: &Array<SyscallSpec, MAX_SYSCALLS>, nr: u64) -> Option<SyscallSpec> {
    let spec = *table.get(u32::try_from(nr).ok()?)?;
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
fn count_compat(scope: &Scope) {
    // SAFETY: the live counter of this CPU.
    unsafe { emit::add_one(&raw mut (*scope.state).compat_syscalls) };
}

#[inline(always)]
fn enter(ctx: &BtfTracePointContext, scope: &Scope, spec: &SyscallSpec, regs: *const pt_regs) {
    if spec.strings != 0 {
        return enter_with_strings(ctx, scope, spec, regs);
    }
    // One arm per size, because a reservation's size is a constant to the verifier.
    match spec.arg_count {
        0 => enter_with_values::<0>(ctx, scope, spec, regs),
        1 => enter_with_values::<1>(ctx, scope, spec, regs),
        2 => enter_with_values::<2>(ctx, scope, spec, regs),
        3 => enter_with_values::<3>(ctx, scope, spec, regs),
        4 => enter_with_values::<4>(ctx, scope, spec, regs),
        5 => enter_with_values::<5>(ctx, scope, spec, regs),
        _ => enter_with_values::<6>(ctx, scope, spec, regs),
    }
}

#[inline(always)]
fn enter_with_values<const COUNT: usize>(
    ctx: &BtfTracePointContext,
    scope: &Scope,
    spec: &SyscallSpec,
    regs: *const pt_regs,
) {
    let len = COUNT * SYSCALL_ARG_SLOT_LEN;
    emit::fixed(ctx, scope, spec.class, len, spec.unused_tail, |payload| {
        let payload = payload.cast::<u64>();
        let args = arguments(regs);
        for (i, arg) in args.into_iter().take(COUNT).enumerate() {
            // SAFETY: `COUNT` numbers are reserved.
            unsafe { payload.add(i).write(arg) };
        }
    });
}

#[inline(always)]
fn enter_with_strings(
    ctx: &BtfTracePointContext,
    scope: &Scope,
    spec: &SyscallSpec,
    regs: *const pt_regs,
) {
    let Some(scratch) = Scratch::of_cpu(&SYSCALL_SCRATCH, scope.cpu) else {
        return;
    };
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
