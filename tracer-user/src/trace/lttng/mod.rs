//! The names that readers of LTTng's kernel traces know.
//!
//! Trace Compass and lttng-analyses know the kernel's events as LTTng's modules record them:
//! `sched_switch` with a `prev_tid`, priorities that begin at -100, the flags of a request to
//! a disk as bits. [`EVENTS`] says for each tracepoint that they look at how its event is
//! called there and what becomes of its fields.

mod events;
pub mod state_dump;

use crate::trace::event::EventClass;

pub use events::EVENTS;

/// How events and their fields are called in a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Naming {
    /// Those of [`EVENTS`] as LTTng's modules have them, others as the kernel has them.
    #[default]
    Lttng,
    /// As the kernel's format files have them.
    Tracefs,
}

/// Major, minor and patch level of the LTTng-modules whose names these are.
pub const VERSION: [i64; 3] = [2, 13, 18];

/// A tracepoint, and the event of LTTng's modules that it amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The tracepoint's subsystem.
    pub system: &'static str,
    /// The tracepoint's name.
    pub tracepoint: &'static str,
    /// What the event is called.
    pub name: &'static str,
    /// The kernel's fields that are not as LTTng's modules have them.
    pub fields: &'static [(&'static str, Change)],
    /// Fields that the kernel's record lacks, behind all others.
    pub added: &'static [(&'static str, Source)],
    /// Fields of the id and the `clone` flags of a new thread, to be remembered for
    /// [`Source::PidOfNewThread`].
    pub new_thread: Option<[&'static str; 2]>,
}

/// What becomes of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It has this name.
    Name(&'static str),
    /// A priority that counts from the first of ordinary tasks.
    Priority,
    /// Letters become [bits](tracer_common::request_flags).
    RequestFlags,
}

/// Where the value of an added field is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The thread in which the event happens.
    Tid,
    /// Its process.
    Pid,
    /// The process of the new thread whose id is in this field of the kernel.
    PidOfNewThread(&'static str),
}

impl Event {
    /// What becomes of a field of the kernel.
    #[must_use]
    pub fn change_of(&self, field: &str) -> Option<Change> {
        let mut fields = self.fields.iter();
        fields.find_map(|&(name, change)| (name == field).then_some(change))
    }

    /// What the kernel calls a field that is called `name` here.
    fn kernel_field<'a>(&self, name: &'a str) -> &'a str {
        let mut fields = self.fields.iter();
        let field = fields.find(|(_, change)| matches!(change, Change::Name(own) if *own == name));
        field.map_or(name, |(kernel, _)| kernel)
    }
}

/// The event of a tracepoint.
#[must_use]
pub fn of_tracepoint(system: &str, tracepoint: &str) -> Option<&'static Event> {
    EVENTS
        .iter()
        .find(|event| event.system == system && event.tracepoint == tracepoint)
}

/// Another name of an event: `sched:sched_switch` and `sched_switch`, whichever is given.
#[must_use]
pub fn other_name(name: &str) -> Option<String> {
    if let Some((system, tracepoint)) = name.split_once(':') {
        return of_tracepoint(system, tracepoint).map(|event| event.name.to_owned());
    }
    let event = EVENTS.iter().find(|event| event.name == name)?;
    Some(format!("{}:{}", event.system, event.tracepoint))
}

/// A class of a renamed event with the names that the kernel has for its fields; none for
/// any other.
#[must_use]
pub fn with_kernel_fields(class: &EventClass) -> Option<EventClass> {
    let event = EVENTS.iter().find(|event| event.name == class.name)?;
    let mut class = class.clone();
    for field in &mut class.fields {
        field.name = event.kernel_field(&field.name).to_owned();
    }
    Some(class)
}
