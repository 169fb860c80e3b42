//! What a recording lacks: overwritten, lost and missed events, and values that could not be
//! read.

use std::fmt::Write;

use crate::record::session::progress::grouped;
use crate::record::session::streams::FinishedStream;
use crate::record::session::summary::{LISTED_CLASSES, Summary};

impl Summary {
    /// Everything that is missing although it should have been recorded.
    pub(super) fn write_incomplete(&self, out: &mut String) -> std::fmt::Result {
        self.write_losses(out)?;
        self.write_unrecorded(out)?;
        self.write_lost_mappings(out)?;
        self.write_missed(out)?;
        self.write_faults(out)
    }

    /// Values that could not be read. Their events are recorded.
    fn write_faults(&self, out: &mut String) -> std::fmt::Result {
        for (class, faults) in &self.counts.faults {
            let name = self.names.get(*class as usize).map_or("?", String::as_str);
            writeln!(
                out,
                "{} events `{name}` have a value that could not be read; the field \
                 `fetch_fault` says which",
                grouped(*faults)
            )?;
        }
        Ok(())
    }

    /// In overwrite mode: events that are no longer in memory.
    pub(super) fn write_overwritten(&self, out: &mut String) -> std::fmt::Result {
        for stream in &self.streams {
            let overwritten = stream.overwritten();
            if overwritten > 0 {
                writeln!(
                    out,
                    "overwrote {} of {} events on CPU {} with later ones",
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
                None => writeln!(out, "try a --filter or fewer probes")?,
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
        let unwritten = self.unwritten();
        if unwritten > 0 {
            let unwritten = grouped(unwritten);
            writeln!(out, "lost {unwritten} events: they could not be written")?;
        }
        let lost = |stream: &FinishedStream| {
            [
                stream.drained.lost,
                stream.drained.stats.oversized,
                stream.unwritten(),
            ]
        };
        let counts = self.streams.iter().flat_map(lost).filter(|lost| *lost > 0);
        match (counts.clone().count(), counts.sum::<u64>()) {
            (0, _) => writeln!(out, "lost 0 events")?,
            (1, _) => {}
            (_, total) => writeln!(out, "in all, {} events are lost", grouped(total))?,
        }
        let clamped: u64 = self
            .streams
            .iter()
            .map(|stream| stream.drained.stats.clamped)
            .sum();
        if clamped > 0 {
            writeln!(
                out,
                "{} timestamps were earlier than the event before them and were set to its time",
                grouped(clamped)
            )?;
        }
        Ok(())
    }

    fn write_unrecorded(&self, out: &mut String) -> std::fmt::Result {
        for (cpu, events) in &self.counts.unrecorded {
            writeln!(
                out,
                "CPU {cpu} came online during the recording: {} events on it were not recorded",
                grouped(*events)
            )?;
        }
        Ok(())
    }

    /// Events have their stacks nevertheless, but reports may not find names for them.
    fn write_lost_mappings(&self, out: &mut String) -> std::fmt::Result {
        let what = match self.lost_mappings {
            Some(0) => return Ok(()),
            Some(lost) => format!("{} records", grouped(lost)),
            None => "the last records".to_owned(),
        };
        writeln!(
            out,
            "lost {what} of mappings of processes: user stacks may lack names"
        )
    }

    fn write_missed(&self, out: &mut String) -> std::fmt::Result {
        let of_classes: u64 = self.counts.skipped.iter().map(|(_, skipped)| skipped).sum();
        let total = of_classes + self.counts.skipped_of_many + self.counts.skipped_syscalls;
        if total > 0 {
            // A kretprobe misses calls when all of its instances are in use.
            let is_return =
                |name: &String| name.starts_with("kretprobe:") || name.starts_with("call:");
            let mut classes = self.counts.skipped.iter();
            let of_class =
                classes.any(|(class, _)| self.names.get(*class as usize).is_some_and(is_return));
            let of_many = self.counts.skipped_of_many > 0 && self.names.iter().any(is_return);
            let or_returns = if of_class || of_many {
                ", or while all instances of a kretprobe were in use"
            } else {
                ""
            };
            writeln!(
                out,
                "{} events missed: they fired while another BPF program was running{or_returns}:",
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
        if self.counts.calls_under_way > 0 {
            writeln!(
                out,
                "{} system calls had not returned when the recording ended: they are not in the \
                 trace",
                grouped(self.counts.calls_under_way)
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
