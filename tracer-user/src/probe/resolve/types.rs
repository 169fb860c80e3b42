//! Probes that exist: their event classes, and where they attach.

use std::path::PathBuf;

use tracer_common::{ProbeSpec, SyscallSpec, spec_flags};

use crate::probe::fetch::{FieldSource, Layout};
use crate::probe::filter::Condition;
use crate::trace::event::EventClass;

/// A probe that exists, with the layout of its events.
#[derive(Clone, Debug)]
pub struct ResolvedProbe {
    /// Its events.
    pub class: EventClass,
    /// Where and how to attach.
    pub attach_point: AttachPoint,
    /// Where a program finds each field of the payload while it decides whether an event is
    /// wanted.
    pub sources: Vec<FieldSource>,
    /// Only events for which this holds are recorded.
    pub filter: Option<Condition>,
    /// Stacks that are recorded behind the payload.
    pub stacks: Stacks,
    /// It was named exactly: that it fails to attach is an error. Probes that only a
    /// pattern matched are left out with a warning.
    pub explicit: bool,
    /// Which of the texts named it, by position; of several the last one.
    pub request: usize,
}

/// Whose stacks are recorded with each event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stacks {
    /// The kernel's.
    pub kernel: bool,
    /// The process's.
    pub user: bool,
}

impl Stacks {
    /// For the programs: [`spec_flags`].
    #[must_use]
    pub fn flags(self) -> u32 {
        let flag = |wanted: bool, flag: u32| if wanted { flag } else { 0 };
        flag(self.kernel, spec_flags::KERNEL_STACK) | flag(self.user, spec_flags::USER_STACK)
    }
}

/// Where a probe attaches, and what its program needs to know.
#[derive(Clone, Debug)]
pub enum AttachPoint {
    /// A tracepoint of tracefs.
    Tracepoint {
        /// Its subsystem.
        system: String,
        /// Its name.
        name: String,
        /// The id for `perf_event_open`.
        id: u32,
        /// Layout of its payload.
        spec: Box<ProbeSpec>,
        /// What is fetched behind it.
        fetched: Layout,
    },
    /// `raw_syscalls:sys_enter`, with `long id; unsigned long args[6]` (56 bytes of
    /// payload), or `sys_exit`, with `long id; long ret` (16 bytes).
    RawSyscall {
        /// Entry rather than exit.
        entry: bool,
    },
    /// One system call.
    Syscall {
        /// Its number.
        nr: u32,
        /// Entry rather than exit.
        entry: bool,
        /// Its row in the table.
        spec: SyscallSpec,
    },
    /// Whatever generated code fetches the payload from.
    Function {
        /// What to attach to.
        target: FunctionTarget,
        /// What is fetched when it fires.
        layout: Layout,
        /// For returns: what was fetched when the function was entered, behind the former. Its
        /// duration is in front of both.
        entry: Option<Layout>,
    },
}

/// A place whose events have what is fetched there and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FunctionTarget {
    /// An instruction of a kernel function.
    Kprobe {
        /// The function.
        symbol: String,
        /// Bytes from its start.
        offset: u64,
        /// Its payload is the registers, whatever its arguments are, so that one program can
        /// serve many functions: those that a pattern stands for.
        uniform: bool,
    },
    /// The return of a kernel function.
    Kretprobe {
        /// The function.
        symbol: String,
    },
    /// A kernel function is entered, by trampoline.
    Fentry {
        /// Its BTF type.
        btf_id: u32,
    },
    /// A kernel function returns, by trampoline.
    Fexit {
        /// Its BTF type.
        btf_id: u32,
    },
    /// A raw tracepoint.
    RawTracepoint {
        /// Its name.
        name: String,
    },
    /// An instruction of a program or a library.
    Uprobe {
        /// The file.
        path: PathBuf,
        /// Of the instruction in the file, in bytes.
        offset: u64,
    },
    /// The return of a function of a program or a library.
    Uretprobe {
        /// The file.
        path: PathBuf,
        /// Of the function in the file, in bytes.
        offset: u64,
    },
}
