//! Recorded traces, read by both readers.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::recording::TRACER;

/// A trace as both readers see it.
#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) events: Vec<Event>,
    /// Events that the trace says are missing.
    pub(crate) lost: u64,
}

/// An event as `tracer report --json` prints it.
#[derive(Debug, Deserialize)]
pub(crate) struct Event {
    pub(crate) timestamp_ns: u64,
    pub(crate) cpu: u32,
    pub(crate) comm: String,
    pub(crate) tid: u32,
    pub(crate) pid: u32,
    pub(crate) name: String,
    pub(crate) fields: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Record {
    Event(Event),
    Loss { events_dropped: u64 },
}

impl Trace {
    /// Reads it with `tracer report` and babeltrace2, neither of which may complain, and
    /// which must agree on what is there and what is missing.
    pub(crate) fn read(dir: &Path) -> Self {
        let trace = Self::report(dir);
        let (events, lost) = babeltrace(dir);
        assert_eq!(
            (trace.events.len(), trace.lost),
            (events, lost),
            "events and losses by `tracer report` and by babeltrace2"
        );
        trace
    }

    fn report(dir: &Path) -> Self {
        let output = report(dir, &["--json"]);
        let mut trace = Self {
            events: Vec::new(),
            lost: 0,
        };
        for line in output.lines() {
            match serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in: {line}")) {
                Record::Event(event) => trace.events.push(event),
                Record::Loss { events_dropped } => trace.lost += events_dropped,
            }
        }
        trace
    }

    /// The events of a class.
    pub(crate) fn of(&self, name: &str) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(move |event| event.name == name)
    }

    /// The number of events of a class in a process.
    pub(crate) fn count(&self, name: &str, pid: u32) -> usize {
        self.of(name).filter(|event| event.pid == pid).count()
    }

    /// The names of all classes that have events.
    pub(crate) fn classes(&self) -> BTreeSet<&str> {
        self.events
            .iter()
            .map(|event| event.name.as_str())
            .collect()
    }
}

impl Event {
    pub(crate) fn number(&self, field: &str) -> i64 {
        let value = &self.fields[field];
        value
            .as_i64()
            .unwrap_or_else(|| panic!("{field} is {value}"))
    }

    pub(crate) fn text(&self, field: &str) -> &str {
        let value = &self.fields[field];
        value
            .as_str()
            .unwrap_or_else(|| panic!("{field} is {value}"))
    }
}

/// What `tracer report` prints; it must have nothing to complain about.
pub(crate) fn report(dir: &Path, args: &[&str]) -> String {
    let output = tracer(|tracer| tracer.arg("report").arg(dir).args(args));
    let stderr = super::stderr(&output);
    assert!(output.status.success() && stderr.is_empty(), "{stderr}");
    super::stdout(&output)
}

/// Runs `tracer`.
pub(crate) fn tracer(with: impl FnOnce(&mut Command) -> &mut Command) -> Output {
    with(&mut Command::new(TRACER))
        .output()
        .expect("the built tracer")
}

/// How many events babeltrace2 reads, and how many it says are missing. It must have
/// nothing else to say.
pub(crate) fn babeltrace(dir: &Path) -> (usize, u64) {
    let output = Command::new("babeltrace2")
        .arg(dir)
        .output()
        .expect("`babeltrace2` must be installed to run this test (`apt install babeltrace2`)");
    let stderr = super::stderr(&output);
    assert!(output.status.success(), "babeltrace2 failed:\n{stderr}");
    let lost = stderr.lines().filter(|line| !line.is_empty()).map(|line| {
        line.strip_prefix("WARNING: Tracer discarded ")
            .and_then(|rest| rest.split(' ').next()?.parse::<u64>().ok())
            .unwrap_or_else(|| panic!("babeltrace2 complains:\n{stderr}"))
    });
    let lost = lost.sum();
    (super::stdout(&output).lines().count(), lost)
}
