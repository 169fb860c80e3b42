//! What the user asked for.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::probe::recipes::TracepointMethod;
use crate::record::attach::Rate;
use crate::record::control::SessionName;
use crate::record::output::RotateOptions;
use crate::record::sink::SinkKind;
use crate::record::size::Size;
use crate::record::subbuf::Mode;
use crate::trace::lttng::Naming;

/// A recording as the user described it.
#[derive(Clone, Debug)]
pub struct Options {
    /// The name of the session; none: one made of the process id.
    pub session: Option<SessionName>,
    /// What to record of which probes, at least one request.
    pub probes: Vec<ProbeRequest>,
    /// Whose names events and their fields have in the trace.
    pub names: Naming,
    /// How tracepoints are attached.
    pub way: TracepointMethod,
    /// Begin the trace with a state dump, with LTTng's names and in discard mode.
    pub state_dump: bool,
    /// The folder to write; none: a new one named by date and time. `-` is standard output;
    /// it, the path of a FIFO and `tcp://HOST:PORT` take the trace as
    /// [frames](crate::trace::folder::frames).
    pub output: Option<PathBuf>,
    /// Replace what is in the folder.
    pub force: bool,
    /// What happens when the buffers are full.
    pub mode: Mode,
    /// In overwrite mode: `PROBE if FILTER`, an event that triggers a snapshot.
    pub snapshot_on: Option<String>,
    /// How many snapshots it triggers at most.
    pub snapshot_count: u32,
    /// Size of the buffer of each CPU: of its ring, or of its sub-buffers in overwrite mode.
    pub buffer_size: Size,
    /// Size of a packet; none: the default for the mode.
    pub subbuf_size: Option<Size>,
    /// Sub-buffers of each CPU that can wait for the output, in discard mode; one more is being
    /// written.
    pub subbuf_count: u16,
    /// Use fresh pages for each packet, to measure what reusing them saves.
    pub no_page_reuse: bool,
    /// Report on the sub-buffers and their pages at the end.
    pub stats: bool,
    /// How packets are written to files.
    pub sink: SinkKind,
    /// Write the trace in chunks.
    pub rotate: RotateOptions,
    /// Stop after this time.
    pub duration: Option<Duration>,
    /// The only processes and threads to record; empty: all.
    pub pids: Vec<u32>,
    /// Record what they start, too.
    pub follow: bool,
    /// Record the command, and what it starts, from its exec on.
    pub only_command: bool,
    /// How many threads and processes are followed at a time.
    pub max_followed: u32,
    /// The only CPUs to record; none: all that are online.
    pub cpus: Option<Vec<u32>>,
    /// What is recorded with each event about its thread, by the names of contexts.
    pub contexts: Vec<String>,
    /// Threads whose name matches this pattern; none: all.
    pub comm: Option<String>,
    /// Threads of this user; none: all.
    pub uid: Option<u32>,
    /// Threads in this cgroup (version 2) or below it; none: all.
    pub cgroup: Option<PathBuf>,
    /// Record the recorder itself, too.
    pub include_self: bool,
    /// Show the messages of the eBPF programs.
    pub debug_ebpf: bool,
    /// Print neither progress nor summary.
    pub quiet: bool,
    /// A command and its arguments; recording ends with it. Empty: none.
    pub command: Vec<OsString>,
}

/// Probes, and what of their events is recorded. Of several requests that name an event class
/// the last one counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProbeRequest {
    /// One probe or several with commas; none: the default set.
    pub text: Option<String>,
    /// Only events for which this holds.
    pub filter: Option<String>,
    /// At most this many events of each class, on all CPUs together.
    pub limit: Option<Rate>,
    /// One in this many events of each class, on each CPU.
    pub every: Option<u32>,
    /// With each event the call stack at that moment.
    pub stack: Option<StackRequest>,
}

/// Whose call stack is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StackRequest {
    /// The kernel's.
    Kernel,
    /// The process's.
    User,
    /// Both.
    Both,
}
