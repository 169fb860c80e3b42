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
    #[cfg(feature = "code")]
    formed_address,
};

/// `adr`, or `adrp` followed by `add` of an immediate to the same register (Arm Architecture
/// Reference Manual, C6.2).
#[cfg(feature = "code")]
fn formed_address(code: &[u8], address: u64) -> Option<u64> {
    let (first, rest) = code.split_first_chunk::<4>()?;
    let first = u32::from_le_bytes(*first);
    if first & 0x1f00_0000 != 0x1000_0000 {
        return None;
    }
    let high = ((first << 8) as i32 >> 13) << 2;
    let offset = i64::from(high | (first >> 29 & 3) as i32);
    if first >> 31 == 0 {
        return Some(address.wrapping_add_signed(offset));
    }
    let page = (address & !0xfff).wrapping_add_signed(offset << 12);
    let add = u32::from_le_bytes(*rest.first_chunk::<4>()?);
    let is_sum = add & 0xffc0_0000 == 0x9100_0000 && add >> 5 & 0x1f == first & 0x1f;
    is_sum.then(|| page.wrapping_add(u64::from(add >> 10 & 0xfff)))
}

#[cfg(all(test, feature = "code"))]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_by_one_instruction_or_two() {
        // adr x0, .-4
        assert_eq!(
            formed_address(&0x10ff_ffe0_u32.to_le_bytes(), 0x1000),
            Some(0xffc)
        );
        // adrp x0, .+0x1000; add x0, x0, #0x24
        let pair = [0x00, 0x00, 0x00, 0xb0, 0x00, 0x90, 0x00, 0x91];
        assert_eq!(formed_address(&pair, 0x1234), Some(0x2024));
        assert_eq!(formed_address(&pair[..4], 0x1234), None);
    }
}
