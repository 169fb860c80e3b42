//! Why a probe cannot be recorded.

use crate::kernel::files::KernelError;
use crate::kernel::functions::FunctionError;
use crate::names::Suggestions;
use crate::probe::fetch::FetchError;
use crate::probe::spec::SpecError;
use crate::probe::tracepoint::LayoutError;
use crate::probe::user::UserError;

/// Why a probe cannot be recorded.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The text is invalid.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The text has no colon, but something has that name.
    #[error("`{text}` is not a probe: missing colon{suggestions}")]
    NoColon {
        /// As typed.
        text: String,
        /// Whole probe texts.
        suggestions: Suggestions,
    },
    /// The subsystem has no such event.
    #[error("no such tracepoint: `{probe}`{suggestions}")]
    NoSuchTracepoint {
        /// As typed.
        probe: String,
        /// Whole probe texts.
        suggestions: Suggestions,
    },
    /// No such subsystem.
    #[error("no such tracepoint: `{probe}`: the kernel has no such subsystem{suggestions}")]
    NoSuchSystem {
        /// As typed.
        probe: String,
        /// Subsystems.
        suggestions: Suggestions,
    },
    /// The kernel has no such system call, or does not trace it.
    #[error("no such system call: `{probe}`{suggestions}")]
    NoSuchSyscall {
        /// As typed.
        probe: String,
        /// Whole probe texts.
        suggestions: Suggestions,
    },
    /// The kernel describes no system calls.
    #[error(
        "cannot record `{0}`: the kernel was built without CONFIG_FTRACE_SYSCALLS; use \
         `raw_syscalls:sys_enter`"
    )]
    NoSyscallEvents(String),
    /// The kernel traces the call, but its number is unknown.
    #[error("cannot record `{0}`: its system-call number is unknown; use `raw_syscalls:sys_enter`")]
    NoNumber(String),
    /// A pattern that no probe matches.
    #[error("no probe matches `{0}`; list probes with `tracer list`")]
    NothingMatches(String),
    /// A value to fetch does not exist.
    #[error("cannot fetch from `{probe}`: {cause}")]
    Fetch {
        /// Without the braces.
        probe: String,
        /// Cause.
        cause: FetchError,
    },
    /// The attach point in a program cannot be found.
    #[error("cannot attach to `{probe}`: {cause}")]
    User {
        /// As typed.
        probe: String,
        /// Cause.
        cause: UserError,
    },
    /// Trampolines need the kernel's types.
    #[error("cannot attach to `{probe}`: {reason}; use `{instead}:`")]
    NoTrampoline {
        /// As typed.
        probe: String,
        /// Why not.
        reason: String,
        /// The kind of probe that is possible.
        instead: &'static str,
    },
    /// No such raw tracepoint.
    #[error("no such raw tracepoint: `{probe}`{suggestions}")]
    NoSuchRawTracepoint {
        /// As typed.
        probe: String,
        /// Similar names.
        suggestions: Suggestions,
    },
    /// Raw tracepoints are described by the kernel's types alone.
    #[error("cannot attach to `{0}`: the kernel has no BTF (CONFIG_DEBUG_INFO_BTF)")]
    NoTypes(String),
    /// One probe given twice with different values to fetch.
    #[error("`{0}` is given twice with different values to fetch; merge them into one list")]
    TwoLists(String),
    /// One of ftrace's own records.
    #[error("cannot attach to `{0}`: it is an event of ftrace itself, not a tracepoint")]
    NotATracepoint(String),
    /// The record cannot be laid out.
    #[error("cannot record `{probe}`: {cause}")]
    Layout {
        /// Its name.
        probe: String,
        /// Cause.
        cause: LayoutError,
    },
    /// The function cannot be probed.
    #[error("cannot attach to `{probe}`: {cause}")]
    Kprobe {
        /// As typed.
        probe: String,
        /// Cause.
        cause: FunctionError,
    },
    /// A file of the kernel could not be used.
    #[error(transparent)]
    Kernel(#[from] KernelError),
}
