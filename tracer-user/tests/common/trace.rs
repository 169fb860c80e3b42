//! Recorded traces, read by both readers.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::common::recording::TRACER;

/// A trace as both readers see it.
#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) events: Vec<Event>,
    /// Missing events, according to the trace.
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
    /// What fields with names are called.
    #[serde(default)]
    pub(crate) names: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Record {
    Event(Event),
    Loss { events_dropped: u64 },
}

impl Trace {
    /// Reads it with `tracer report` and babeltrace2. Neither may complain, and both must agree on
    /// the events and the losses.
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

    /// Reads a folder of chunks as [`read`](Self::read) does, and each of them alone. None
    /// may be open, and what the chunks have is what the folder has.
    pub(crate) fn read_chunks(dir: &Path) -> Self {
        let trace = Self::read(dir);
        let mut chunks = chunks(dir);
        chunks.retain(|chunk| !is_unborn(chunk));
        let (complete, open): (Vec<_>, Vec<_>) =
            chunks.iter().partition(|chunk| is_complete(chunk));
        assert_eq!(open, Vec::<&PathBuf>::new(), "chunks that are not complete");
        let mut sums = (0, 0);
        for chunk in complete {
            let alone = Self::report(chunk);
            // babeltrace2 warns that there may have been losses before.
            let (events, _) = babeltrace_with(chunk, &[MAY_HAVE]);
            assert_eq!(alone.events.len(), events, "in {}", chunk.display());
            sums = (sums.0 + alone.events.len(), sums.1 + alone.lost);
        }
        assert_eq!(sums, (trace.events.len(), trace.lost), "in single chunks");
        trace
    }

    fn report(dir: &Path) -> Self {
        Self::parse(&report(dir, &["--json"]))
    }

    /// Reads what `tracer report --json` printed.
    pub(crate) fn parse(output: &str) -> Self {
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

/// The folders of the chunks of a trace, in their order.
pub(crate) fn chunks(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut chunks: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    chunks.sort();
    chunks
}

/// Whether a chunk is complete.
pub(crate) fn is_complete(chunk: &Path) -> bool {
    chunk.join("metadata").exists()
}

/// True for the folder of a chunk that a recorder was about to begin when it was killed: it
/// has no stream yet, and no reader looks at it.
fn is_unborn(chunk: &Path) -> bool {
    let mut entries = fs::read_dir(chunk).expect("a chunk");
    entries.all(|entry| entry.expect("an entry").file_name() == ".metadata.new")
}

/// The warning of babeltrace2 if the first packet of a stream has a loss.
const MAY_HAVE: &str = "WARNING: Tracer may have discarded events ";

/// The events that babeltrace2 reads, and those that it reports as missing. It must not
/// complain about anything else.
pub(crate) fn babeltrace(dir: &Path) -> (usize, u64) {
    babeltrace_with(dir, &[])
}

/// The same, but it may also print lines that start with these words.
fn babeltrace_with(dir: &Path, more: &[&str]) -> (usize, u64) {
    let output = Command::new("babeltrace2")
        .arg(dir)
        .output()
        .expect("`babeltrace2` must be installed to run this test (`apt install babeltrace2`)");
    let stderr = super::stderr(&output);
    assert!(output.status.success(), "babeltrace2 failed:\n{stderr}");
    let expected = |line: &str| line.is_empty() || more.iter().any(|more| line.starts_with(more));
    let lost = stderr.lines().filter(|line| !expected(line)).map(|line| {
        line.strip_prefix("WARNING: Tracer discarded ")
            .and_then(|rest| rest.split(' ').next()?.parse::<u64>().ok())
            .unwrap_or_else(|| panic!("babeltrace2 complains:\n{stderr}"))
    });
    let lost = lost.sum();
    let stdout = super::stdout(&output);
    // The state dump is not made of events that fired.
    let fired = stdout
        .lines()
        .filter(|line| !line.contains(" lttng_statedump_"));
    (fired.count(), lost)
}
