//! 64-bit x86.

use crate::arch::{Arch, CompatGate, Structures};

/// Offsets in `struct pt_regs` (`arch/x86/include/asm/ptrace.h`).
mod pt_regs {
    pub(super) const R10: u16 = 56;
    pub(super) const R9: u16 = 64;
    pub(super) const R8: u16 = 72;
    pub(super) const AX: u16 = 80;
    pub(super) const CX: u16 = 88;
    pub(super) const DX: u16 = 96;
    pub(super) const SI: u16 = 104;
    pub(super) const DI: u16 = 112;
    pub(super) const ORIG_AX: u16 = 120;
    pub(super) const IP: u16 = 128;
    pub(super) const CS: u16 = 136;
    pub(super) const SP: u16 = 152;
}

/// Code segment of 32-bit user code (`__USER32_CS`, `arch/x86/include/asm/segment.h`).
const USER32_CS: u16 = 0x23;

/// A 32-bit system call is in progress (`arch/x86/include/asm/thread_info.h`).
const TS_COMPAT: u32 = 2;

/// 64-bit x86: System V ABI.
pub const X86_64: Arch = Arch {
    name: "x86_64",
    function_arguments: &[
        pt_regs::DI,
        pt_regs::SI,
        pt_regs::DX,
        pt_regs::CX,
        pt_regs::R8,
        pt_regs::R9,
    ],
    function_result: pt_regs::AX,
    structures: Structures::ByWord,
    stack_pointer: pt_regs::SP,
    return_address_len: 8,
    // AX has the result by the time that the call returns.
    syscall_number: pt_regs::ORIG_AX,
    syscall_number_len: 8,
    // CX is the return address of the `syscall` instruction.
    syscall_arguments: [
        pt_regs::DI,
        pt_regs::SI,
        pt_regs::DX,
        pt_regs::R10,
        pt_regs::R8,
        pt_regs::R9,
    ],
    // Newer kernels have a union of this register and more, which starts with its 2 bytes.
    mode: pt_regs::CS,
    compat_mask: u16::MAX,
    compat_mode: USER32_CS,
    // `syscall` copies the instruction pointer to CX; `int 0x80` does not.
    compat_gate: Some(CompatGate {
        equal: [pt_regs::CX, pt_regs::IP],
        status: TS_COMPAT,
    }),
    syscall_aliases: &[],
    #[cfg(feature = "syscall-names")]
    syscall_name: |number| {
        let call = syscalls::x86_64::Sysno::new(number as usize)?;
        Some(call.name())
    },
    #[cfg(feature = "code")]
    formed_address,
};

/// `lea disp32(%rip), %r64` and, in programs at fixed addresses, `mov $imm32, %r32` and
/// `mov $imm32, %r64` (Intel SDM, volume 2).
#[cfg(feature = "code")]
fn formed_address(code: &[u8], address: u64) -> Option<u64> {
    let word = |at: usize| {
        let bytes = code.get(at..)?.first_chunk::<4>()?;
        Some(i32::from_le_bytes(*bytes))
    };
    match *code {
        [0x48 | 0x4c, 0x8d, modrm, ..] if modrm & 0xc7 == 0x05 => {
            Some(address.wrapping_add(7).wrapping_add_signed(word(3)?.into()))
        }
        [0x48 | 0x49, 0xc7, 0xc0..=0xc7, ..] => u64::try_from(word(3)?).ok(),
        [0xb8..=0xbf, ..] => u64::try_from(word(1)?).ok(),
        _ => None,
    }
}

#[cfg(all(test, feature = "code"))]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_relative_to_the_next_instruction_or_as_constants() {
        // lea -0x10(%rip), %rax
        let lea = [0x48, 0x8d, 0x05, 0xf0, 0xff, 0xff, 0xff];
        assert_eq!(formed_address(&lea, 0x1000), Some(0xff7));
        // mov $0x401136, %eax
        let mov = [0xb8, 0x36, 0x11, 0x40, 0x00];
        assert_eq!(formed_address(&mov, 0x1000), Some(0x40_1136));
        // mov 0x10(%rip), %rax reads memory.
        let load = [0x48, 0x8b, 0x05, 0x10, 0x00, 0x00, 0x00];
        assert_eq!(formed_address(&load, 0x1000), None);
        assert_eq!(formed_address(&lea[..5], 0x1000), None);
    }
}
