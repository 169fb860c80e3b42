//! A trace from a guest, as babeltrace2 reads it on this machine.

use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::apt::Program;
use crate::process;
use crate::vm::Outcome;
use crate::vm::jobs::kept::Kept;

/// The viewer that the traces are read with.
pub const BABELTRACE: Program = Program {
    name: "babeltrace2",
    package: "babeltrace2",
};

/// The warning of babeltrace2 about lost events, up to the number.
const DISCARDED: &str = "Tracer discarded ";

/// All events of a trace in their order, one per line.
pub(super) struct Trace {
    text: String,
    /// Lost events according to the packets.
    pub(super) discarded: u64,
    /// Events that may be missing because the kernel skipped them: see [`Kept::skipped`].
    pub(super) skipped: u64,
}

impl Trace {
    /// Reads `/out/NAME` of the guest. Any complaint of babeltrace2 is an error, except about
    /// lost events.
    pub(super) fn read(outcome: &Outcome, name: &str) -> Result<Self> {
        let mut command = Command::new(BABELTRACE.name);
        command.arg(outcome.out_dir().join(name));
        let output = command
            .output()
            .with_context(|| format!("cannot start `{}`", process::display(&command)))?;
        let complaints = String::from_utf8_lossy(&output.stderr);
        let mut discarded = 0;
        for line in complaints.lines() {
            let count = line
                .split_once(DISCARDED)
                .and_then(|(_, rest)| rest.split(' ').next()?.parse::<u64>().ok());
            discarded += count
                .with_context(|| format!("babeltrace2 complains about `{name}`: {complaints}"))?;
        }
        ensure!(
            output.status.success(),
            "babeltrace2 ended with {} after reading `{name}`",
            output.status
        );
        Ok(Self {
            text: String::from_utf8_lossy(&output.stdout).into_owned(),
            discarded,
            skipped: 0,
        })
    }

    /// Whether `found` events are all of `made`, except those that the kernel skipped.
    pub(super) fn is_all(&self, found: u64, made: u64) -> bool {
        (made.saturating_sub(self.skipped)..=made).contains(&found)
    }

    /// The same of a recording that may lack what the kernel skipped.
    pub(super) fn of(outcome: &Outcome, name: &str, kept: &Kept) -> Result<Self> {
        Ok(Self {
            skipped: kept.skipped(outcome),
            ..Self::read(outcome, name)?
        })
    }

    /// The events of a class.
    pub(super) fn events<'a>(&'a self, class: &'a str) -> impl Iterator<Item = Event<'a>> {
        self.all().filter(move |event| event.class == class)
    }

    /// All events.
    pub(super) fn all(&self) -> impl Iterator<Item = Event<'_>> {
        self.text.lines().filter_map(Event::parse)
    }
}

/// The recording of `/out/NAME/trace`, and the process id that the workload printed.
pub(super) fn recorded(outcome: &Outcome, name: &str) -> Result<(Trace, Kept, u64)> {
    let kept = Kept::succeeded(outcome, name)?;
    kept.expect_error("lost 0 events")?;
    let pid = kept.number("pid")?;
    let trace = Trace::of(outcome, &format!("{name}/trace"), &kept)?;
    Ok((trace, kept, pid))
}

/// Exactly `count` events of a class of process `pid` are such.
pub(super) fn expect(
    trace: &Trace,
    class: &str,
    pid: u64,
    count: u64,
    is_such: impl Fn(&Event<'_>) -> bool,
) -> Result<()> {
    let events = trace.events(class).filter(|event| event.has("pid", pid));
    let found = events.filter(|event| is_such(event)).count() as u64;
    if trace.is_all(found, count) {
        return Ok(());
    }
    let any = trace.events(class).find(|event| event.has("pid", pid));
    bail!("{found} such events `{class}` instead of {count}, one is {any:?}")
}

/// One event: `[TIME] (+DELTA) HOST CLASS: { NAME = VALUE, … }, { … }, …`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event<'a> {
    pub(super) class: &'a str,
    fields: &'a str,
}

impl<'a> Event<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (head, fields) = line.split_once(": {")?;
        let class = head.split(' ').next_back()?;
        Some(Self { class, fields })
    }

    /// The value of a field as it is printed, the first of that name.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        let (_, value) = self.fields.split_once(&format!(" {name} = "))?;
        match value.strip_prefix('"') {
            Some(string) => Some(string.split_once('"')?.0),
            None => value.split([',', ' ']).next(),
        }
    }

    /// The value of a field that is a whole number.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        let text = self.text(name)?;
        match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        }
    }

    /// Whether the field has this value.
    pub(super) fn has(&self, name: &str, value: u64) -> bool {
        self.number(name) == Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "[00:00:02.340912781] (+0.000000012) (none) kprobe:vfs_read+0x9: { cpu_id = 0 }, \
                        { tid = 83, pid = 84 }, { arg0 = 0xFFFF8880, name = \"a = b\", last = -1 }";

    #[test]
    fn an_event_has_its_class() {
        assert_eq!(Event::parse(LINE).unwrap().class, "kprobe:vfs_read+0x9");
    }

    #[test]
    fn numbers_are_read_in_both_notations() {
        let event = Event::parse(LINE).unwrap();
        assert!(event.has("arg0", 0xFFFF_8880) && event.has("pid", 84));
    }

    #[test]
    fn strings_lose_their_quotes() {
        assert_eq!(Event::parse(LINE).unwrap().text("name"), Some("a = b"));
    }
}
