//! A trace from a guest, as babeltrace2 reads it on this machine.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{apt::Program, process, vm::Outcome};

/// The viewer that the traces are read with.
pub const BABELTRACE: Program = Program {
    name: "babeltrace2",
    package: "babeltrace2",
};

/// What babeltrace2 says, before the number, where events were lost.
const DISCARDED: &str = "Tracer discarded ";

/// All events of a trace in their order, one per line.
pub(super) struct Trace {
    text: String,
    /// Events that the packets say were lost.
    pub(super) discarded: u64,
}

impl Trace {
    /// Reads `/out/NAME` of the guest. Anything that babeltrace2 complains about but lost
    /// events is an error.
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
