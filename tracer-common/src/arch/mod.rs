//! Processor architectures: registers, calling conventions, system calls.
//!
//! Each architecture is an [`Arch`] in a separate file, and all of them compile everywhere,
//! so that their tests run on any machine. [`NATIVE`] is the one that the traced kernel runs
//! on; nothing else in the tracer depends on which one that is. A new architecture is a new
//! file and one more line at each place in this one that lists them.

mod aarch64;
mod x86_64;

use crate::MAX_SYSCALL_ARGS;

pub use aarch64::AARCH64;
pub use x86_64::X86_64;

/// The architecture of the traced kernel. eBPF programs are compiled for a machine without
/// registers; `bpf_target_arch` is the architecture of the kernel that they run in.
#[cfg(any(target_arch = "x86_64", bpf_target_arch = "x86_64"))]
pub const NATIVE: Arch = X86_64;
/// The architecture of the traced kernel. eBPF programs are compiled for a machine without
/// registers; `bpf_target_arch` is the architecture of the kernel that they run in.
#[cfg(any(target_arch = "aarch64", bpf_target_arch = "aarch64"))]
pub const NATIVE: Arch = AARCH64;

/// An architecture. Offsets are in bytes from the start of the kernel's `struct pt_regs`;
/// registers have 8 bytes unless a length is given.
#[derive(Clone, Copy, Debug)]
pub struct Arch {
    /// Its name, as printed by `uname -m`.
    pub name: &'static str,
    /// Offsets of the registers that pass integers and pointers to a function, in order.
    pub function_arguments: &'static [u16],
    /// Offset of the register that returns an integer or a pointer.
    pub function_result: u16,
    /// How structures are passed by value.
    pub structures: Structures,
    /// Offset of the stack pointer.
    pub stack_pointer: u16,
    /// Bytes of the return address that a call pushes onto the stack; 0 if it stays in a
    /// register.
    pub return_address_len: u64,
    /// Offset of the number of the system call.
    pub syscall_number: u16,
    /// Bytes of that number, 4 (signed) or 8.
    pub syscall_number_len: u8,
    /// Offsets of the arguments of a system call, valid both at its entry and at its return.
    pub syscall_arguments: [u16; MAX_SYSCALL_ARGS],
    /// Offset of the 2 bytes for [`is_compat`](Self::is_compat).
    pub mode: u16,
    /// Bits of these bytes that identify 32-bit code.
    pub compat_mask: u16,
    /// Value of these bits in 32-bit code.
    pub compat_mode: u16,
    /// How 64-bit code that made a 32-bit system call is recognized, if it can.
    pub compat_gate: Option<CompatGate>,
    /// System calls that tracefs (left) and the ABI (right) name differently, on this
    /// architecture only.
    pub syscall_aliases: &'static [(&'static str, &'static str)],
    /// Name of the system call with this number.
    #[cfg(feature = "syscall-names")]
    pub syscall_name: fn(u32) -> Option<&'static str>,
    /// The address that the first instruction of some code forms, given that code and its own
    /// address: of a function whose address is taken, say. That can take two instructions.
    #[cfg(feature = "code")]
    pub formed_address: fn(&[u8], u64) -> Option<u64>,
}

/// How a 32-bit system call of 64-bit code is recognized.
#[derive(Clone, Copy, Debug)]
pub struct CompatGate {
    /// Offsets of two registers that the instruction for 64-bit system calls sets to the same
    /// value. If they differ, the call may be a 32-bit one.
    pub equal: [u16; 2],
    /// The bit of `status` in the kernel's `struct thread_info` that marks a 32-bit call.
    pub status: u32,
}

/// How structures are passed by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Structures {
    /// Up to 16 bytes: each word that contains an integer takes a register. Larger or
    /// unaligned ones are copied to the stack. System V ABI for x86-64, section 3.2.3.
    ByWord,
    /// Up to 16 bytes: all words take registers. Larger ones are copied, and one register has
    /// the address of the copy; 16-byte integers start at an even register. Procedure Call
    /// Standard for the Arm 64-bit Architecture (AAPCS64), section 6.8.2.
    WholeOrAddress,
}

impl Arch {
    /// Whether 32-bit code made a system call, given the bytes at [`mode`](Self::mode): its
    /// system calls have other numbers.
    #[inline]
    #[must_use]
    pub const fn is_compat(&self, mode: u16) -> bool {
        mode & self.compat_mask == self.compat_mode
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Arch; 2] = [X86_64, AARCH64];

    #[test]
    fn registers_are_aligned_and_distinct() {
        for arch in ALL {
            for registers in [arch.function_arguments, &arch.syscall_arguments] {
                for (index, offset) in registers.iter().enumerate() {
                    assert_eq!(offset % 8, 0, "{}", arch.name);
                    assert!(!registers[..index].contains(offset), "{}", arch.name);
                }
            }
            assert_eq!(arch.stack_pointer % 8, 0, "{}", arch.name);
            assert!([4, 8].contains(&arch.syscall_number_len), "{}", arch.name);
        }
    }

    #[test]
    fn code_of_32_bits_is_recognized() {
        // `__USER_CS` and `__USER32_CS`.
        assert!(!X86_64.is_compat(0x33));
        assert!(X86_64.is_compat(0x23));
        // EL0t with all condition flags, and 32-bit user mode in Thumb state.
        assert!(!AARCH64.is_compat(0x0000));
        assert!(AARCH64.is_compat(0x0030));
        // EL1h: the kernel.
        assert!(!AARCH64.is_compat(0x0005));
    }

    #[cfg(feature = "syscall-names")]
    #[test]
    fn system_calls_have_the_names_of_their_architecture() {
        assert_eq!((X86_64.syscall_name)(257), Some("openat"));
        assert_eq!((AARCH64.syscall_name)(56), Some("openat"));
        assert_eq!((X86_64.syscall_name)(1023), None);
    }

    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    #[test]
    fn the_native_architecture_is_the_one_of_this_build() {
        extern crate std;
        assert_eq!(NATIVE.name, std::env::consts::ARCH);
    }
}
