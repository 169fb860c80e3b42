//! The registers that the kernel saved when it was entered or a probe was hit
//! (`struct pt_regs`).

use core::ffi::c_void;

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::generated::{bpf_get_current_task, bpf_probe_read_kernel};
use aya_ebpf::programs::{BtfTracePointContext, ProbeContext};
use tracer_common::MAX_SYSCALL_ARGS;
use tracer_common::arch::NATIVE;

use crate::maps::constant;

/// Saved registers.
#[derive(Clone, Copy)]
pub(crate) struct Registers(*const c_void);

impl Registers {
    /// Those of the process, in a program at `sys_enter` or `sys_exit`.
    #[inline(always)]
    pub(crate) fn of_syscall(ctx: &BtfTracePointContext) -> Self {
        Self(ctx.arg(0))
    }

    /// Those of the function, in a program at its entry or return.
    #[inline(always)]
    pub(crate) fn of_function(ctx: &ProbeContext) -> Self {
        Self(ctx.as_ptr().cast_const())
    }

    /// For generated code.
    #[inline(always)]
    pub(crate) fn as_ptr(self) -> *const c_void {
        self.0
    }

    /// The number of the system call.
    #[inline(always)]
    pub(crate) fn syscall_number(self) -> u64 {
        if NATIVE.syscall_number_len == 4 {
            i64::from(self.read::<i32>(NATIVE.syscall_number)) as u64
        } else {
            self.read(NATIVE.syscall_number)
        }
    }

    /// The arguments of the system call.
    #[inline(always)]
    pub(crate) fn syscall_arguments(self) -> [u64; MAX_SYSCALL_ARGS] {
        const AT: [u16; MAX_SYSCALL_ARGS] = NATIVE.syscall_arguments;
        // Spelled out: a loop over the offsets would put them into a table.
        [
            self.read(AT[0]),
            self.read(AT[1]),
            self.read(AT[2]),
            self.read(AT[3]),
            self.read(AT[4]),
            self.read(AT[5]),
        ]
    }

    /// Whether the system call is one of the 32-bit interface, which has other numbers.
    #[inline(always)]
    pub(crate) fn is_compat(self) -> bool {
        self.is_of_compat_code() || self.is_by_compat_gate()
    }

    /// Whether 64-bit code made a 32-bit system call.
    #[inline(always)]
    fn is_by_compat_gate(self) -> bool {
        let Some(gate) = NATIVE.compat_gate else {
            return false;
        };
        // Rarely true for other calls, so the status is rarely read.
        self.read::<u64>(gate.equal[0]) != self.read::<u64>(gate.equal[1])
            && thread_status() & gate.status != 0
    }

    /// Whether 32-bit code made the system call.
    #[inline(always)]
    fn is_of_compat_code(self) -> bool {
        let mode = self.0.wrapping_byte_add(NATIVE.mode.into()).cast::<u16>();
        // SAFETY: as in `read`; volatile, so that exactly 2 bytes are read: the verifier accepts
        // no access that is larger than the member at this offset.
        NATIVE.is_compat(unsafe { core::ptr::read_volatile(mode) })
    }

    /// The stack pointer.
    #[inline(always)]
    pub(crate) fn stack_pointer(self) -> u64 {
        self.read(NATIVE.stack_pointer)
    }

    #[inline(always)]
    fn read<T: Copy>(self, offset: u16) -> T {
        // SAFETY: inside the registers, which the kernel types.
        unsafe { self.0.wrapping_byte_add(offset.into()).cast::<T>().read() }
    }
}

/// The status of the current thread; 0 if it is unknown.
#[inline(always)]
fn thread_status() -> u32 {
    let offset = constant!(TASK_LAYOUT.status);
    if offset == 0 {
        return 0;
    }
    let mut status = 0u32;
    // On an error it stays zero.
    unsafe {
        let task = bpf_get_current_task() as *const c_void;
        let source = task.wrapping_byte_add(offset as usize);
        bpf_probe_read_kernel((&raw mut status).cast(), 4, source);
    }
    status
}
