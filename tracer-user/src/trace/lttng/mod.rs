//! Names and layouts of LTTng's kernel events.
//!
//! Trace Compass and lttng-analyses expect the kernel's events as LTTng's modules record them:
//! `sched_switch` with a `prev_tid`, priorities from -100 on, the flags of block requests as
//! bits. [`EVENTS`] maps the tracepoints that they use to LTTng's event names and fields.

mod events;
pub mod state_dump;

use crate::trace::event::EventClass;

pub use events::EVENTS;

/// Naming scheme of events and fields in a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Naming {
    /// LTTng's names for [`EVENTS`], the kernel's for all others.
    #[default]
    Lttng,
    /// The names in the kernel's format files.
    Tracefs,
}

/// Major, minor and patch level of the LTTng-modules that these names are taken from.
pub const VERSION: [i64; 3] = [2, 13, 18];

/// A tracepoint and the corresponding event of LTTng's modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LttngEvent {
    /// The tracepoint's subsystem.
    pub system: &'static str,
    /// The tracepoint's name.
    pub tracepoint: &'static str,
    /// Name of the event.
    pub name: &'static str,
    /// The kernel's fields that differ in LTTng's event.
    pub fields: &'static [(&'static str, FieldChange)],
    /// Fields that the kernel's record lacks, added after all others.
    pub added: &'static [(&'static str, AddedValue)],
    /// Fields with the id and the `clone` flags of a new thread, remembered for
    /// [`AddedValue::PidOfNewThread`].
    pub new_thread: Option<[&'static str; 2]>,
}

/// How LTTng's field differs from the kernel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldChange {
    /// It has this name instead.
    Name(&'static str),
    /// A priority relative to the first one of ordinary tasks.
    Priority,
    /// Flags as [bits](tracer_common::request_flags) instead of letters.
    RequestFlags,
}

/// The value of an added field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddedValue {
    /// The current thread.
    Tid,
    /// The current process.
    Pid,
    /// The process of the new thread whose id is in this field of the kernel's record.
    PidOfNewThread(&'static str),
}

impl LttngEvent {
    /// How a field of the kernel differs, if it does.
    #[must_use]
    pub fn change_of(&self, field: &str) -> Option<FieldChange> {
        let mut fields = self.fields.iter();
        fields.find_map(|&(name, change)| (name == field).then_some(change))
    }

    /// The kernel's name of LTTng's field `name`.
    fn kernel_field<'a>(&self, name: &'a str) -> &'a str {
        let mut fields = self.fields.iter();
        let field =
            fields.find(|(_, change)| matches!(change, FieldChange::Name(own) if *own == name));
        field.map_or(name, |(kernel, _)| kernel)
    }
}

/// The event of a tracepoint.
#[must_use]
pub fn of_tracepoint(system: &str, tracepoint: &str) -> Option<&'static LttngEvent> {
    EVENTS
        .iter()
        .find(|event| event.system == system && event.tracepoint == tracepoint)
}

/// The other of the two names of an event: `sched_switch` for `sched:sched_switch`, and the
/// other way round.
#[must_use]
pub fn other_name(name: &str) -> Option<String> {
    if let Some((system, tracepoint)) = name.split_once(':') {
        return of_tracepoint(system, tracepoint).map(|event| event.name.to_owned());
    }
    let event = EVENTS.iter().find(|event| event.name == name)?;
    Some(format!("{}:{}", event.system, event.tracepoint))
}

/// The class of an LTTng event with the kernel's field names; `None` for other events.
#[must_use]
pub fn with_kernel_fields(class: &EventClass) -> Option<EventClass> {
    let event = EVENTS.iter().find(|event| event.name == class.name)?;
    let mut class = class.clone();
    for field in &mut class.fields {
        field.name = event.kernel_field(&field.name).to_owned();
    }
    Some(class)
}
