//! From what a user types to what a program can be attached to: probe texts, the kernel's
//! descriptions of its tracepoints, system calls and functions, and the event classes
//! and specifications that come out.
//!
//! | module | offers |
//! |---|---|
//! | [`spec`] | probe texts: `sched:*`, `syscall:openat`, `kprobe:vfs_read+0x10` |
//! | [`tracefs`] | where tracefs is, or a private one |
//! | [`kernel`] | the kernel's files, with roots as parameters |
//! | [`format`](mod@format), [`print_fmt`], [`labels`] | tracefs format files |
//! | [`tracepoint`] | layout of a tracepoint's event class |
//! | [`syscalls`], [`syscall_args`] | layout of system-call event classes |
//! | [`kprobe`] | functions that can be probed |
//! | [`resolve`](mod@resolve) | all of it together |
//! | [`listing`] | names and fields, for people |

mod absent;
mod catalog;
mod constant;
pub mod ctype;
mod error;
pub mod format;
mod functions;
pub mod kernel;
pub mod kprobe;
pub mod labels;
pub mod listing;
mod pieces;
pub mod print_fmt;
pub mod resolve;
mod resolver;
pub mod spec;
pub mod syscall_args;
pub mod syscalls;
pub mod tracefs;
pub mod tracepoint;
mod user;

pub use error::ProbeError;
pub use kernel::{KernelError, KernelFiles};
pub use resolve::{
    FunctionTarget, Place, ResolvedProbe, Stacks, default_probes, resolve, resolve_texts,
};
pub use spec::{ProbeText, SpecError, Target, UserSymbol};
pub use user::UserError;
