//! Names of what a kernel can be asked to trace, each folder read once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use tracer_common::MAX_SYSCALL_ARGS;
use tracer_common::arch::NATIVE;

use crate::kernel::files::{KernelError, KernelFiles};
use crate::names::Suggestions;
use crate::probe::syscalls::{ENTER, Numbers, SYSCALLS, other_names};
use crate::trace::event::{Display, Field, FieldType, IntegerType};

/// Registers that pass arguments of a system call.
const RAW_ARGS: u32 = MAX_SYSCALL_ARGS as u32;

/// Lists of names, read when they are first asked for.
#[derive(Debug)]
pub(super) struct Catalog<'a> {
    files: &'a KernelFiles,
    numbers: Numbers,
    systems: Option<Vec<String>>,
    events: HashMap<String, Vec<String>>,
    calls: Option<Vec<String>>,
}

impl<'a> Catalog<'a> {
    pub(super) fn new(files: &'a KernelFiles) -> Self {
        Self {
            files,
            numbers: Numbers::of(NATIVE),
            systems: None,
            events: HashMap::new(),
            calls: None,
        }
    }

    /// The number of a system call.
    pub(super) fn number(&self, call: &str) -> Option<u32> {
        self.numbers.get(call)
    }

    /// Subsystems, sorted.
    pub(super) fn systems(&mut self) -> Result<&[String], KernelError> {
        let systems = match self.systems.take() {
            Some(systems) => systems,
            None => self.files.systems()?,
        };
        Ok(self.systems.insert(systems))
    }

    /// Tracepoints of a subsystem, sorted.
    pub(super) fn events(&mut self, system: &str) -> Result<&[String], KernelError> {
        match self.events.entry(system.to_owned()) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(place) => Ok(place.insert(self.files.events(system)?)),
        }
    }

    /// System calls that the kernel traces, by their tracefs names, sorted; none on a
    /// kernel that traces no system calls.
    pub(super) fn calls(&mut self) -> Result<&[String], KernelError> {
        let calls = match self.calls.take() {
            Some(calls) => calls,
            None if !self.systems()?.iter().any(|system| system == SYSCALLS) => Vec::new(),
            None => self
                .events(SYSCALLS)?
                .iter()
                .filter_map(|event| event.strip_prefix(ENTER))
                .map(ToOwned::to_owned)
                .collect(),
        };
        Ok(self.calls.insert(calls))
    }

    /// Whole probe texts of all that has this name: `sched:sched_switch`,
    /// `syscall:openat`; of what has a similar name where nothing has this one.
    pub(super) fn whole_names_of(&mut self, name: &str) -> Result<Vec<String>, KernelError> {
        let calls = self.calls()?;
        let mut exact: Vec<String> = find_call(calls, name)
            .map(|call| format!("syscall:{call}"))
            .into_iter()
            .collect();
        let mut all: Vec<(String, String)> = calls
            .iter()
            .map(|call| (call.clone(), format!("syscall:{call}")))
            .collect();
        let systems = self.systems()?.to_vec();
        for system in systems.iter().filter(|&system| system != SYSCALLS) {
            for event in self.events(system)? {
                let whole = format!("{system}:{event}");
                if event == name {
                    exact.push(whole.clone());
                }
                all.push((event.clone(), whole));
            }
        }
        if systems.iter().any(|system| system == name) {
            exact.push(format!("{name}:*"));
        }
        if !exact.is_empty() {
            return Ok(exact);
        }
        let near = Suggestions::near(name, all.iter().map(|(event, _)| event.as_str()));
        Ok(near
            .names()
            .iter()
            .filter_map(|near| all.iter().find(|(event, _)| event == near))
            .map(|(_, whole)| whole.clone())
            .collect())
    }
}

/// The tracefs name of a call that is given under any of its names.
pub(super) fn find_call<'a>(calls: &'a [String], name: &str) -> Option<&'a str> {
    calls
        .iter()
        .find(|call| *call == name || other_names(name).any(|other| *call == other))
        .map(String::as_str)
}

/// The fields of `raw_syscalls:sys_enter` and `raw_syscalls:sys_exit`, which are the same
/// on every 64-bit kernel (`include/trace/events/syscalls.h`).
pub(super) fn raw_syscall_fields(entry: bool) -> Vec<Field> {
    let long = |name: &str| Field {
        name: name.into(),
        ty: FieldType::Integer(IntegerType::natural(8, true, Display::Decimal)),
    };
    if !entry {
        return vec![long("id"), long("ret")];
    }
    let args = Field {
        name: "args".into(),
        ty: FieldType::Array {
            element: IntegerType::natural(8, false, Display::Hexadecimal),
            length: RAW_ARGS,
        },
    };
    vec![long("id"), args]
}
