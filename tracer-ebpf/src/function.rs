//! Kernel functions, entered (kprobe) and returned from (kretprobe): registers as payload.

use aya_ebpf::{
    EbpfContext,
    bindings::pt_regs,
    macros::{kprobe, kretprobe},
    programs::{ProbeContext, RetProbeContext},
};

use crate::{emit, maps::constant, scope};

#[kprobe]
pub(crate) fn on_kprobe(ctx: ProbeContext) -> u32 {
    if let Some(scope) = scope::admit() {
        let regs = ctx.as_ptr().cast::<pt_regs>();
        emit::fixed(&ctx, &scope, constant!(SPEC.class), 48, 0, |payload| {
            let payload = payload.cast::<u64>();
            // SAFETY: six numbers are reserved; the context is the registers at the probe,
            // arguments as the System V ABI passes them.
            unsafe {
                payload.write((*regs).rdi);
                payload.add(1).write((*regs).rsi);
                payload.add(2).write((*regs).rdx);
                payload.add(3).write((*regs).rcx);
                payload.add(4).write((*regs).r8);
                payload.add(5).write((*regs).r9);
            }
        });
    }
    0
}

#[kretprobe]
pub(crate) fn on_kretprobe(ctx: RetProbeContext) -> u32 {
    if let Some(scope) = scope::admit() {
        let regs = ctx.as_ptr().cast::<pt_regs>();
        emit::fixed(&ctx, &scope, constant!(SPEC.class), 8, 0, |payload| {
            // SAFETY: one number is reserved; the context is the registers at the return.
            unsafe { payload.cast::<u64>().write((*regs).rax) };
        });
    }
    0
}
