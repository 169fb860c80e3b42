//! From probe texts to event classes and places to attach: the types that the recording
//! side works with, and the way from a command line to them.

use std::path::PathBuf;

use tracer_common::{ProbeSpec, SyscallSpec, spec_flags};

use crate::kernel::files::KernelFiles;
use crate::names::Suggestions;
use crate::probe::catalog::Catalog;
use crate::probe::error::ProbeError;
use crate::probe::fetch::{Layout, Source};
use crate::probe::filter::Condition;
use crate::probe::resolver::Resolver;
use crate::probe::spec::{ProbeText, SpecError, Target};
use crate::probe::syscalls::{ENTER, SYSCALLS};
use crate::trace::event::EventClass;

/// A probe that exists, with the layout of its events.
#[derive(Clone, Debug)]
pub struct ResolvedProbe {
    /// Its events.
    pub class: EventClass,
    /// Where and how to attach.
    pub place: Place,
    /// Where a program finds each field of the payload while it decides whether an event is
    /// wanted.
    pub sources: Vec<Source>,
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
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
pub enum Place {
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

/// What is recorded when nothing is named: scheduling and system calls. Probes that this
/// kernel lacks are left out.
#[must_use]
pub fn default_probes(files: &KernelFiles) -> Vec<ProbeText> {
    const SCHED: [&str; 8] = [
        "sched_switch",
        "sched_waking",
        "sched_wakeup",
        "sched_wakeup_new",
        "sched_process_fork",
        "sched_process_exec",
        "sched_process_exit",
        "sched_migrate_task",
    ];
    let mut probes: Vec<ProbeText> = SCHED
        .into_iter()
        .filter(|name| files.has_event("sched", name))
        .map(|name| Target::Tracepoint {
            system: "sched".into(),
            name: name.into(),
        })
        .map(Into::into)
        .collect();
    if files.has_event(SYSCALLS, &format!("{ENTER}read")) {
        probes.push(Target::Syscall { name: "*".into() }.into());
    }
    probes
}

/// Parses comma-separated probe texts and resolves them; none at all means
/// [`default_probes`].
pub fn resolve_texts(
    files: &KernelFiles,
    texts: &[String],
) -> Result<Vec<ResolvedProbe>, ProbeError> {
    if texts.is_empty() {
        let defaults = default_probes(files);
        if defaults.is_empty() {
            // That nothing is found may be for want of privileges, which is said first.
            files.systems()?;
            return Err(ProbeError::NothingMatches("sched:*".into()));
        }
        let mut resolver = Resolver::new(files);
        for probe in &defaults {
            resolver.add(probe, 0)?;
        }
        return Ok(resolver.into_resolved());
    }
    let parse = |text: &String| match ProbeText::parse_list(text) {
        Ok(list) => Ok(list),
        Err(SpecError::NoColon(name)) => Err(no_colon(files, name)),
        Err(error) => Err(error.into()),
    };
    // None is looked up before all are read.
    let lists: Vec<Vec<ProbeText>> = texts.iter().map(parse).collect::<Result<_, _>>()?;
    let mut resolver = Resolver::new(files);
    for (request, list) in lists.iter().enumerate() {
        for probe in list {
            resolver.add(probe, request)?;
        }
    }
    Ok(resolver.into_resolved())
}

/// The error for a bare name, with what may have been meant.
fn no_colon(files: &KernelFiles, text: String) -> ProbeError {
    match Catalog::new(files).whole_names_of(&text) {
        Ok(names) if !names.is_empty() => ProbeError::NoColon {
            text,
            suggestions: Suggestions::of(names),
        },
        _ => SpecError::NoColon(text).into(),
    }
}

/// Resolves probes in order: classes are numbered from 0 upward, and a probe that comes
/// twice is there once. Patterns leave out, with a warning, what cannot be recorded.
pub fn resolve(
    files: &KernelFiles,
    probes: &[ProbeText],
) -> Result<Vec<ResolvedProbe>, ProbeError> {
    let mut resolver = Resolver::new(files);
    for (request, probe) in probes.iter().enumerate() {
        resolver.add(probe, request)?;
    }
    Ok(resolver.into_resolved())
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
