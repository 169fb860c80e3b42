//! A recording, from the first check to the summary.
//!
//! [`record`] joins what the other modules offer: it resolves the probes, opens the output,
//! loads and attaches the programs, runs a drain thread per ring, waits for the end, and reports
//! what was recorded and what was lost. Everything that can fail early is checked before
//! anything is attached or written, and undone if a later step fails.

mod command;
mod control;
mod describe;
mod destination;
mod detaching;
mod drain;
mod ends;
mod flight;
mod ids;
mod mappings;
mod options;
mod outlet;
mod plan;
mod preflight;
mod progress;
mod recording;
mod requests;
mod scope;
mod snapshot;
mod stack_notes;
mod state_dump;
mod streams;
mod summary;
mod thread_names;
mod trigger;
mod wanted;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use self::command::Command;
use self::control::{Interrupted, Signals};
use self::destination::Destination;
use self::plan::Plan;
use self::progress::ProgressLine;
use self::recording::Recording;
use self::requests::Claim;

pub use options::{Options, ProbeRequest, StackRequest};

pub use crate::record::output::RotateOptions;
pub use crate::record::size::Size;

pub(crate) use progress::{grouped, short};

/// How often signals are looked for while probes are attached.
const INTERRUPT_INTERVAL: Duration = Duration::from_millis(20);

/// Records as `options` ask, until the command ends, the time is over or a signal arrives.
/// Returns the exit status of the command, if there was one.
///
/// # Errors
/// If the recording could not be started or written; what was recorded until then is
/// readable.
pub fn record(options: &Options) -> Result<ExitCode> {
    let object = preflight::check()?;
    ids::prepare(options)?;
    let mut command = Command::resolve(&options.command)?;
    let plan = Plan::new(options)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the control side")?;
    let _context = runtime.enter();
    // From here on there is something to remove, except while a signal must be able to end the
    // wait for a reader.
    let early = (!destination::waits_for_reader(options)).then(Signals::catch);
    let early = early.transpose()?;
    let claim = Claim::new(options)?;
    let mut destination = Destination::open(options, &plan)?;
    let mut signals = early.map_or_else(Signals::catch, Ok)?;
    let attaching = Claim::announce_attaching();
    let mut asked = Instant::now();
    let interrupted = || {
        // Attaching one of thousands of probes takes less than asking.
        if asked.elapsed() < INTERRUPT_INTERVAL {
            return None;
        }
        asked = Instant::now();
        runtime.block_on(signals.pending()).map(Interrupted)
    };
    let begun = Recording::begin(options, object, &plan, &destination, interrupted);
    let recording = match begun.map_err(anyhow::Error::downcast::<Interrupted>) {
        Ok(recording) => recording,
        Err(Ok(interrupted)) => return Ok(interrupted.report()),
        Err(Err(error)) => return Err(error),
    };
    drop(attaching);
    if command.is_some()
        && let Some(signal) = runtime.block_on(signals.pending())
    {
        return Ok(Interrupted(signal).report());
    }
    if let Some(command) = command.as_mut().filter(|_| plan.scope.command) {
        let own_id = ids::own_id_program()?;
        recording
            .attached
            .record_command(command.process(), own_id)?;
    }
    let links = recording.streams.links();
    let folder = destination.folder();
    let mut requests = claim.serve(options, &plan, folder.as_deref(), &recording)?;
    let progress = ProgressLine::new(links, options.quiet);
    let failure = &recording.failure;
    // A command defines the end even if the processes of --pid end before it.
    let targets = if command.is_some() {
        &[]
    } else {
        &plan.scope.targets[..]
    };
    let processes_ended = ends::all(targets, || {
        let scope = &plan.scope;
        Ok(scope.follows() && recording.attached.follows_others(scope.ids())?)
    });
    let ended = runtime.block_on(control::until_end(
        options,
        command,
        processes_ended,
        &mut signals,
        failure,
        progress,
        &mut requests,
    ));
    let session = requests.status();
    runtime.block_on(requests.close());
    let (end, remainder) = ended?;
    let stopped = recording.stop()?;
    let last = match (&stopped.recording.snapshots, destination.take_last()) {
        (Some(snapshots), Some(folder)) => Some(runtime.block_on(snapshots.write(&folder))),
        _ => None,
    };
    let finished = stopped.finish(&plan, folder, end, last);
    // Also if a stream has failed: what was written is readable.
    let kept = destination.output.finish();
    let (attached, mut summary) = finished?;
    let kept = kept.map(|chunks| summary.chunks = chunks);
    if !options.quiet && kept.is_ok() {
        summary.print();
    }
    detaching::detach(attached, session, options);
    let status = runtime.block_on(control::command_status(remainder, end, &mut signals))?;
    // If the trace is gone, that is why its streams could not be finished.
    kept?;
    summary.failure()?;
    Ok(status)
}
