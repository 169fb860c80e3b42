//! A recording, from the first check to the summary.
//!
//! [`record`] joins what the other modules offer: it resolves the probes, makes the trace
//! folder, loads and attaches the programs, runs one drain thread per ring, waits for the
//! end, and tells what was recorded and what was lost. What can fail is done before
//! anything is attached or written, and undone when a later step fails.

mod chunks;
mod command;
mod control;
mod destination;
mod drain;
mod flight;
mod mappings;
mod options;
mod outlet;
mod output;
mod plan;
mod preflight;
mod progress;
mod requests;
mod scope;
mod snapshot;
mod stack_notes;
mod state_dump;
mod streams;
mod summary;
mod tasks;
mod trigger;
mod wanted;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::time::Instant;

use anyhow::{Context, Result};

use self::command::Command;
use self::control::{End, Signals};
use self::destination::Destination;
use self::drain::{Drain, Ends};
use self::flight::FlightReader;
use self::mappings::Watch;
use self::outlet::Outlet;
use self::output::monotonic_ns;
use self::plan::Plan;
use self::progress::{ProbeProgress, ProgressLine};
use self::requests::Claim;
use self::snapshot::{Snapshot, Snapshots};
use self::state_dump::{Contents, StateDump};
use self::streams::{Commander, Reading, Stream, Streams};
use self::summary::{Summary, Times};
use self::tasks::TaskLog;
use crate::record::attach::{Attached, Kernel, KernelCounts, Settings};
use crate::record::pool::Pool;
use crate::record::stream::shared::Failure;
use crate::record::stream::{StreamIdentity, StreamWriter};
use crate::record::subbuf::{self, Mode};

pub use options::{Options, ProbeRequest, RotateOptions, Size, StackRequest};

pub(crate) use progress::{grouped, short};

/// Records as `options` say, until the end that they name or a signal. Gives the exit
/// status of the command, if there was one.
///
/// # Errors
/// Whatever kept the recording from starting, or from being written; what was recorded
/// until then stays readable.
pub fn record(options: &Options) -> Result<ExitCode> {
    let object = preflight::check()?;
    let mut command = Command::resolve(&options.command)?;
    let plan = Plan::new(options)?;
    let claim = Claim::new(options)?;
    let mut destination = Destination::open(options, &plan)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the control side")?;
    let _context = runtime.enter();
    let mut signals = Signals::catch()?;
    let recording = Recording::begin(options, object, &plan, &mut destination)?;
    if let Some(command) = command.as_mut().filter(|_| plan.scope.command) {
        recording.attached.record_command(command.process())?;
    }
    let links = recording.streams.links();
    let folder = destination.folder();
    let mut requests = claim.serve(options, &plan, folder.as_deref(), &recording)?;
    let progress = ProgressLine::new(links, options.quiet);
    let failure = &recording.failure;
    let ended = runtime.block_on(control::until_end(
        options,
        command,
        &mut signals,
        failure,
        progress,
        &mut requests,
    ));
    runtime.block_on(requests.close());
    let (end, remainder) = ended?;
    let stopped = recording.stop()?;
    let last = match (&stopped.recording.snapshots, destination.take_last()) {
        (Some(snapshots), Some(folder)) => Some(runtime.block_on(snapshots.write(folder))),
        _ => None,
    };
    let finished = stopped.finish(&plan, folder, end, last);
    // Also where a stream has failed: what was written stays readable.
    let kept = destination.keep();
    let (attached, mut summary) = finished?;
    let kept = kept.map(|chunks| summary.chunks = chunks);
    if !options.quiet && kept.is_ok() {
        summary.print();
    }
    let programs = attached.link_count();
    let progress = ProbeProgress::new("the trace is complete; detaching", programs);
    let before = Instant::now();
    attached.detach(|done| progress.show(done));
    drop(progress);
    if options.stats && !options.quiet {
        let seconds = before.elapsed().as_secs_f64();
        eprintln!(
            "detached {} programs in {seconds:.2} s",
            grouped(programs as u64)
        );
    }
    let status = runtime.block_on(control::command_status(remainder, end, &mut signals))?;
    // A trace that is gone is the reason why its streams could not be finished.
    kept?;
    summary.failure()?;
    Ok(status)
}

/// Programs that record and threads that drain.
struct Recording {
    attached: Attached,
    streams: Streams,
    failure: Failure,
    tasks: Arc<TaskLog>,
    /// Notes where the code of processes is.
    watch: Option<Watch>,
    /// What the trace begins with.
    state_dump: Option<Contents>,
    /// In overwrite mode.
    snapshots: Option<Arc<Snapshots>>,
    /// When the programs began to record, `CLOCK_MONOTONIC` in nanoseconds.
    started_ns: u64,
    /// How long attaching took.
    attach_ns: u64,
}

impl Recording {
    fn begin(
        options: &Options,
        object: &[u8],
        plan: &Plan,
        destination: &mut Destination,
    ) -> Result<Self> {
        let mut kernel = Kernel::load(&settings(options, object, plan), &plan.probes)?;
        let states = kernel.states();
        let rings = kernel.take_rings();
        let opened_ns = monotonic_ns();
        let failure = Failure::default();
        let description = destination.describe(plan)?;
        let tasks = Arc::new(destination.task_log()?);
        let stack_notes = destination.stack_notes();
        stack_notes.kernel_symbols(plan)?;
        let watch = stack_notes.watch(plan)?;
        let mut streams = rings
            .into_iter()
            .map(|(cpu, ring)| {
                let identity = StreamIdentity {
                    trace_uuid: description.uuid,
                    cpu,
                    start_ns: opened_ns,
                };
                let pool = Arc::new(Pool::new(plan.pool)?);
                let sink = destination.sink(cpu, options, &pool)?;
                let (writer, reader) = subbuf::create(plan.buffer, &pool)
                    .with_context(|| format!("no sub-buffers for CPU {cpu}"))?;
                let classes = plan.probe_classes() as usize + plan.state_dump.len();
                let writer = StreamWriter::new(identity, writer, classes);
                let (commander, link, orders) = Commander::new(cpu)?;
                let (jobs, reading) = if let Some(sink) = sink {
                    let probes = plan.probe_classes();
                    let outlet = Outlet::new(reader, sink, pool, &failure, &link, probes);
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
                    failure: failure.clone(),
                    watch: watch.clone(),
                };
                Ok(Stream {
                    cpu,
                    drain: Drain::new(cpu, ring, writer, &states, plan, &tasks, ends),
                    reading,
                    commander,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let progress = ProbeProgress::new("attaching", plan.probes.len());
        let before_attaching_ns = monotonic_ns();
        let mut attached = kernel.attach(
            &plan.probes,
            |done| progress.show(done),
            |error| eprintln!("tracer: warning: {error}"),
        )?;
        drop(progress);
        let begun_ns = monotonic_ns();
        for stream in &mut streams {
            stream.drain.begin_at(begun_ns);
        }
        // As late as can be: what happens behind it and before the start is told by nobody.
        let state_dump = (!plan.state_dump.is_empty())
            .then(|| StateDump::take(plan.probe_classes(), &options.pids));
        let contents = state_dump.as_ref().map(|dump| dump.contents);
        if let (Some(dump), Some(first)) = (state_dump, streams.first_mut()) {
            first.drain.begin_with(dump.events);
        }
        let streams = Streams::spawn(streams)?;
        let snapshots = (options.mode == Mode::Overwrite).then(|| {
            let (tasks, commanders) = (Arc::clone(&tasks), streams.commanders());
            let packet_bytes = plan.pool.run_bytes;
            Arc::new(Snapshots::new(
                description,
                tasks,
                stack_notes,
                watch.clone(),
                commanders,
                options.sink,
                packet_bytes,
            ))
        });
        let started_ns = monotonic_ns();
        attached.start();
        tasks.snapshot(started_ns);
        Ok(Self {
            attached,
            streams,
            failure,
            tasks,
            watch,
            state_dump: contents,
            snapshots,
            started_ns,
            attach_ns: started_ns - before_attaching_ns,
        })
    }

    /// Stops the programs: what is in the rings from now on is final.
    fn stop(mut self) -> Result<Stopped> {
        let recording_ns = monotonic_ns() - self.started_ns;
        let counts = self.attached.stop()?;
        Ok(Stopped {
            recording: self,
            counts,
            recording_ns,
        })
    }
}

/// A recording whose programs have stopped.
struct Stopped {
    recording: Recording,
    counts: KernelCounts,
    recording_ns: u64,
}

impl Stopped {
    /// Drains what is left and closes the trace.
    fn finish(
        self,
        plan: &Plan,
        folder: Option<PathBuf>,
        end: End,
        last: Option<Result<Snapshot>>,
    ) -> Result<(Attached, Summary)> {
        let Recording {
            attached,
            streams,
            tasks,
            watch,
            state_dump,
            attach_ns,
            ..
        } = self.recording;
        let times = Times {
            recording_ns: self.recording_ns,
            attach_ns,
        };
        let streams = streams.finish()?;
        // The drains are gone, and will see no more stacks.
        let lost_mappings = watch.map_or(Ok(0), |watch| watch.end().blocking_recv());
        // Threads whose names the programs missed: made on a CPU that is not recorded.
        tasks.snapshot(monotonic_ns());
        let mut summary = Summary::new(plan, folder, end, times, self.counts, streams, last);
        summary.state_dump = state_dump;
        summary.lost_mappings = lost_mappings.ok();
        Ok((attached, summary))
    }
}

/// What the programs are told.
fn settings<'a>(options: &Options, object: &'a [u8], plan: &'a Plan) -> Settings<'a> {
    Settings {
        object,
        sys: Path::new("/sys"),
        ring_bytes: plan.ring_bytes,
        cpu_count: plan.cpu_count,
        cpus: &plan.cpus,
        excluded_pid: (!options.include_self).then(std::process::id),
        processes: plan.scope.processes(),
        throttles: &plan.throttles,
        contexts: &plan.contexts,
        origin: &plan.origin,
        log: options.debug_ebpf,
    }
}
