//! Which events are shown: by name, time, CPU and process, as users type it.

use std::str::FromStr;

use thiserror::Error;

use crate::names::glob;
use crate::trace::ctf::Event;
use crate::trace::lttng::state_dump::PREFIX;
use crate::trace::{Class, lttng};

/// What was typed that has no meaning.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SelectError {
    /// Not a time.
    #[error(
        "`{0}` is not a time; give seconds as the report prints them (`12345.678901`), or from \
         the start of the trace (`+1.5`)"
    )]
    Time(String),
    /// Not a list of CPUs.
    #[error("`{0}` is not a list of CPUs; give numbers and ranges such as `0,2-3`")]
    Cpus(String),
    /// A pattern that no event of the trace has.
    #[error("no event of this trace is called `{pattern}`; {known}")]
    NoEvent {
        /// What was typed.
        pattern: String,
        /// Says which names there are.
        known: String,
    },
}

/// A point in time, or the time span that a number of few digits stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    /// Nanoseconds.
    ns: u64,
    /// How many nanoseconds the last typed digit stands for.
    unit_ns: u64,
    /// Counts from the start of the trace.
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

    /// The first nanosecond, in a trace that starts at `start_ns`.
    #[must_use]
    pub const fn first_ns(self, start_ns: u64) -> u64 {
        if self.relative {
            start_ns.saturating_add(self.ns)
        } else {
            self.ns
        }
    }

    /// The last nanosecond. A time as precise as the report prints it means all events
    /// that are printed with it.
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

/// A set of CPUs, as `0,2-3`.
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

/// What to show; everything by default.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Names with `*` and `?`; a comma separates several. See [`matches()`] for what a name
    /// without its group means. Events of a state dump are meant by patterns that begin with
    /// their [`PREFIX`] only.
    pub events: Vec<String>,
    /// Nothing before.
    pub from: Option<Time>,
    /// Nothing after.
    pub to: Option<Time>,
    /// Only these CPUs.
    pub cpus: Option<CpuSet>,
    /// Only these processes and threads.
    pub pids: Vec<u32>,
}

/// A [`Selection`], applied to one trace.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    /// By position of the class.
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
            .flat_map(|patterns| patterns.split(','))
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

    pub(super) fn has_cpu(&self, cpu: u32) -> bool {
        self.cpus.as_ref().is_none_or(|cpus| cpus.contains(cpu))
    }

    /// Whether an event within the range of time is shown.
    pub(super) fn has(&self, event: &Event<'_>) -> bool {
        self.classes[event.class.index]
            && self.has_cpu(event.cpu)
            && (self.pids.is_empty()
                || self.pids.contains(&event.pid)
                || self.pids.contains(&event.tid))
    }
}

/// Some names of the trace, for someone who typed another.
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

/// Whether an event is meant by a pattern: by its whole name, by the part behind the
/// group (`sched_switch` for `sched:sched_switch`), by the other of the two names that the
/// kernel and LTTng have for it (`sched:sched_switch` for `sched_switch`), or, as probes are
/// typed, `syscall:NAME` for the entry and the exit of a system call.
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    let call = name
        .strip_prefix("syscall_entry_")
        .or_else(|| name.strip_prefix("syscall_exit_"));
    means(pattern, name)
        || lttng::other_name(name).is_some_and(|other| means(pattern, &other))
        || pattern
            .strip_prefix("syscall:")
            .zip(call)
            .is_some_and(|(pattern, call)| glob::matches(pattern, call))
}

fn means(pattern: &str, name: &str) -> bool {
    let behind_group = name.split_once(':').map(|(_, behind)| behind);
    glob::matches(pattern, name)
        || behind_group.is_some_and(|behind| glob::matches(pattern, behind))
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
    fn either_name_of_an_event_is_known() {
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
    fn a_system_call_means_its_entry_and_its_exit() {
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
    fn a_printed_time_holds_all_events_printed_with_it() {
        let time: Time = "1.000001".parse().unwrap();
        assert_eq!(time.last_ns(0), 1_000_001_999);
        let time: Time = "1".parse().unwrap();
        assert_eq!(time.last_ns(0), 1_000_000_000);
    }

    #[test]
    fn what_is_no_time_is_refused() {
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
