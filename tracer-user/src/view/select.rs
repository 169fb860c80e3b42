//! Selects the events of a view by name, time, CPU and process.

use std::str::FromStr;

use thiserror::Error;

use crate::names::{glob, quote};
use crate::trace::ctf::Event;
use crate::trace::lttng::state_dump::PREFIX;
use crate::trace::{Class, lttng};

/// Why a selection is invalid.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SelectError {
    /// Not a time.
    #[error(
        "invalid time `{0}`; give a timestamp in seconds as printed (`12345.678901`), or seconds \
         after the start of the trace (`+1.5`)"
    )]
    Time(String),
    /// Not a list of CPUs.
    #[error("invalid CPU list `{0}` (example: 0,2-3)")]
    Cpus(String),
    /// A pattern that matches no event of the trace.
    #[error("no event of this trace matches `{pattern}`; {known}")]
    NoEvent {
        /// The pattern.
        pattern: String,
        /// Lists the names that exist.
        known: String,
    },
}

/// A timestamp with the precision with which it was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    /// Nanoseconds.
    ns: u64,
    /// Value in nanoseconds of the last typed digit.
    unit_ns: u64,
    /// Whether it counts from the start of the trace.
    relative: bool,
}

impl FromStr for Time {
    type Err = SelectError;

    fn from_str(text: &str) -> Result<Self, SelectError> {
        Self::parse(text).ok_or_else(|| SelectError::Time(text.to_owned()))
    }
}

impl Time {
    fn parse(text: &str) -> Option<Self> {
        let number = text.strip_prefix('+');
        let relative = number.is_some();
        let number = number.unwrap_or(text);
        let number = number.strip_suffix('s').unwrap_or(number);
        let (seconds, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if seconds.is_empty() || !digits(seconds) || !digits(fraction) || fraction.len() > 9 {
            return None;
        }
        let unit_ns = 10u64.pow(9 - fraction.len() as u32);
        let fraction_ns = match fraction {
            "" => 0,
            digits => digits.parse::<u64>().ok()? * unit_ns,
        };
        let seconds: u64 = seconds.parse().ok()?;
        Some(Self {
            ns: seconds
                .checked_mul(1_000_000_000)?
                .checked_add(fraction_ns)?,
            unit_ns,
            relative,
        })
    }

    /// The first nanosecond that it means, in a trace that starts at `start_ns`.
    #[must_use]
    pub const fn first_ns(self, start_ns: u64) -> u64 {
        if self.relative {
            start_ns.saturating_add(self.ns)
        } else {
            self.ns
        }
    }

    /// The last nanosecond that it means: a time with microseconds or more digits includes all
    /// events that are printed with it.
    #[must_use]
    pub const fn last_ns(self, start_ns: u64) -> u64 {
        let first = self.first_ns(start_ns);
        if self.unit_ns <= 1000 {
            first.saturating_add(self.unit_ns - 1)
        } else {
            first
        }
    }
}

/// A set of CPUs, such as `0,2-3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuSet(Vec<(u32, u32)>);

impl CpuSet {
    /// Whether `cpu` is one of them.
    #[must_use]
    pub fn contains(&self, cpu: u32) -> bool {
        self.0
            .iter()
            .any(|&(first, last)| (first..=last).contains(&cpu))
    }
}

impl FromStr for CpuSet {
    type Err = SelectError;

    fn from_str(text: &str) -> Result<Self, SelectError> {
        let range = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let range = (first.parse().ok()?, last.parse().ok()?);
            (range.0 <= range.1).then_some(range)
        };
        let ranges: Option<_> = text.split(',').map(range).collect();
        ranges
            .map(Self)
            .ok_or_else(|| SelectError::Cpus(text.to_owned()))
    }
}

/// The events of a view; all by default.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Patterns of names, also separated by commas; [`matches()`] says what they match. Events of
    /// the state dump are matched only by patterns that begin with their [`PREFIX`].
    pub events: Vec<String>,
    /// Only events from this time on.
    pub from: Option<Time>,
    /// Only events up to this time.
    pub to: Option<Time>,
    /// Only these CPUs.
    pub cpus: Option<CpuSet>,
    /// Only these processes and threads.
    pub pids: Vec<u32>,
}

/// A [`Selection`], applied to one trace.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    /// Whether each class is selected, by index.
    classes: Vec<bool>,
    pub(super) from_ns: u64,
    pub(super) to_ns: u64,
    cpus: Option<CpuSet>,
    pids: Vec<u32>,
}

impl Filter {
    pub(super) fn new(
        selection: &Selection,
        classes: &[Class],
        start_ns: u64,
    ) -> Result<Self, SelectError> {
        let patterns: Vec<&str> = selection
            .events
            .iter()
            .flat_map(|patterns| quote::split_list(patterns))
            .filter(|pattern| !pattern.is_empty())
            .collect();
        let found = |pattern: &str| classes.iter().any(|class| matches(pattern, &class.name));
        if let Some(pattern) = patterns.iter().find(|pattern| !found(pattern)) {
            return Err(SelectError::NoEvent {
                pattern: (*pattern).to_owned(),
                known: known(classes),
            });
        }
        let selected = |class: &Class| {
            if class.name.starts_with(PREFIX) {
                let mut named = patterns
                    .iter()
                    .filter(|pattern| pattern.starts_with(PREFIX));
                return named.any(|pattern| matches(pattern, &class.name));
            }
            patterns.is_empty() || patterns.iter().any(|pattern| matches(pattern, &class.name))
        };
        Ok(Self {
            classes: classes.iter().map(selected).collect(),
            from_ns: selection.from.map_or(0, |time| time.first_ns(start_ns)),
            to_ns: selection.to.map_or(u64::MAX, |time| time.last_ns(start_ns)),
            cpus: selection.cpus.clone(),
            pids: selection.pids.clone(),
        })
    }

    /// Whether events of this class are selected.
    pub(super) fn has_class(&self, class: &Class) -> bool {
        self.classes[class.index]
    }

    pub(super) fn has_cpu(&self, cpu: u32) -> bool {
        self.cpus.as_ref().is_none_or(|cpus| cpus.contains(cpu))
    }

    /// Whether an event within the time range is selected.
    pub(super) fn has(&self, event: &Event<'_>) -> bool {
        self.classes[event.class.index]
            && self.has_cpu(event.cpu)
            && (self.pids.is_empty()
                || self.pids.contains(&event.pid)
                || self.pids.contains(&event.tid))
    }
}

/// Some event names of the trace, for an error message.
fn known(classes: &[Class]) -> String {
    const SHOWN: usize = 8;
    let names: Vec<String> = classes
        .iter()
        .take(SHOWN)
        .map(|class| format!("`{}`", class.name.escape_debug()))
        .collect();
    match classes.len() {
        0 => "it has no events".to_owned(),
        count if count > SHOWN => format!("it has {} and {} more", names.join(", "), count - SHOWN),
        _ => format!("it has {}", names.join(", ")),
    }
}

/// Whether a pattern matches an event: its full name, the part after the group (`sched_switch`
/// for `sched:sched_switch`), the other of its names in the kernel and in LTTng
/// (`sched:sched_switch` for `sched_switch`), or, as in probes, `syscall:NAME` for the entry and
/// the exit of a system call.
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    let call = name
        .strip_prefix("syscall_entry_")
        .or_else(|| name.strip_prefix("syscall_exit_"));
    matches_name(pattern, name)
        || lttng::other_name(name).is_some_and(|other| matches_name(pattern, &other))
        || pattern
            .strip_prefix("syscall:")
            .zip(call)
            .is_some_and(|(pattern, call)| glob::matches(pattern, call))
}

fn matches_name(pattern: &str, name: &str) -> bool {
    let after_group = name.split_once(':').map(|(_, after)| after);
    // A name may look like a pattern: `uprobe:./x:main.F[...]`.
    pattern == name
        || glob::matches(pattern, name)
        || after_group.is_some_and(|after| glob::matches(pattern, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_whole_names() {
        assert!(matches("sched:*", "sched:sched_switch"));
        assert!(matches("*s?itch", "sched:sched_switch"));
        assert!(!matches("sched:sched", "sched:sched_switch"));
        assert!(matches("a*b*c", "axbxbxc"));
        assert!(!matches("a*b*c", "axbxbx"));
    }

    #[test]
    fn the_group_can_be_left_out() {
        assert!(matches("sched_switch", "sched:sched_switch"));
    }

    #[test]
    fn both_names_of_an_event_match() {
        for name in ["irq:softirq_entry", "irq_softirq_entry"] {
            for pattern in [
                "irq:softirq_entry",
                "irq:*",
                "softirq_entry",
                "irq_softirq*",
            ] {
                assert!(matches(pattern, name), "{pattern} for {name}");
            }
            assert!(!matches("softirq_exit", name));
        }
    }

    #[test]
    fn a_system_call_matches_its_entry_and_its_exit() {
        assert!(matches("syscall:openat", "syscall_entry_openat"));
        assert!(matches("syscall:open*", "syscall_exit_openat"));
        assert!(!matches("syscall:openat", "sched:openat_x"));
    }

    #[test]
    fn times_are_absolute_or_from_the_start() {
        let time = |text: &str| text.parse::<Time>().unwrap().first_ns(100);
        assert_eq!(time("1.5"), 1_500_000_000);
        assert_eq!(time("+0.000000002"), 102);
        assert_eq!(time("3s"), 3_000_000_000);
    }

    #[test]
    fn a_printed_time_includes_all_events_printed_with_it() {
        let time: Time = "1.000001".parse().unwrap();
        assert_eq!(time.last_ns(0), 1_000_001_999);
        let time: Time = "1".parse().unwrap();
        assert_eq!(time.last_ns(0), 1_000_000_000);
    }

    #[test]
    fn invalid_times_are_refused() {
        for text in [
            "",
            "+",
            "-1",
            "1.x",
            "1.0000000001",
            "99999999999999999999",
            ".5",
        ] {
            assert!(text.parse::<Time>().is_err(), "{text}");
        }
    }

    #[test]
    fn lists_of_cpus_have_numbers_and_ranges() {
        let cpus: CpuSet = "0,2-3".parse().unwrap();
        let members: Vec<u32> = (0..6).filter(|&cpu| cpus.contains(cpu)).collect();
        assert_eq!(members, [0, 2, 3]);
        assert!("3-1".parse::<CpuSet>().is_err());
        assert!("".parse::<CpuSet>().is_err());
    }
}
