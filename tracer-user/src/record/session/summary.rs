//! What a recording came to, in words that a person can act on.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::io;
use std::path::PathBuf;

use anyhow::{Result, anyhow};

mod left_out;
mod stats;

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

/// Classes that are listed at most; a recording of everything has thousands.
const LISTED_CLASSES: usize = 20;

/// Everything that is told at the end.
#[derive(Debug)]
pub(super) struct Summary {
    /// Where the trace is; none: it went to a pipe or a socket.
    folder: Option<PathBuf>,
    end: End,
    times: Times,
    classes: Vec<ClassCount>,
    streams: Vec<FinishedStream>,
    counts: KernelCounts,
    mode: Mode,
    /// In overwrite mode, what was written at the end.
    last: Option<Result<Snapshot>>,
    /// Names of all classes, those for the recorder's own use included.
    names: Vec<String>,
    /// What `--buffer-size` to try after losses.
    larger_buffer: Option<Size>,
    /// What is kept of each CPU in overwrite mode.
    buffer_bytes: u64,
    /// Size of a sub-buffer in bytes.
    run_bytes: usize,
    /// Tell about sub-buffers, too.
    stats: bool,
    /// What the trace begins with.
    pub(super) state_dump: Option<Contents>,
    /// Records of what processes map that were lost; none: all from some time on.
    pub(super) lost_mappings: Option<u64>,
    /// How many threads and processes can be followed at a time.
    max_followed: u32,
    /// What rotation came to, if it was asked for.
    pub(super) chunks: Option<ClosedChunks>,
}

/// How long things took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) recording_ns: u64,
    pub(super) attach_ns: u64,
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
            chunks: None,
        }
    }

    /// Prints the summary on standard error: standard output belongs to the command.
    pub(super) fn print(&self) {
        eprint!("{}", self.text());
    }

    /// The error that the recording ended with, if it did.
    pub(super) fn failure(&self) -> Result<()> {
        let failed: Vec<(&io::Error, u64)> = self
            .streams
            .iter()
            .filter_map(|stream| Some((stream.delivered.error.as_ref()?, stream.unwritten())))
            .collect();
        let of_chunks = self
            .chunks
            .as_ref()
            .and_then(|chunks| chunks.error.as_ref());
        let Some(error) = failed.first().map(|(error, _)| *error).or(of_chunks) else {
            return match &self.last {
                Some(Err(error)) => Err(anyhow!("{error:#}")),
                Some(Ok(_)) | None => Ok(()),
            };
        };
        let unwritten: u64 = failed.iter().map(|(_, unwritten)| unwritten).sum();
        let advice = if error.kind() == io::ErrorKind::StorageFull {
            "; free space, or name another disk with -o"
        } else {
            ""
        };
        Err(anyhow!(
            "{error}; {} events could not be written, the trace up to there is readable{advice}",
            grouped(unwritten)
        ))
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
            End::Command => "the command ended",
            End::Duration => "the time was over",
            End::Signal(_) => "stopped by a signal",
            End::Failure => "the trace could no longer be written",
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
                writeln!(out, "the latest {size} of each of {cpus} CPUs in memory")?;
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
        self.write_losses(out)?;
        self.write_lost_mappings(out)?;
        self.write_skipped(out)?;
        self.write_faults(out)?;
        self.write_ways(out)?;
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
        let folder = folder.display();
        if self.mode == Mode::Discard {
            writeln!(out, "trace: {folder}")?;
        }
        writeln!(
            out,
            "read it with: tracer report {folder}, or babeltrace2 {folder}"
        )
    }

    /// Values that could not be read. Their events are recorded.
    fn write_faults(&self, out: &mut String) -> std::fmt::Result {
        for (class, faults) in &self.counts.faults {
            let name = self.names.get(*class as usize).map_or("?", String::as_str);
            writeln!(
                out,
                "{} events `{name}` have a value that could not be read: it is empty, and \
                 `fetch_fault` says which",
                grouped(*faults)
            )?;
        }
        Ok(())
    }

    /// Which ways packets took: a line for each, almost always one.
    fn write_ways(&self, out: &mut String) -> std::fmt::Result {
        let ways: BTreeSet<&SinkReport> = self
            .streams
            .iter()
            .filter(|stream| stream.delivered.written.packets > 0)
            .filter_map(|stream| stream.delivered.sink.as_ref())
            .collect();
        for way in ways {
            writeln!(out, "written by {way}")?;
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

    /// In overwrite mode: what memory did not hold to the end.
    fn write_overwritten(&self, out: &mut String) -> std::fmt::Result {
        for stream in &self.streams {
            let overwritten = stream.overwritten();
            if overwritten > 0 {
                writeln!(
                    out,
                    "overwrote {} of {} events on CPU {} by later ones",
                    grouped(overwritten),
                    grouped(stream.recorded()),
                    stream.cpu
                )?;
            }
        }
        Ok(())
    }

    fn write_losses(&self, out: &mut String) -> std::fmt::Result {
        for stream in self.streams.iter().filter(|stream| stream.drained.lost > 0) {
            let fired = stream.recorded() + stream.drained.lost;
            write!(
                out,
                "lost {} of {} events on CPU {}: its buffer was full; ",
                grouped(stream.drained.lost),
                grouped(fired),
                stream.cpu,
            )?;
            match self.larger_buffer {
                Some(size) => writeln!(out, "try --buffer-size {size}")?,
                None => writeln!(out, "try a filter (-f) or fewer probes")?,
            }
        }
        for stream in self
            .streams
            .iter()
            .filter(|stream| stream.drained.stats.oversized > 0)
        {
            writeln!(
                out,
                "lost {} events on CPU {}: larger than a sub-buffer; try a larger --subbuf-size",
                grouped(stream.drained.stats.oversized),
                stream.cpu
            )?;
        }
        if self
            .streams
            .iter()
            .all(|stream| stream.drained.lost + stream.drained.stats.oversized == 0)
        {
            writeln!(out, "lost 0 events")?;
        }
        let clamped: u64 = self
            .streams
            .iter()
            .map(|stream| stream.drained.stats.clamped)
            .sum();
        if clamped > 0 {
            writeln!(
                out,
                "{} timestamps were behind the event before them and were set to its time",
                grouped(clamped)
            )?;
        }
        Ok(())
    }

    /// Events have their stacks all the same, but reports may not find names for them.
    fn write_lost_mappings(&self, out: &mut String) -> std::fmt::Result {
        let what = match self.lost_mappings {
            Some(0) => return Ok(()),
            Some(lost) => format!("{} records of", grouped(lost)),
            None => "the end of".to_owned(),
        };
        writeln!(
            out,
            "lost {what} what processes map: user stacks may lack names"
        )
    }

    fn write_skipped(&self, out: &mut String) -> std::fmt::Result {
        let of_classes: u64 = self.counts.skipped.iter().map(|(_, skipped)| skipped).sum();
        let total = of_classes + self.counts.skipped_of_many + self.counts.skipped_syscalls;
        if total > 0 {
            // A kretprobe follows as many calls at a time as it has instances.
            let is_return = |name: &String| name.starts_with("kretprobe:");
            let mut classes = self.counts.skipped.iter();
            let of_class =
                classes.any(|(class, _)| self.names.get(*class as usize).is_some_and(is_return));
            let of_many = self.counts.skipped_of_many > 0 && self.names.iter().any(is_return);
            let or_returns = if of_class || of_many {
                ", or in more calls at a time than a kretprobe follows"
            } else {
                ""
            };
            writeln!(
                out,
                "the kernel skipped {} events that fired inside another probe{or_returns}, or \
                 while a program of theirs was preempted:",
                grouped(total)
            )?;
            let mut skipped = self.counts.skipped.clone();
            skipped.sort_by_key(|(_, skipped)| std::cmp::Reverse(*skipped));
            for (class, skipped) in skipped.iter().take(LISTED_CLASSES) {
                let name = self.names.get(*class as usize).map_or("?", String::as_str);
                writeln!(out, "{:>14}  {name}", grouped(*skipped))?;
            }
            if let Some(more) = skipped
                .get(LISTED_CLASSES..)
                .filter(|more| !more.is_empty())
            {
                let skipped: u64 = more.iter().map(|(_, skipped)| skipped).sum();
                writeln!(
                    out,
                    "{:>14}  in {} more classes",
                    grouped(skipped),
                    more.len()
                )?;
            }
            if self.counts.skipped_of_many > 0 {
                let skipped = grouped(self.counts.skipped_of_many);
                writeln!(out, "{skipped:>14}  functions that share a program")?;
            }
            if self.counts.skipped_syscalls > 0 {
                let skipped = grouped(self.counts.skipped_syscalls);
                writeln!(out, "{skipped:>14}  system calls")?;
            }
        }
        if self.counts.compat_syscalls > 0 {
            writeln!(
                out,
                "{} 32-bit system calls were not recorded",
                grouped(self.counts.compat_syscalls)
            )?;
        }
        if self.counts.not_followed > 0 {
            writeln!(
                out,
                "{} threads or processes could not be followed: more than {} at a time; try \
                 --max-followed {}",
                grouped(self.counts.not_followed),
                grouped(u64::from(self.max_followed)),
                u64::from(self.max_followed) * 4
            )?;
        }
        Ok(())
    }
}

fn sum(streams: &[FinishedStream], number: impl Fn(&FinishedStream) -> u64) -> u64 {
    streams.iter().map(number).sum()
}
