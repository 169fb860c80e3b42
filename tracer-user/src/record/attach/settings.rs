//! What the eBPF programs must know before they are loaded.

use std::path::Path;

use crate::probe::fetch::ContextField;
use crate::record::attach::follow::Processes;
use crate::record::attach::origin::Origin;
use crate::record::attach::throttle::Throttle;

/// Settings of a recording that its programs depend on.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// The eBPF object.
    pub object: &'a [u8],
    /// The root of sysfs (usually `/sys`).
    pub sys: &'a Path,
    /// Size of each CPU's ring in bytes, a power of two of whole pages.
    pub ring_bytes: u32,
    /// Number of possible CPUs.
    pub cpu_count: u32,
    /// The CPUs to record.
    pub cpus: &'a [u32],
    /// `cpus` are all CPUs that are online: events on others are counted.
    pub all_cpus: bool,
    /// A process that is never recorded.
    pub excluded_pid: Option<u32>,
    /// The only threads and processes to record, if any are chosen.
    pub processes: Processes<'a>,
    /// Limits on the number of events, by class. Classes beyond the end have none.
    pub throttles: &'a [Throttle],
    /// Contexts of each event, in their order in the event.
    pub contexts: &'a [ContextField],
    /// The threads whose events are recorded.
    pub origin: &'a Origin,
    /// Whether the programs write log messages.
    pub log: bool,
}
