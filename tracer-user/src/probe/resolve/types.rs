//! Probes that exist: their event classes, and where they attach.

use std::path::PathBuf;
use std::sync::Arc;

use tracer_common::{CallSpec, ProbeSpec, SyscallSpec, spec_flags};

use crate::probe::fetch::{FieldSource, Layout};
use crate::probe::filter::Condition;
use crate::probe::recipes::BoundRecipe;
use crate::trace::event::EventClass;

/// A probe that exists, with the layout of its events.
#[derive(Clone, Debug)]
pub struct ResolvedProbe {
    /// Its events.
    pub class: EventClass,
    /// Where and how to attach.
    pub attach_point: AttachPoint,
    /// Where a program reads each field of the payload when it filters.
    pub sources: Vec<FieldSource>,
    /// Only events for which this holds are recorded.
    pub filter: Option<Condition>,
    /// Stacks that are recorded after the payload.
    pub stacks: Stacks,
    /// It was named exactly, so that failing to attach is an error. Probes that only a
    /// pattern matched are left out with a warning.
    pub explicit: bool,
    /// The index of the last text that named it.
    pub request: usize,
    /// What to know about it.
    pub notes: Vec<Note>,
}

/// What a user should know about a probe: which function of several it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// One line.
    pub text: String,
    /// Recordings report it, too, not just lists.
    pub important: bool,
}

/// A place of a program or a library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserPlace {
    /// The file.
    pub path: PathBuf,
    /// File offset of the instruction, in bytes.
    pub offset: u64,
}

/// Whose stacks are recorded with each event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Stacks {
    /// The kernel's.
    pub kernel: bool,
    /// The process's.
    pub user: bool,
}

impl Stacks {
    /// As [`spec_flags`], for the programs.
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
        /// What is fetched after it.
        fetched: Layout,
        /// How a raw tracepoint yields the same payload, if it is to be used.
        recipe: Option<Arc<BoundRecipe>>,
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
    /// One system call, as one event when it returns.
    Call {
        /// Its number.
        nr: u32,
        /// Its row in the table, whose class is still 0.
        spec: CallSpec,
    },
    /// A function, an instruction or a raw tracepoint: generated code fetches the payload.
    Function {
        /// What to attach to.
        target: FunctionTarget,
        /// What is fetched when it fires.
        layout: Layout,
        /// For returns: what is fetched on entry; it follows `layout`. The duration precedes
        /// both.
        entry: Option<Layout>,
    },
}

/// An attach point whose events consist of what is fetched there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FunctionTarget {
    /// An instruction of a kernel function.
    Kprobe {
        /// The function.
        symbol: String,
        /// Bytes from its start.
        offset: u64,
        /// Its payload is the registers, whatever its arguments are, so that one program can
        /// serve all functions that a pattern matches.
        uniform: bool,
    },
    /// The return of a kernel function.
    Kretprobe {
        /// The function.
        symbol: String,
    },
    /// The entry of a kernel function, by trampoline.
    Fentry {
        /// Its BTF type.
        btf_id: u32,
    },
    /// The return of a kernel function, by trampoline.
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
        /// Several if a name means several functions: all are recorded.
        places: Vec<UserPlace>,
    },
    /// The return of a function of a program or a library.
    Uretprobe {
        /// As for `Uprobe`.
        places: Vec<UserPlace>,
    },
}
