//! Architectures of guests.

use crate::apt::Program;
use crate::wire;

/// An architecture, with all that depends on it outside the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// x86-64.
    Amd64,
}

impl Arch {
    /// Debian's name.
    pub(super) fn debian(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
        }
    }

    /// The emulator.
    pub(super) const fn emulator(self) -> Program {
        match self {
            Self::Amd64 => Program {
                name: "qemu-system-x86_64",
                package: "qemu-system-x86",
            },
        }
    }

    /// The kernel's name of the serial line.
    pub(super) fn console(self) -> &'static str {
        match self {
            Self::Amd64 => "ttyS0",
        }
    }

    /// The emulator's device with which the guest ends the machine.
    pub(super) fn exit_device(self) -> String {
        match self {
            Self::Amd64 => format!("isa-debug-exit,iobase={:#x},iosize=4", wire::EXIT_PORT),
        }
    }
}
