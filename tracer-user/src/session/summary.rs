//! What a recording came to, in words that a person can act on.

use std::{collections::BTreeSet, fmt::Write, io, path::PathBuf};

use anyhow::{Result, anyhow};

use super::{
    control::End,
    drain::DrainedStream,
    options::Size,
    plan::Plan,
    progress::{grouped, short},
};
use crate::{attach::KernelCounts, sink::SinkReport};

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
    streams: Vec<DrainedStream>,
    counts: KernelCounts,
    /// Names of all classes, those for the recorder's own use included.
    names: Vec<String>,
    ring_bytes: u32,
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
    lost: u64,
}

impl Summary {
    pub(super) fn new(
        plan: &Plan,
        folder: Option<PathBuf>,
        end: End,
        times: Times,
        counts: KernelCounts,
        streams: Vec<DrainedStream>,
    ) -> Self {
        let classes = plan
            .classes
            .iter()
            .enumerate()
            .map(|(id, class)| ClassCount {
                name: class.name.clone(),
                recorded: streams.iter().map(|stream| stream.per_class[id]).sum(),
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
            ring_bytes: plan.ring_bytes,
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
            .filter_map(|stream| Some((stream.error.as_ref()?, stream.unwritten)))
            .collect();
        let Some((error, _)) = failed.first() else {
            return Ok(());
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
        self.streams.iter().map(|stream| stream.stats.events).sum()
    }

    fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let seconds = self.times.recording_ns as f64 / 1e9;
        let bytes: u64 = self.streams.iter().map(|stream| stream.stats.bytes).sum();
        let why = match self.end {
            End::Command => "the command ended",
            End::Duration => "the time was over",
            End::Signal(_) => "stopped by a signal",
            End::Failure => "the trace could no longer be written",
        };
        writeln!(
            out,
            "recorded {} events in {seconds:.2} s ({why}): {}B on {} CPUs",
            grouped(self.recorded()),
            short(bytes as f64),
            self.streams.len()
        )?;
        writeln!(
            out,
            "attached {} probes in {:.2} s",
            grouped(self.classes.len() as u64),
            self.times.attach_ns as f64 / 1e9
        )?;
        self.write_classes(out)?;
        self.write_losses(out)?;
        self.write_skipped(out)?;
        self.write_ways(out)?;
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        let folder = folder.display();
        writeln!(out, "trace: {folder}")?;
        writeln!(
            out,
            "read it with: tracer report {folder}, or babeltrace2 {folder}"
        )
    }

    /// Which ways packets took: a line for each, almost always one.
    fn write_ways(&self, out: &mut String) -> std::fmt::Result {
        let ways: BTreeSet<&SinkReport> = self
            .streams
            .iter()
            .filter(|stream| stream.stats.packets > 0)
            .map(|stream| &stream.sink)
            .collect();
        for way in ways {
            writeln!(out, "written by {way}")?;
        }
        Ok(())
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
            if class.lost > 0 {
                write!(out, " ({} lost)", grouped(class.lost))?;
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

    fn write_losses(&self, out: &mut String) -> std::fmt::Result {
        for stream in self.streams.iter().filter(|stream| stream.lost > 0) {
            let fired = stream.stats.events + stream.lost;
            writeln!(
                out,
                "lost {} of {} events on CPU {}: its buffer was full; try --buffer-size {}",
                grouped(stream.lost),
                grouped(fired),
                stream.cpu,
                Size(u64::from(self.ring_bytes) * 4)
            )?;
        }
        for stream in self
            .streams
            .iter()
            .filter(|stream| stream.stats.oversized > 0)
        {
            writeln!(
                out,
                "lost {} events on CPU {}: larger than a sub-buffer; try a larger --subbuf-size",
                grouped(stream.stats.oversized),
                stream.cpu
            )?;
        }
        if self
            .streams
            .iter()
            .all(|stream| stream.lost + stream.stats.oversized == 0)
        {
            writeln!(out, "lost 0 events")?;
        }
        let clamped: u64 = self.streams.iter().map(|stream| stream.stats.clamped).sum();
        if clamped > 0 {
            writeln!(
                out,
                "{} timestamps were behind the event before them and were set to its time",
                grouped(clamped)
            )?;
        }
        Ok(())
    }

    fn write_skipped(&self, out: &mut String) -> std::fmt::Result {
        let of_classes: u64 = self.counts.skipped.iter().map(|(_, skipped)| skipped).sum();
        let total = of_classes + self.counts.skipped_syscalls;
        if total > 0 {
            // A kretprobe follows as many calls at a time as it has instances.
            let has_returns = self.counts.skipped.iter().any(|(class, _)| {
                let name = self.names.get(*class as usize);
                name.is_some_and(|name| name.starts_with("kretprobe:"))
            });
            let or_returns = if has_returns {
                ", or in more calls at a time than a kretprobe follows"
            } else {
                ""
            };
            writeln!(
                out,
                "the kernel skipped {} events that fired inside another probe{or_returns}:",
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
        Ok(())
    }
}
