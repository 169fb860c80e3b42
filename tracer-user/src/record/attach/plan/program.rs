//! One program of a plan.

use std::borrow::Cow;
use std::fmt;

use crate::probe::fetch::{FieldSource, Layout};
use crate::probe::filter::Condition;
use crate::probe::recipes::RecordLayout;
use crate::record::attach::plan::Attachment;

/// A program: what it is made from and how it is attached.
#[derive(Clone, Debug)]
pub struct ProgramPlan<'p> {
    /// What it serves, for messages: a probe as the user named it, in backticks.
    pub subject: String,
    /// The name that `bpftool prog` shows, as far as its 15 bytes go.
    pub name: String,
    /// The program of the object that it is a copy of.
    pub template: Template,
    /// How and where it is attached.
    pub attachment: Attachment<'p>,
    /// The row of the table of specifications that it reads.
    pub row: usize,
    /// The cookie of its attachment; unused if several functions have their own.
    pub cookie: u64,
    /// The values that it fetches.
    pub fetched: Option<Values<'p>>,
    /// Which events it records.
    pub filter: Filter<'p>,
    /// What is missed when the kernel skips a run.
    pub misses: Misses,
}

/// Values that a program fetches.
#[derive(Clone, Debug)]
pub enum Values<'p> {
    /// Those of a fetch list, or of a function's type.
    Listed(Cow<'p, Layout>),
    /// The record of a tracepoint.
    Record(&'p RecordLayout),
}

/// A program of the object, which is copied and completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Template {
    /// An event of a tracepoint, from perf's record.
    Tracepoint,
    /// An event of a tracepoint, from the arguments of its raw tracepoint.
    RawTracepoint,
    /// An event of a function, from what is fetched.
    Function,
    /// Keeps the values of a function's entry for [`Return`](Self::Return).
    Entry,
    /// An event of a function's return, with what [`Entry`](Self::Entry) has kept.
    Return,
    /// An event of a function's return, by a program that also runs at its entry.
    Session,
    /// System calls are entered.
    SysEnter,
    /// System calls return.
    SysExit,
    /// `raw_syscalls:sys_enter`.
    RawSysEnter,
    /// `raw_syscalls:sys_exit`.
    RawSysExit,
    /// Whole system calls: keeps the arguments at the entry.
    CallEnter,
    /// Whole system calls: an event at the return.
    CallExit,
    /// Adds new threads of recorded processes.
    FollowNewTask,
    /// Lets a command be recorded from its exec on.
    FollowExec,
    /// Forgets threads that are gone.
    FollowFree,
}

impl Template {
    /// Its name in the object.
    #[must_use]
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Tracepoint => "on_tracepoint",
            Self::RawTracepoint => "on_raw_tracepoint",
            Self::Function => "on_function",
            Self::Entry => "on_entry",
            Self::Return => "on_return",
            Self::Session => "on_session",
            Self::SysEnter => "on_sys_enter",
            Self::SysExit => "on_sys_exit",
            Self::RawSysEnter => "on_raw_sys_enter",
            Self::RawSysExit => "on_raw_sys_exit",
            Self::CallEnter => "on_call_enter",
            Self::CallExit => "on_call_exit",
            Self::FollowNewTask => "on_newtask",
            Self::FollowExec => "on_exec",
            Self::FollowFree => "on_free",
        }
    }
}

/// Which events a program records.
#[derive(Clone, Debug)]
pub enum Filter<'p> {
    /// Every event.
    None,
    /// Those that pass one filter.
    One(EventFilter<'p>),
    /// Each event has the number of its filter, counted from `first`.
    Numbered {
        /// The number of the first filter.
        first: u32,
        /// The filters.
        filters: Vec<EventFilter<'p>>,
    },
}

/// The filter of an event class. The [`Origin`](crate::record::attach::Origin) of a recording
/// applies in addition.
#[derive(Clone, Copy, Debug)]
pub struct EventFilter<'p> {
    /// What must be true of the event.
    pub condition: Option<&'p Condition>,
    /// Where a program finds the fields of the class, in their order.
    pub sources: &'p [FieldSource],
}

/// What is missing from the trace when the kernel skips a run of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misses {
    /// An event of this class.
    Event(u32),
    /// An event of one of the functions that share the program.
    FunctionEvent,
    /// An event of one of the system calls.
    SyscallEvent,
    /// A thread that should have been followed.
    NewThread,
    /// Nothing that is counted.
    Nothing,
}

impl fmt::Display for ProgramPlan<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (subject, template) = (&self.subject, self.template.symbol());
        write!(f, "{subject}: {template} by {}", self.attachment)
    }
}
