//! A recording, from the first check to the summary.
//!
//! [`record`] joins what the other modules offer: it resolves the probes, makes the trace
//! folder, loads and attaches the programs, runs one drain thread per ring, waits for the
//! end, and tells what was recorded and what was lost. What can fail is done before
//! anything is attached or written, and undone when a later step fails.

mod command;
mod control;
mod destination;
mod drain;
mod options;
mod output;
mod plan;
mod preflight;
mod progress;
mod requests;
mod summary;
mod tasks;

pub use options::{Options, Size};
pub(crate) use progress::{grouped, short};

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context, Result};

use crate::{
    attach::{Attached, Kernel, Settings},
    stream::{StreamIdentity, StreamWriter},
};

use self::{
    command::Command,
    control::{End, Signals},
    destination::Destination,
    drain::{Drain, Drains, Failure},
    output::monotonic_ns,
    plan::Plan,
    progress::{ProbeProgress, ProgressLine},
    requests::Claim,
    summary::{Summary, Times},
    tasks::TaskLog,
};

/// Records as `options` say, until the end that they name or a signal. Gives the exit
/// status of the command, if there was one.
///
/// # Errors
/// Whatever kept the recording from starting, or from being written; what was recorded
/// until then stays readable.
pub fn record(options: &Options) -> Result<ExitCode> {
    let object = preflight::check()?;
    let command = Command::resolve(&options.command)?;
    let plan = Plan::new(options)?;
    let claim = Claim::new(options)?;
    let destination = Destination::open(options)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the control side")?;
    let _context = runtime.enter();
    let mut signals = Signals::catch()?;
    let recording = Recording::begin(options, object, &plan, &destination)?;
    let counters = recording.drains.counters();
    let folder = destination.folder();
    let mut requests = claim.serve(options, &plan, folder.as_deref(), counters.clone())?;
    let progress = ProgressLine::new(counters, options.quiet);
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
    let (attached, summary) = recording.end(&plan, folder, end)?;
    let kept = destination.keep();
    if !options.quiet && kept.is_ok() {
        summary.print();
    }
    let progress = ProbeProgress::new("the trace is complete; detaching", attached.link_count());
    attached.detach(|done| progress.show(done));
    drop(progress);
    let status = runtime.block_on(control::command_status(remainder, end, &mut signals))?;
    // A trace that is gone is the reason why its streams could not be finished.
    kept?;
    summary.failure()?;
    Ok(status)
}

/// Programs that record and threads that drain.
struct Recording {
    attached: Attached,
    drains: Drains,
    failure: Failure,
    tasks: Arc<TaskLog>,
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
        destination: &Destination,
    ) -> Result<Self> {
        let settings = Settings {
            object,
            sys: Path::new("/sys"),
            ring_bytes: plan.ring_bytes,
            cpu_count: plan.cpu_count,
            cpus: &plan.cpus,
            excluded_pid: (!options.include_self).then(std::process::id),
            pids: &options.pids,
            log: options.debug_ebpf,
        };
        let mut kernel = Kernel::load(&settings, &plan.probes)?;
        let states = kernel.states();
        let rings = kernel.take_rings();
        let opened_ns = monotonic_ns();
        let failure = Failure::default();
        let trace_uuid = destination.write_metadata(plan)?;
        let tasks = Arc::new(destination.task_log()?);
        let drains = rings
            .into_iter()
            .map(|(cpu, ring)| {
                let identity = StreamIdentity {
                    trace_uuid,
                    cpu,
                    start_ns: opened_ns,
                };
                let sink = destination.sink(cpu, options, plan)?;
                let writer = StreamWriter::new(identity, plan.packet_bytes, sink)
                    .with_context(|| format!("no memory for the sub-buffer of CPU {cpu}"))?;
                Ok(Drain::new(
                    cpu, ring, writer, &states, plan, &tasks, &failure,
                ))
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
        let drains = Drains::spawn(drains)?;
        let started_ns = monotonic_ns();
        attached.start();
        tasks.snapshot(started_ns);
        Ok(Self {
            attached,
            drains,
            failure,
            tasks,
            started_ns,
            attach_ns: started_ns - before_attaching_ns,
        })
    }

    /// Stops the programs, drains what is left and closes the trace.
    fn end(
        mut self,
        plan: &Plan,
        folder: Option<PathBuf>,
        end: End,
    ) -> Result<(Attached, Summary)> {
        let times = Times {
            recording_ns: monotonic_ns() - self.started_ns,
            attach_ns: self.attach_ns,
        };
        let counts = self.attached.stop()?;
        let streams = self.drains.finish()?;
        // Threads whose names the programs missed: made on a CPU that is not recorded.
        self.tasks.snapshot(monotonic_ns());
        let summary = Summary::new(plan, folder, end, times, counts, streams);
        Ok((self.attached, summary))
    }
}
