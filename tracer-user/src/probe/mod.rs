//! From what a user types to what a program can be attached to: probe texts, the kernel's
//! descriptions of its tracepoints, system calls and functions, and the event classes
//! and specifications that come out.
//!
//! | module | offers |
//! |---|---|
//! | [`spec`] | probe texts: `sched:*`, `syscall:openat`, `kprobe:vfs_read+0x10` |
//! | [`fetch`] | values that programs fetch from registers and memory |
//! | [`filter`] | conditions on events |
//! | [`recipes`] | how raw tracepoints yield the records of tracepoints |
//! | [`rename`] | LTTng's names, applied to resolved probes |
//! | [`tracepoint`] | layout of a tracepoint's event class |
//! | [`syscalls`], [`syscall_args`], [`syscall_call`] | layout of system-call event classes |
//! | [`resolve`](mod@resolve) | all of it together |
//! | [`listing`] | names and fields, for people |

mod catalog;
mod error;
pub mod fetch;
pub mod filter;
mod function_layout;
pub mod listing;
pub mod recipes;
pub mod rename;
pub mod resolve;
pub mod spec;
pub mod syscall_args;
pub mod syscall_call;
pub mod syscalls;
pub mod tracepoint;
mod user;

pub use error::ProbeError;
pub use resolve::{
    AttachPoint, FunctionTarget, Note, ResolvedProbe, Stacks, UserPlace, default_probes, resolve,
    resolve_texts, resolve_texts_of,
};
pub use spec::{ProbeText, SpecError, Target, UserSymbol};
pub use user::UserError;
