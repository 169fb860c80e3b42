//! 64-bit Arm.

use crate::arch::{Arch, Structures};

/// Offsets in `struct pt_regs` (`arch/arm64/include/asm/ptrace.h`).
mod pt_regs {
    /// `regs[n]`.
    pub(super) const fn x(n: u16) -> u16 {
        8 * n
    }
    pub(super) const SP: u16 = 248;
    pub(super) const PSTATE: u16 = 264;
    pub(super) const ORIG_X0: u16 = 272;
    pub(super) const SYSCALLNO: u16 = 280;
}

/// Bits of PSTATE with the mode (`PSR_MODE32_BIT | PSR_MODE_MASK`,
/// `arch/arm64/include/uapi/asm/ptrace.h`).
const MODE_MASK: u16 = 0x1f;
/// 32-bit user code (`PSR_MODE32_BIT | PSR_MODE_EL0t`; `compat_user_mode` in
/// `arch/arm64/include/asm/ptrace.h`).
const MODE_COMPAT: u16 = 0x10;

/// 64-bit Arm: AAPCS64.
pub const AARCH64: Arch = Arch {
    name: "aarch64",
    function_arguments: &[
        pt_regs::x(0),
        pt_regs::x(1),
        pt_regs::x(2),
        pt_regs::x(3),
        pt_regs::x(4),
        pt_regs::x(5),
        pt_regs::x(6),
        pt_regs::x(7),
    ],
    function_result: pt_regs::x(0),
    structures: Structures::WholeOrAddress,
    stack_pointer: pt_regs::SP,
    // The return address is in X30 when a function is entered.
    return_address_len: 0,
    syscall_number: pt_regs::SYSCALLNO,
    syscall_number_len: 4,
    // X0 has the result by the time that the call returns.
    syscall_arguments: [
        pt_regs::ORIG_X0,
        pt_regs::x(1),
        pt_regs::x(2),
        pt_regs::x(3),
        pt_regs::x(4),
        pt_regs::x(5),
    ],
    mode: pt_regs::PSTATE,
    compat_mask: MODE_MASK,
    compat_mode: MODE_COMPAT,
    // 64-bit code cannot make 32-bit calls.
    compat_gate: None,
    syscall_aliases: &[("arm64_personality", "personality")],
    #[cfg(feature = "syscall-names")]
    syscall_name: |number| {
        let call = syscalls::aarch64::Sysno::new(number as usize)?;
        Some(call.name())
    },
};
