//! Which event classes are entries and exits of system calls.

use std::borrow::Cow;
use std::collections::HashMap;

use thiserror::Error;
use tracer_common::arch::{AARCH64, X86_64};

use crate::trace::Class;
use crate::trace::event::UNFINISHED;
use crate::trace::folder::Trace;
use crate::view::select::{Filter, SelectError, Selection};

/// Why a trace has no answer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CallError {
    /// The selection does not fit this trace.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// There are no entries, no exits, or neither.
    #[error(
        "the trace has no events of {0} of system calls; record both with `tracer record -e \
         'syscall:*'`, or `lttng enable-event --kernel --syscall --all`"
    )]
    NotRecorded(&'static str),
    /// Events cannot be assigned to threads.
    #[error(
        "the events of this trace do not have the ID of their thread; record it with `lttng \
         add-context --kernel --type=tid --type=pid`"
    )]
    NoThreads,
}

/// The events of one system call, and the prefix of their names.
const PREFIXES: [(&str, &str); 3] = [
    ("syscall_entry_", "syscall_exit_"),
    ("compat_syscall_entry_", "compat_syscall_exit_"),
    ("syscalls:sys_enter_", "syscalls:sys_exit_"),
];

/// Events that all system calls share, with a field for the number of the call.
const RAW: [&str; 2] = ["raw_syscalls:sys_enter", "raw_syscalls:sys_exit"];
const NUMBER: &str = "id";

/// Prefix of events that are a whole call, if the last of their fields are these.
const WHOLE: &str = "call:";
const WHOLE_FIELDS: [&str; 3] = [RESULT, "duration", UNFINISHED];

/// The field with the result.
const RESULT: &str = "ret";

/// Numbers of system calls above this one are taken for this one.
const MAX_NUMBER: u32 = 0xfff;

/// System calls whose exits are not recorded: the thread ends, or goes on elsewhere.
const WITHOUT_RETURN: [&str; 4] = ["exit", "exit_group", "rt_sigreturn", "sigreturn"];

/// System calls from which a new thread returns that has not made them.
const CLONES: [&str; 4] = ["clone", "clone3", "fork", "vfork"];

/// What the events of a class are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Other,
    Entry(CallId),
    /// With the index of the field with the result.
    Exit(CallId, Option<usize>),
    /// With the index of the field with the number.
    RawEntry(usize),
    RawExit(usize, Option<usize>),
    /// The whole call, with the index of its result. Its duration and whether it has not
    /// returned are the next two fields.
    Whole(CallId, usize),
}

/// A system call: a position in the names, or after them, its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CallId(pub(super) u32);

/// The roles of all classes of a trace, and the names of system calls.
#[derive(Debug)]
pub struct Roles {
    by_class: Vec<Role>,
    names: Vec<String>,
    /// Of each name.
    without_return: Vec<bool>,
    clones: Vec<bool>,
}

impl Roles {
    /// Finds the selected events of system calls.
    ///
    /// # Errors
    /// If there are no entries or no exits, or if events do not name their threads.
    pub fn new(trace: &Trace, selection: &Selection) -> Result<Self, CallError> {
        let filter = Filter::new(selection, trace.classes(), 0)?;
        let selected = |class: &&Class| filter.has_class(class);
        let mut roles = Self {
            by_class: vec![Role::Other; trace.classes().len()],
            names: Vec::new(),
            without_return: Vec::new(),
            clones: Vec::new(),
        };
        let mut ids = HashMap::new();
        for class in trace.classes().iter().filter(selected) {
            let Some((name, is_entry)) = call_of(&class.name) else {
                continue;
            };
            let id = *ids.entry(name.clone()).or_insert_with(|| roles.add(&name));
            roles.by_class[class.index] = if is_entry {
                Role::Entry(id)
            } else {
                Role::Exit(id, field(class, RESULT))
            };
        }
        if !roles.has(true) && !roles.has(false) {
            for class in trace.classes().iter().filter(selected) {
                if let Some(role) = raw(class) {
                    roles.by_class[class.index] = role;
                }
            }
        }
        if !roles.has(true) && !roles.has(false) {
            for class in trace.classes().iter().filter(selected) {
                if let Some((name, result)) = whole(class) {
                    let id = roles.add(name);
                    roles.by_class[class.index] = Role::Whole(id, result);
                }
            }
        }
        match (roles.has(true), roles.has(false)) {
            (true, true) if !trace.has_threads() => Err(CallError::NoThreads),
            (true, true) => Ok(roles),
            (true, false) => Err(CallError::NotRecorded("exits")),
            (false, true) => Err(CallError::NotRecorded("entries")),
            (false, false) => Err(CallError::NotRecorded("entries and exits")),
        }
    }

    fn add(&mut self, name: &str) -> CallId {
        let id = CallId(self.names.len() as u32);
        self.names.push(name.to_owned());
        self.without_return.push(WITHOUT_RETURN.contains(&name));
        self.clones.push(CLONES.contains(&name));
        id
    }

    fn has(&self, entries: bool) -> bool {
        self.by_class.iter().any(|role| match role {
            Role::Entry(_) | Role::RawEntry(_) => entries,
            Role::Exit(..) | Role::RawExit(..) => !entries,
            Role::Whole(..) => true,
            Role::Other => false,
        })
    }

    pub(super) fn of(&self, class: &Class) -> Role {
        self.by_class[class.index]
    }

    /// The system call with this number, in raw events.
    pub(super) fn of_number(&self, number: u64) -> CallId {
        let number = u32::try_from(number).unwrap_or(MAX_NUMBER).min(MAX_NUMBER);
        CallId(self.names.len() as u32 + number)
    }

    pub(super) fn name(&self, id: CallId) -> Cow<'_, str> {
        match self.names.get(id.0 as usize) {
            Some(name) => name.into(),
            None => number_name(id.0 - self.names.len() as u32),
        }
    }

    fn is_one_of(&self, id: CallId, known: &[bool], names: &[&str]) -> bool {
        match known.get(id.0 as usize) {
            Some(known) => *known,
            None => names.contains(&&*self.name(id)),
        }
    }

    /// Whether the call does not return to where it was made.
    pub(super) fn is_without_return(&self, id: CallId) -> bool {
        self.is_one_of(id, &self.without_return, &WITHOUT_RETURN)
    }

    /// Whether a new thread returns from this call, too.
    pub(super) fn is_clone(&self, id: CallId) -> bool {
        self.is_one_of(id, &self.clones, &CLONES)
    }
}

/// The name of the system call, and whether the event is its entry.
fn call_of(event: &str) -> Option<(String, bool)> {
    PREFIXES.iter().find_map(|(entry, exit)| {
        let (name, is_entry) = match event.strip_prefix(entry) {
            Some(name) => (name, true),
            None => (event.strip_prefix(exit)?, false),
        };
        let compat = if entry.starts_with("compat") {
            "compat_"
        } else {
            ""
        };
        Some((format!("{compat}{name}"), is_entry))
    })
}

fn raw(class: &Class) -> Option<Role> {
    let number = field(class, NUMBER)?;
    match RAW.iter().position(|name| *name == class.name)? {
        0 => Some(Role::RawEntry(number)),
        _ => Some(Role::RawExit(number, field(class, RESULT))),
    }
}

/// The name of the system call, and the index of its result.
fn whole(class: &Class) -> Option<(&str, usize)> {
    let name = class.name.strip_prefix(WHOLE)?;
    let result = field(class, RESULT)?;
    let fields = class.fields[result..]
        .iter()
        .map(|field| field.name.as_str());
    fields.take(3).eq(WHOLE_FIELDS).then_some((name, result))
}

fn field(class: &Class, name: &str) -> Option<usize> {
    class.fields.iter().position(|field| field.name == name)
}

/// The name of a number on the architecture of this build, which a trace does not name.
fn number_name(number: u32) -> Cow<'static, str> {
    let mut known = [X86_64, AARCH64].into_iter();
    known
        .find(|arch| arch.name == std::env::consts::ARCH)
        .and_then(|arch| (arch.syscall_name)(number))
        .map_or_else(|| format!("sys_{number}").into(), Cow::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_all_tracers_are_known() {
        let call = |event| call_of(event).map(|(name, is_entry)| format!("{name} {is_entry}"));
        assert_eq!(call("syscall_entry_openat").unwrap(), "openat true");
        assert_eq!(call("syscall_exit_openat").unwrap(), "openat false");
        assert_eq!(
            call("compat_syscall_exit_read").unwrap(),
            "compat_read false"
        );
        assert_eq!(call("syscalls:sys_enter_read").unwrap(), "read true");
        assert_eq!(call("sched_switch"), None);
    }
}
