//! The summary that is printed when a recording ends.

mod clocks;
mod left_out;
mod losses;
mod stats;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::io;
use std::path::PathBuf;

use anyhow::{Result, anyhow};

use crate::names::shell::quoted;
use crate::record::attach::KernelCounts;
use crate::record::output::ClosedChunks;
use crate::record::session::control::End;
use crate::record::session::plan::Plan;
use crate::record::session::progress::{grouped, short};
use crate::record::session::snapshot::Snapshot;
use crate::record::session::state_dump::Contents;
use crate::record::session::streams::FinishedStream;
use crate::record::sink::SinkReport;
use crate::record::size::Size;
use crate::record::subbuf::Mode;
use crate::sys::stderr;

/// At most this many classes are listed; a recording of everything has thousands.
const LISTED_CLASSES: usize = 20;

/// Everything that the summary reports.
#[derive(Debug)]
pub(super) struct Summary {
    /// The trace folder; none: the trace went to a pipe or a socket.
    folder: Option<PathBuf>,
    end: End,
    times: Times,
    classes: Vec<ClassCount>,
    streams: Vec<FinishedStream>,
    counts: KernelCounts,
    mode: Mode,
    /// In overwrite mode, what was written at the end.
    last: Option<Result<Snapshot>>,
    /// Names of all classes, including those that only the recorder needs.
    names: Vec<String>,
    /// The `--buffer-size` to suggest after losses.
    larger_buffer: Option<Size>,
    /// Size of the buffer of each CPU in overwrite mode.
    buffer_bytes: u64,
    /// Size of a sub-buffer in bytes.
    run_bytes: usize,
    /// Report on sub-buffers, too.
    stats: bool,
    /// What the state dump holds.
    pub(super) state_dump: Option<Contents>,
    /// Lost records of mappings; none: all of them from some time on.
    pub(super) lost_mappings: Option<u64>,
    /// How many threads and processes can be followed at a time.
    max_followed: u32,
    /// The processes and threads of `--pid`.
    pids: Vec<u32>,
    /// Totals of rotation, if there was any.
    pub(super) chunks: Option<ClosedChunks>,
}

/// Durations of a recording.
#[expect(clippy::struct_field_names, reason = "names have units")]
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) recording_ns: u64,
    pub(super) attach_ns: u64,
    /// By how much the wall clock advanced more than the trace's clock, in nanoseconds.
    pub(super) wall_gain_ns: i64,
}

#[derive(Debug)]
struct ClassCount {
    name: String,
    recorded: u64,
    overwritten: u64,
    lost: u64,
}

impl Summary {
    pub(super) fn new(
        plan: &Plan,
        folder: Option<PathBuf>,
        end: End,
        times: Times,
        counts: KernelCounts,
        streams: Vec<FinishedStream>,
        last: Option<Result<Snapshot>>,
    ) -> Self {
        let classes = plan
            .classes
            .iter()
            .enumerate()
            .map(|(id, class)| ClassCount {
                name: class.name.clone(),
                recorded: sum(&streams, |stream| stream.recorded_of(id as u32)),
                overwritten: sum(&streams, |stream| stream.overwritten_of(id as u32)),
                lost: counts.lost.get(id).map_or(0, |cpus| cpus.iter().sum()),
            })
            .collect();
        Self {
            folder,
            end,
            times,
            classes,
            names: plan
                .probes
                .iter()
                .map(|probe| probe.class.name.clone())
                .collect(),
            streams,
            counts,
            mode: plan.buffer.mode,
            last,
            larger_buffer: plan.larger_buffer(),
            buffer_bytes: plan.buffer_bytes(),
            run_bytes: plan.pool.run_bytes,
            stats: plan.stats,
            state_dump: None,
            lost_mappings: Some(0),
            max_followed: plan.scope.processes().follow.unwrap_or(0),
            pids: plan.scope.pids(),
            chunks: None,
        }
    }

    /// Prints the summary on standard error: standard output belongs to the command.
    pub(super) fn print(&self) {
        stderr::print(&self.text());
    }

    /// The error that ended the recording, if one did.
    pub(super) fn failure(&self) -> Result<()> {
        let failed = self
            .streams
            .iter()
            .find_map(|stream| stream.delivered.error.as_ref());
        let of_chunks = self
            .chunks
            .as_ref()
            .and_then(|chunks| chunks.error.as_ref());
        let Some(error) = failed.or(of_chunks) else {
            return match &self.last {
                Some(Err(error)) => Err(anyhow!("{error:#}")),
                Some(Ok(_)) | None => Ok(()),
            };
        };
        let unwritten = self.unwritten();
        let advice = match error.kind() {
            io::ErrorKind::StorageFull => "; free space, or name another disk with --output",
            io::ErrorKind::FileTooLarge => "; raise the limit of file sizes (`ulimit -f`)",
            _ => "",
        };
        Err(anyhow!(
            "{error}; {} events could not be written, the trace up to that point is readable{advice}",
            grouped(unwritten)
        ))
    }

    /// Events that were submitted and could not be written.
    fn unwritten(&self) -> u64 {
        sum(&self.streams, FinishedStream::unwritten)
    }

    fn recorded(&self) -> u64 {
        sum(&self.streams, FinishedStream::recorded)
    }

    fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let seconds = self.times.recording_ns as f64 / 1e9;
        let why = match self.end {
            End::Command => "the command ended".to_owned(),
            End::Processes => ended(&self.pids),
            End::Duration => "--duration elapsed".to_owned(),
            End::Signal(_) => "stopped by a signal".to_owned(),
            End::Failure => "the trace could no longer be written".to_owned(),
        };
        let recorded = grouped(self.recorded());
        let cpus = self.streams.len();
        write!(
            out,
            "recorded {recorded} events in {seconds:.2} s ({why}): "
        )?;
        match self.mode {
            Mode::Discard => {
                let bytes = sum(&self.streams, |stream| stream.delivered.written.bytes);
                writeln!(out, "{}B on {cpus} CPUs", short(bytes as f64))?;
            }
            Mode::Overwrite => {
                let size = Size(self.buffer_bytes);
                writeln!(out, "the latest {size} of each CPU in memory, {cpus} CPUs")?;
            }
        }
        writeln!(
            out,
            "attached {} probes in {:.2} s",
            grouped(self.classes.len() as u64),
            self.times.attach_ns as f64 / 1e9
        )?;
        self.write_classes(out)?;
        if let Some(Contents { threads, files }) = self.state_dump {
            let (threads, files) = (grouped(threads), grouped(files));
            writeln!(out, "state dump: {threads} threads, {files} open files")?;
        }
        self.write_overwritten(out)?;
        left_out::write(out, &self.counts, &self.names)?;
        self.write_incomplete(out)?;
        clocks::write(out, self.times.wall_gain_ns)?;
        self.write_methods(out)?;
        self.write_chunks(out)?;
        if self.stats {
            stats::write(out, &self.streams, self.run_bytes)?;
        }
        if let Some(Ok(last)) = &self.last {
            writeln!(out, "{last}")?;
        }
        let last = self.last.as_ref().and_then(|last| last.as_ref().ok());
        let Some(folder) = self.folder.as_ref().or(last.map(|last| &last.folder)) else {
            return Ok(());
        };
        if self.mode == Mode::Discard {
            writeln!(out, "trace: {}", folder.display())?;
        }
        let folder = quoted(folder.as_os_str());
        writeln!(
            out,
            "read it with: tracer report {folder}, or babeltrace2 {folder}"
        )
    }

    /// How packets were written: a line for each method, almost always one.
    fn write_methods(&self, out: &mut String) -> std::fmt::Result {
        let methods: BTreeSet<&SinkReport> = self
            .streams
            .iter()
            .filter(|stream| stream.delivered.written.packets > 0)
            .filter_map(|stream| stream.delivered.sink.as_ref())
            .collect();
        for method in methods {
            writeln!(out, "written by {method}")?;
        }
        Ok(())
    }

    fn write_chunks(&self, out: &mut String) -> std::fmt::Result {
        let Some(chunks) = &self.chunks else {
            return Ok(());
        };
        write!(out, "{} chunks", grouped(chunks.begun))?;
        let removed = chunks.removed;
        if removed.chunks > 0 {
            write!(
                out,
                "; the oldest {} were removed, with {} events in {}B",
                grouped(removed.chunks),
                grouped(removed.events),
                short(removed.bytes as f64)
            )?;
        }
        writeln!(out)
    }

    fn write_classes(&self, out: &mut String) -> std::fmt::Result {
        let mut classes: Vec<&ClassCount> = self
            .classes
            .iter()
            .filter(|class| class.recorded + class.lost > 0)
            .collect();
        classes.sort_by_key(|class| std::cmp::Reverse(class.recorded + class.lost));
        for class in classes.iter().take(LISTED_CLASSES) {
            write!(out, "{:>14}  {}", grouped(class.recorded), class.name)?;
            for (events, what) in [(class.overwritten, "overwritten"), (class.lost, "lost")] {
                if events > 0 {
                    write!(out, " ({} {what})", grouped(events))?;
                }
            }
            writeln!(out)?;
        }
        if let Some(more) = classes
            .get(LISTED_CLASSES..)
            .filter(|more| !more.is_empty())
        {
            let recorded: u64 = more.iter().map(|class| class.recorded).sum();
            writeln!(
                out,
                "{:>14}  in {} more classes",
                grouped(recorded),
                more.len()
            )?;
        }
        Ok(())
    }
}

/// `process 12 ended`.
fn ended(pids: &[u32]) -> String {
    match pids {
        [pid] => format!("process {pid} ended"),
        [one, other] => format!("processes {one} and {other} ended"),
        _ => format!("all {} processes ended", grouped(pids.len() as u64)),
    }
}

fn sum(streams: &[FinishedStream], number: impl Fn(&FinishedStream) -> u64) -> u64 {
    streams.iter().map(number).sum()
}
