//! Programs that were written for LTTng's kernel traces (lttng-analyses) find in ours what they
//! look for, and their figures are right. Needs root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::common::recording::{Recorder, Recording, printed, work};
use crate::common::trace::Trace;

/// Everything that these programs look at.
const PROBES: &str = "sched:*,syscall:*,irq:*,block:*,net:*,timer:*,kmem:mm_page_*,\
                      writeback:writeback_pages_written";
/// Calls of getppid.
const CALLS: u64 = 20_000;
/// Rounds of two threads that wake each other.
const ROUNDS: u64 = 500;
/// Bytes that are written to a file, and from there to a disk.
const WRITTEN: u64 = 1 << 20;
const SECTOR: u64 = 512;
/// Not only the first ten rows.
const ALL: [&str; 2] = ["--limit", "100000"];

/// What was recorded, and the folder of the trace.
struct Recorded {
    recording: Recording,
    trace: Trace,
    folder: PathBuf,
}

impl Recorded {
    /// A thread that called getppid, two that woke each other, and a file that was written.
    fn new() -> Self {
        let work = work();
        let script = format!(
            "{work} --cpu 0 getppid {CALLS} >getppid; {work} --cpu 0 switch {ROUNDS} >switch
             dd if=/dev/zero of=written bs=64k count=16 conv=fsync status=none"
        );
        let recording = Recorder::on_disk(&["--buffer-size", "64M", "-e", PROBES])
            .command(["sh", "-ec", &script])
            .run();
        let trace = recording.trace();
        assert_eq!(trace.lost, 0);
        // They take a trace for one of a kernel by the name of its folder.
        let folder = recording.folder().join("kernel");
        fs::rename(recording.trace_dir(), &folder).unwrap();
        Self {
            recording,
            trace,
            folder,
        }
    }

    /// What the workload printed into a file.
    fn output(&self, name: &str) -> String {
        fs::read_to_string(self.recording.folder().join(name)).unwrap()
    }

    /// Runs an analysis, which must have nothing to complain about.
    fn run(&self, program: &str, args: &[&str]) -> String {
        let mut command = Command::new(program);
        let output = command.args(args).arg(&self.folder).output();
        let output = output.unwrap_or_else(|error| {
            panic!("`{program}` must be installed (`apt install python3-lttnganalyses`): {error}")
        });
        let (stdout, stderr) = (
            crate::common::stdout(&output),
            crate::common::stderr(&output),
        );
        assert!(output.status.success(), "{program}: {stdout}{stderr}");
        assert_eq!(stderr, "", "{program} complains");
        stdout
    }

    /// The tables that an analysis gives to programs.
    fn tables(&self, program: &str, args: &[&str]) -> Tables {
        let text = self.run(&format!("{program}-mi"), args);
        Tables::read(&text)
    }
}

/// Rows by table.
struct Tables {
    tables: Vec<(String, Vec<Value>)>,
    /// The time that was looked at, in nanoseconds.
    span_ns: u64,
}

impl Tables {
    fn read(text: &str) -> Self {
        let last = text.lines().last().expect("a line of results");
        let parsed: Value = serde_json::from_str(last).expect("JSON");
        let results = parsed["results"].as_array().expect("results");
        let name = |class: &Value| match class.as_str() {
            Some(name) => name.to_owned(),
            None => class["title"].as_str().expect("a title").to_owned(),
        };
        let rows = |table: &Value| table["data"].as_array().expect("rows").clone();
        let span = &results[0]["time-range"];
        Self {
            tables: results
                .iter()
                .map(|table| (name(&table["class"]), rows(table)))
                .collect(),
            span_ns: number(&span["end"]) - number(&span["begin"]),
        }
    }

    /// The rows of all tables whose name has this part.
    fn rows<'a>(&'a self, part: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
        let part = part.to_owned();
        let tables = self
            .tables
            .iter()
            .filter(move |(name, _)| name.contains(&part));
        tables.flat_map(|(_, rows)| rows)
    }

    fn row(&self, part: &str, is_wanted: impl Fn(&Value) -> bool) -> &Value {
        let row = self.rows(part).find(|row| is_wanted(row));
        row.unwrap_or_else(|| panic!("no such row in `{part}`: {:?}", self.tables))
    }
}

/// The number in a cell.
fn number(cell: &Value) -> u64 {
    cell["value"].as_u64().unwrap_or_else(|| panic!("{cell}"))
}

fn has_tid(row: &Value, tid: u32) -> bool {
    row[0]["tid"] == tid
}

#[test]
fn analyses_of_lttng_traces_have_the_right_figures() {
    let recorded = Recorded::new();
    calls_are_counted(&recorded);
    time_on_a_cpu_is_measured(&recorded);
    wake_ups_are_seen(&recorded);
    bytes_are_counted(&recorded);
    interrupts_are_counted(&recorded);
    // That nothing is missing was checked before.
    let args = ["--no-progress", "--skip-validation"];
    for program in [
        "cputop",
        "schedlog",
        "schedtop",
        "schedstats",
        "iousagetop",
        "iolog",
        "iolatencystats",
        "syscallstats",
        "irqstats",
        "irqlog",
        "memtop",
    ] {
        recorded.run(&format!("lttng-{program}"), &args);
    }
}

/// Also over switches to the recorder and back.
fn calls_are_counted(recorded: &Recorded) {
    let pid = printed(&recorded.output("getppid"), "pid");
    let tables = recorded.tables("lttng-syscallstats", &[]);
    let of_thread = format!("TID: {pid})");
    let calls = tables.row(&of_thread, |row| row[0]["name"] == "getppid");
    // The C library and the dynamic loader do not ask for the parent.
    assert_eq!(number(&calls[1]), CALLS);
}

fn time_on_a_cpu_is_measured(recorded: &Recorded) {
    let output = recorded.output("getppid");
    let pid = printed(&output, "pid");
    let used_ns = f64::from(printed(&output, "process_cpu_ns"));
    let tables = recorded.tables("lttng-cputop", &ALL);
    let row = tables.row("per-process", |row| has_tid(row, pid));
    let share = row[3]["value"].as_f64().unwrap();
    let on_cpu_ns = share * tables.span_ns as f64;
    assert!(on_cpu_ns > 0.8 * used_ns, "{on_cpu_ns} of {used_ns} ns");
    assert!(share < 1.0, "{share}");
}

fn wake_ups_are_seen(recorded: &Recorded) {
    let other = printed(&recorded.output("switch"), "other");
    let tables = recorded.tables("lttng-schedstats", &[]);
    let row = tables.row("per_tid_stats", |row| has_tid(row, other));
    let switches = recorded.trace.of("sched_switch");
    let to_other =
        |event: &&crate::common::trace::Event| event.number("next_tid") == i64::from(other);
    let switches = switches.filter(to_other).count() as u64;
    let seen = number(&row[1]);
    // The other thread sleeps in each round, but when it was too late to.
    assert!(
        (ROUNDS / 2..=switches).contains(&seen),
        "{seen} of {switches}"
    );
}

fn bytes_are_counted(recorded: &Recorded) {
    let tables = recorded.tables("lttng-iousagetop", &ALL);
    let file = tables.row("operations [written]", |row| row[0]["path"] == "written");
    assert_eq!(number(&file[1]), WRITTEN);
    let sectors = tables
        .rows("per-disk-top-sector")
        .map(|row| number(&row[1]));
    assert!(sectors.sum::<u64>() >= WRITTEN / SECTOR);
    // From the state dump.
    for row in tables.rows("per-disk-top-sector") {
        let name = row[0]["name"].as_str().unwrap();
        assert!(Path::new("/sys/block").join(name).exists(), "{name}");
    }
}

fn interrupts_are_counted(recorded: &Recorded) {
    let tables = recorded.tables("lttng-irqstats", &[]);
    let counted: u64 = tables.rows("hard-stats").map(|row| number(&row[1])).sum();
    let ended = recorded.trace.of("irq_handler_exit").count() as u64;
    // Nothing is known of a call that was in progress on a CPU at the start.
    let cpus = recorded.trace.events.iter().map(|event| event.cpu).max();
    let unknown = u64::from(cpus.unwrap()) + 1;
    assert!(
        (ended.saturating_sub(unknown)..=ended).contains(&counted),
        "{counted} of {ended}"
    );
}
