//! The plan of a recording: everything that is decided before anything is attached.

mod cpus;
mod sizes;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use tracer_common::spec_flags;

use self::sizes::{FLIGHT_RING, MAX_RING_BYTES, default_packet, slots_of, whole_pages};
use crate::kernel::KernelFiles;
use crate::kernel::tracefs::mount::Tracefs;
use crate::probe::recipes::{Recipes, TracepointMethod};
use crate::probe::rename::rename;
use crate::probe::{AttachPoint, ProbeError, ResolvedProbe, fetch, resolve_texts_of};
use crate::record::attach::{Origin, Throttle};
use crate::record::pool::PoolConfig;
use crate::record::session::options::{Options, ProbeRequest};
use crate::record::session::scope::Scope;
use crate::record::session::thread_names::{self, TaskEvent};
use crate::record::session::trigger::{self, Trigger};
use crate::record::session::{ids, state_dump, wanted};
use crate::record::size::Size;
use crate::record::stream::HEADER_LEN;
use crate::record::subbuf::{self, Mode};
use crate::sys::stderr::message;
use crate::trace::event::EventClass;
use crate::trace::lttng::{self, Naming};

/// The longest time for which a packet is open in discard mode.
const FLUSH_INTERVAL: Duration = Duration::from_secs(5);

/// Probes, CPUs and sizes of a recording.
#[derive(Debug)]
pub(super) struct Plan {
    /// What to attach: the user's probes, then those for the names of threads.
    pub(super) probes: Vec<ResolvedProbe>,
    /// How events are called.
    pub(super) names: Naming,
    /// Classes of the trace, by id: those of the user's probes.
    pub(super) classes: Vec<EventClass>,
    /// Classes of the state dump at the start of the trace, numbered after those of all probes;
    /// empty: no state dump.
    pub(super) state_dump: Vec<EventClass>,
    /// Events with the names of threads.
    pub(super) task_events: Arc<[TaskEvent]>,
    /// How many events of each class are recorded, by class id.
    pub(super) throttles: Vec<Throttle>,
    /// Which processes are recorded.
    pub(super) scope: Scope,
    /// Number of possible CPUs.
    pub(super) cpu_count: u32,
    /// CPUs to record.
    pub(super) cpus: Vec<u32>,
    /// Size of a ring in bytes.
    pub(super) ring_bytes: u32,
    /// Sub-buffers of each CPU.
    pub(super) buffer: subbuf::Config,
    /// Their pages.
    pub(super) pool: PoolConfig,
    /// In discard mode an open packet is closed after this time, so that little is lost with
    /// the recorder, and a chunk has what happened in its time.
    pub(super) flush_interval: Duration,
    /// Report on them at the end.
    pub(super) stats: bool,
    /// What is recorded with each event about its thread.
    pub(super) contexts: Vec<fetch::ContextField>,
    /// Where events must happen.
    pub(super) origin: Origin,
    /// By class, whether its events have stacks of processes.
    pub(super) user_stacks: Arc<[bool]>,
    /// The events that trigger snapshots.
    pub(super) trigger: Option<Arc<Trigger>>,
}

impl Plan {
    pub(super) fn new(options: &Options) -> Result<Self> {
        if options.snapshot_on.is_some() && options.mode == Mode::Discard {
            bail!(
                "--snapshot-on needs --mode overwrite: in discard mode all events are written anyway"
            );
        }
        let scope = Scope::new(options)?;
        let tracefs = Tracefs::open()?;
        let files = KernelFiles::running(&tracefs);
        let mut requests = requests(options);
        requests.iter_mut().try_for_each(wanted::split)?;
        let texts: Vec<String> = requests
            .iter()
            .filter_map(|request| request.text.clone())
            .collect();
        let probes = resolve_texts_of(&files, &texts, &options.pids)?;
        print_notes(&probes);
        let mut probes = wanted::apply(&requests, &files, options.names, probes)?;
        ids::translate_filters(&mut probes)?;
        follow_recorder(&mut probes);
        let recipes = Recipes::new(&files, options.names);
        let mut probes = recipes.bind(options.way, probes);
        let contexts = wanted::contexts(&options.contexts, &files, &mut probes)?;
        let classes: Vec<EventClass> = probes.iter().map(|probe| probe.class.clone()).collect();
        let user_stacks = probes.iter().map(|probe| probe.stacks.user).collect();
        let throttles = throttles(&requests, &probes);
        let trigger = match &options.snapshot_on {
            Some(text) => {
                let watched = [trigger::probe_of(text).to_owned()];
                let watched = named(&files, &watched, options)?;
                let limit = options.snapshot_count;
                Some(Trigger::new(text, limit, &watched, &classes)?)
            }
            None => None,
        };
        let mut task_probes = thread_names::probes(&files, classes.len() as u32);
        if options.names == Naming::Lttng {
            rename(&files, &mut task_probes)?;
        }
        if options.way != TracepointMethod::Perf {
            task_probes = recipes.bind(TracepointMethod::Certified, task_probes);
        }
        let task_events = task_probes
            .iter()
            .filter_map(|probe| TaskEvent::of(&probe.class))
            .collect();
        probes.extend(task_probes);
        let state_dump = if dumps_state(options) {
            lttng::state_dump::classes(probes.len() as u32)
        } else {
            Vec::new()
        };
        let (cpu_count, cpus) = cpus::select(options.cpus.as_deref())?;
        let buffer = whole_pages(options.buffer_size, "buffer", MAX_RING_BYTES)?;
        let packet = options
            .subbuf_size
            .unwrap_or_else(|| default_packet(options.mode, buffer));
        let packet = whole_pages(packet, "sub-buffer", MAX_RING_BYTES)?;
        let (ring, slots) = match options.mode {
            Mode::Discard => (buffer, options.subbuf_count),
            Mode::Overwrite => (
                buffer.clamp(*FLIGHT_RING.start(), *FLIGHT_RING.end()),
                slots_of(buffer, packet)?,
            ),
        };
        Ok(Self {
            probes,
            names: options.names,
            classes,
            state_dump,
            task_events,
            throttles,
            scope,
            cpu_count,
            cpus,
            ring_bytes: ring.0 as u32,
            buffer: subbuf::Config {
                slots,
                mode: options.mode,
                header_len: HEADER_LEN,
            },
            pool: PoolConfig {
                run_bytes: packet.0 as usize,
                max_runs: usize::from(slots) * 2 + 2,
                reuse: !options.no_page_reuse,
            },
            flush_interval: options
                .rotate
                .time
                .map_or(FLUSH_INTERVAL, |time| time.min(FLUSH_INTERVAL)),
            stats: options.stats,
            trigger,
            user_stacks,
            contexts,
            origin: wanted::origin(
                options.comm.as_deref(),
                options.uid,
                options.cgroup.as_deref(),
            )?,
        })
    }
}

impl Plan {
    /// All classes that events of the trace have.
    pub(super) fn trace_classes(&self) -> Vec<EventClass> {
        self.classes
            .iter()
            .chain(&self.state_dump)
            .cloned()
            .collect()
    }

    /// Numbers of classes of probes are below this, others are those of the state dump.
    pub(super) fn probe_classes(&self) -> u32 {
        self.probes.len() as u32
    }

    /// The value of `--buffer-size` whose ring is four times as large; `None`: there is none.
    pub(super) fn larger_buffer(&self) -> Option<Size> {
        let larger = u64::from(self.ring_bytes) * 4;
        let largest = match self.buffer.mode {
            Mode::Discard => MAX_RING_BYTES,
            Mode::Overwrite => FLIGHT_RING.end().0,
        };
        (larger <= largest).then_some(Size(larger))
    }

    /// Size of the buffer of each CPU in bytes: of what is kept in overwrite mode, else of
    /// the ring.
    pub(super) fn buffer_bytes(&self) -> u64 {
        match self.buffer.mode {
            Mode::Discard => u64::from(self.ring_bytes),
            Mode::Overwrite => u64::from(self.buffer.slots) * self.pool.run_bytes as u64,
        }
    }
}

/// What to record, as it was typed: each with its text, or one for the default probes. The
/// probe that triggers snapshots is recorded, too, with the filter and the stacks of other -e.
fn requests(options: &Options) -> Vec<ProbeRequest> {
    let mut requests = options.probes.clone();
    if let Some(text) = &options.snapshot_on {
        let text = Some(trigger::probe_of(text).to_owned());
        match requests.first_mut().filter(|first| first.text.is_none()) {
            Some(only) => only.text = text,
            None => requests.insert(
                0,
                ProbeRequest {
                    text,
                    ..ProbeRequest::default()
                },
            ),
        }
    }
    requests
}

/// How many events of each class are recorded; none if all are.
fn throttles(requests: &[ProbeRequest], probes: &[ResolvedProbe]) -> Vec<Throttle> {
    let of = |probe: &ResolvedProbe| Throttle {
        every: requests[probe.request].every,
        limit: requests[probe.request].limit,
    };
    let throttles: Vec<Throttle> = probes.iter().map(of).collect();
    if throttles.iter().any(Throttle::is_active) {
        throttles
    } else {
        Vec::new()
    }
}

/// Whether the trace begins with a state dump. Prints why not if one could be expected.
fn dumps_state(options: &Options) -> bool {
    let wanted =
        options.state_dump && options.names == Naming::Lttng && options.mode == Mode::Discard;
    if wanted && !state_dump::has_global_ids() {
        message!(
            "tracer: note: the trace has no state dump: in this PID namespace threads have other \
             ids than in events"
        );
        return false;
    }
    wanted
}

/// The probes that `texts` name, with the names of the trace.
fn named(
    files: &KernelFiles,
    texts: &[String],
    options: &Options,
) -> Result<Vec<ResolvedProbe>, ProbeError> {
    let mut probes = resolve_texts_of(files, texts, &options.pids)?;
    if options.names == Naming::Lttng {
        rename(files, &mut probes)?;
    }
    Ok(probes)
}

/// Reports what a name has become that the user may not expect.
fn print_notes(probes: &[ResolvedProbe]) {
    for probe in probes.iter().filter(|probe| probe.explicit) {
        for note in probe.notes.iter().filter(|note| note.important) {
            message!("tracer: note: `{}`: {}", probe.class.name, note.text);
        }
    }
}

/// Records some events of the recorder itself, because they concern other processes: it forks
/// the command, and a switch away from it shows what runs on the CPU next.
fn follow_recorder(probes: &mut [ResolvedProbe]) {
    for probe in probes {
        if let AttachPoint::Tracepoint {
            system, name, spec, ..
        } = &mut probe.attach_point
            && system == "sched"
            && ["sched_switch", "sched_process_fork"].contains(&name.as_str())
        {
            spec.flags |= spec_flags::WITH_RECORDER;
        }
    }
}
