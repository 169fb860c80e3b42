//! Programs that record and the threads that drain their rings.

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

use anyhow::{Context, Result};

use crate::record::attach::{AttachError, Attached, KernelCounts, Loaded, Settings};
use crate::record::clock::{monotonic_ns, wall_offset_ns};
use crate::record::namespace::pids;
use crate::record::output::{Output, Sidecar};
use crate::record::pool::Pool;
use crate::record::ring::{CpuStates, Ring};
use crate::record::session::control::{End, Interrupted};
use crate::record::session::describe::Description;
use crate::record::session::destination::Destination;
use crate::record::session::drain::{Drain, Ends};
use crate::record::session::flight::FlightReader;
use crate::record::session::mappings::{StackObserver, Watch};
use crate::record::session::options::Options;
use crate::record::session::outlet::Outlet;
use crate::record::session::plan::Plan;
use crate::record::session::progress::ProbeProgress;
use crate::record::session::snapshot::{Snapshot, Snapshots};
use crate::record::session::stack_notes;
use crate::record::session::state_dump::{Contents, StateDump};
use crate::record::session::streams::{Commander, Reading, Stream, Streams};
use crate::record::session::summary::{Summary, Times};
use crate::record::session::thread_names::{self, NameObserver};
use crate::record::session::trigger::TriggerObserver;
use crate::record::stream::observe::{Observer, Observers};
use crate::record::stream::shared::Failure;
use crate::record::stream::{StreamIdentity, StreamWriter};
use crate::record::subbuf;
use crate::sys::stderr::message;

/// A recording that has started.
pub(super) struct Recording {
    pub(super) attached: Attached,
    pub(super) streams: Streams,
    pub(super) failure: Failure,
    output: Arc<dyn Output>,
    /// Follows the mappings of processes whose stacks are recorded.
    watch: Option<Watch>,
    /// What the state dump at the start of the trace holds.
    state_dump: Option<Contents>,
    /// In overwrite mode.
    pub(super) snapshots: Option<Arc<Snapshots>>,
    /// When the programs began to record, `CLOCK_MONOTONIC` in nanoseconds.
    started_ns: u64,
    /// How far the wall clock is ahead of the trace's, according to the metadata.
    wall_offset_ns: u64,
    /// How long attaching took.
    attach_ns: u64,
}

impl Recording {
    pub(super) fn begin(
        options: &Options,
        object: &[u8],
        plan: &Plan,
        destination: &Destination,
        mut interrupted: impl FnMut() -> Option<Interrupted>,
    ) -> Result<Self> {
        let mut loaded = Loaded::new(&settings(options, object, plan)?, &plan.probes)?;
        let states = loaded.states();
        let rings = loaded.take_rings();
        let output = &destination.output;
        let opened_ns = monotonic_ns();
        let description = Description::new(plan, &output.name())?;
        // Before all else: among frames, and in chunks, nothing comes before the metadata.
        output.begin(description.uuid, &description.text)?;
        stack_notes::write_kernel_symbols(&**output, plan)?;
        let parts = Parts {
            plan,
            output,
            states: &states,
            failure: Failure::default(),
            opened_ns,
            trace_uuid: description.uuid,
            watch: stack_notes::watch_mappings(output, plan)?,
        };
        let mut streams = rings
            .into_iter()
            .map(|(cpu, ring)| parts.stream(cpu, ring))
            .collect::<Result<Vec<_>>>()?;
        let progress = ProbeProgress::new("attaching", plan.probes.len());
        let before_attaching_ns = monotonic_ns();
        let attached = loaded.attach(
            |done| {
                progress.show(done);
                interrupted().map_or(Ok(()), |interrupted| Err(interrupted.into()))
            },
            |error| message!("tracer: warning: {error}"),
        );
        let mut attached = attached.map_err(|error| match error {
            // So that the session finds an `Interrupted`.
            AttachError::Failed(error) => error,
            refused @ AttachError::Refused { .. } => refused.into(),
        })?;
        drop(progress);
        let begun_ns = monotonic_ns();
        for stream in &mut streams {
            stream.drain.begin_at(begun_ns);
        }
        // As late as possible: what happens between it and the start is in no event.
        let state_dump = (!plan.state_dump.is_empty())
            .then(|| StateDump::take(plan.probe_classes(), &options.pids));
        let contents = state_dump.as_ref().map(|dump| dump.contents);
        if let (Some(dump), Some(first)) = (state_dump, streams.first_mut()) {
            first.drain.begin_with(dump.events);
        }
        let streams = Streams::spawn(streams)?;
        let Parts { failure, watch, .. } = parts;
        let snapshots = destination.memory.as_ref().map(|memory| {
            Arc::new(Snapshots::new(
                Arc::clone(memory),
                watch.clone(),
                streams.commanders(),
                options.sink,
                plan.pool.run_bytes,
            ))
        });
        let started_ns = monotonic_ns();
        attached.start();
        thread_names::write_running(&**output);
        Ok(Self {
            attached,
            streams,
            failure,
            output: Arc::clone(output),
            watch,
            state_dump: contents,
            snapshots,
            started_ns,
            wall_offset_ns: description.wall_offset_ns,
            attach_ns: started_ns - before_attaching_ns,
        })
    }

    /// Stops the programs: nothing is added to the rings after this.
    pub(super) fn stop(mut self) -> Result<Stopped> {
        let recording_ns = monotonic_ns() - self.started_ns;
        let counts = self.attached.stop()?;
        Ok(Stopped {
            recording: self,
            counts,
            recording_ns,
            wall_offset_ns: wall_offset_ns(),
        })
    }
}

/// What the streams of a recording are put together from.
struct Parts<'a> {
    plan: &'a Plan,
    output: &'a Arc<dyn Output>,
    states: &'a Arc<CpuStates>,
    failure: Failure,
    opened_ns: u64,
    trace_uuid: [u8; 16],
    watch: Option<Watch>,
}

impl Parts<'_> {
    /// The stream of a CPU, with its sink or its reader.
    fn stream(&self, cpu: u32, ring: Ring) -> Result<Stream> {
        let plan = self.plan;
        let identity = StreamIdentity {
            trace_uuid: self.trace_uuid,
            cpu,
            start_ns: self.opened_ns,
        };
        let pool = Arc::new(Pool::new(plan.pool)?);
        let sink = self.output.sink(cpu, Some(&pool))?;
        let (writer, reader) = subbuf::create(plan.buffer, &pool)
            .with_context(|| format!("no sub-buffers for CPU {cpu}"))?;
        let classes = plan.probe_classes() as usize + plan.state_dump.len();
        let mut writer = StreamWriter::new(identity, writer, classes);
        writer.observe_by(self.observers(cpu));
        let (commander, link, orders) = Commander::new(cpu)?;
        let (jobs, reading) = if let Some(sink) = sink {
            let probes = plan.probe_classes();
            let outlet = Outlet::new(reader, sink, pool, &self.failure, &link, probes);
            (None, Reading::Outlet(outlet))
        } else {
            let (sender, receiver) = mpsc::channel();
            let reader = FlightReader::new(reader, pool);
            (Some(sender), Reading::Flight(reader, receiver))
        };
        let ends = Ends {
            link,
            orders,
            jobs,
            failure: self.failure.clone(),
        };
        Ok(Stream {
            cpu,
            drain: Drain::new(cpu, ring, writer, self.states, plan, ends),
            reading,
            commander,
        })
    }

    /// What looks at the events of a CPU besides its reader.
    fn observers(&self, cpu: u32) -> Observers {
        let plan = self.plan;
        let mut list: Vec<Box<dyn Observer>> = Vec::new();
        if self.output.takes(Sidecar::Tasks) {
            list.push(Box::new(NameObserver::new(&plan.task_events, self.output)));
        }
        if let Some(trigger) = &plan.trigger {
            list.push(Box::new(TriggerObserver::new(trigger, cpu)));
        }
        if let Some(watch) = &self.watch {
            list.push(Box::new(StackObserver::new(watch, &plan.user_stacks)));
        }
        Observers::new(list, plan.classes.len() as u32, plan.probe_classes())
    }
}

/// A recording whose programs have stopped.
pub(super) struct Stopped {
    pub(super) recording: Recording,
    counts: KernelCounts,
    recording_ns: u64,
    /// As at the start of the recording.
    wall_offset_ns: u64,
}

impl Stopped {
    /// Drains what is left and closes the streams.
    pub(super) fn finish(
        self,
        plan: &Plan,
        folder: Option<PathBuf>,
        end: End,
        last: Option<Result<Snapshot>>,
    ) -> Result<(Attached, Summary)> {
        let Recording {
            attached,
            streams,
            output,
            watch,
            state_dump,
            wall_offset_ns: first_offset_ns,
            attach_ns,
            ..
        } = self.recording;
        let times = Times {
            recording_ns: self.recording_ns,
            attach_ns,
            wall_gain_ns: self
                .wall_offset_ns
                .wrapping_sub(first_offset_ns)
                .cast_signed(),
        };
        let streams = streams.finish()?;
        // The drains have ended, and will see no more stacks.
        let lost_mappings = watch.map_or(Ok(0), |watch| watch.end().blocking_recv());
        // Threads whose names the programs missed: created on a CPU that is not recorded.
        thread_names::write_running(&*output);
        let mut summary = Summary::new(plan, folder, end, times, self.counts, streams, last);
        summary.state_dump = state_dump;
        summary.lost_mappings = lost_mappings.ok();
        Ok((attached, summary))
    }
}

/// The settings of the programs.
fn settings<'a>(options: &Options, object: &'a [u8], plan: &'a Plan) -> Result<Settings<'a>> {
    let excluded_pid = (!options.include_self).then(pids::own_id).transpose()?;
    Ok(Settings {
        object,
        sys: Path::new("/sys"),
        ring_bytes: plan.ring_bytes,
        cpu_count: plan.cpu_count,
        cpus: &plan.cpus,
        all_cpus: options.cpus.is_none(),
        excluded_pid,
        processes: plan.scope.processes(),
        throttles: &plan.throttles,
        contexts: &plan.contexts,
        origin: &plan.origin,
        log: options.debug_ebpf,
    })
}
