//! `bench event`: every recorder with every event, in rounds, and the targets; then
//! [kinds of probes](kinds).

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::bench::contender::{Contender, Figures, Stage};
use crate::bench::memory::{self, Memory};
use crate::bench::recorder::{self, Probe, Recorder};
use crate::bench::stats::Sample;
use crate::bench::{Args, kinds, machine, table, verdict};
use crate::build::{self, Profile, Show};
use crate::{privilege, workspace};

/// All contenders, in the order of the table.
const CONTENDERS: [Contender; 6] = {
    const fn of(recorder: Recorder, probe: Probe) -> Contender {
        Contender { recorder, probe }
    }
    [
        of(Recorder::Tracer, Probe::RawEnter),
        of(Recorder::TraceCmd, Probe::RawEnter),
        of(Recorder::Perf, Probe::RawEnter),
        of(Recorder::Tracer, Probe::TypedEnter),
        of(Recorder::TraceCmd, Probe::TypedEnter),
        of(Recorder::Perf, Probe::TypedEnter),
    ]
};

/// Runs of a contender in a round before it counts as absent: what others do on the machine
/// can make one fail.
pub(super) const ATTEMPTS: u32 = 3;

/// The results of a contender in all rounds.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) contender: Contender,
    /// Added to a call in the median part of the loop, in nanoseconds of the looping thread's
    /// CPU time; one per round.
    pub(super) added_ns: Sample,
    /// The same of the whole loop.
    pub(super) added_mean_ns: Sample,
    /// The same by the clock.
    pub(super) added_wall_ns: Sample,
    pub(super) recorder_ns: Sample,
    pub(super) event_bytes: Sample,
    pub(super) lost: u64,
    pub(super) surplus: u64,
    pub(super) peak_bytes: u64,
    /// Why it takes part no more.
    pub(super) absent: Option<String>,
}

/// Everything that was measured.
#[derive(Debug)]
pub(super) struct Results {
    pub(super) count: u64,
    pub(super) untraced_ns: Sample,
    pub(super) rows: Vec<Row>,
    pub(super) memory: Memory,
}

impl Results {
    pub(super) fn row(&self, recorder: Recorder, probe: Probe) -> Option<&Row> {
        self.rows
            .iter()
            .find(|row| row.contender == Contender { recorder, probe })
            .filter(|row| row.absent.is_none())
    }
}

/// Measures, prints the table and the verdicts, and returns all figures.
pub(super) fn run(args: &Args) -> Result<Value> {
    let tracer = build::everything(Profile::Release, Show::Progress)?;
    let work = build::work(Show::Progress)?;
    anyhow::ensure!(
        privilege::is_root() || privilege::has_silent_sudo(),
        "recording needs root, or sudo without a password (`sudo -v` beforehand)"
    );
    // Beside the build and not in /tmp: that may be memory, and all must write to a disk.
    let folder = tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(workspace::target_dir())
        .context("cannot create a folder for the traces")?;
    recorder::prepare(folder.path())?;
    let stage = Stage {
        tracer: &tracer,
        work: &work,
        folder: folder.path(),
        cpu: args.cpu,
        count: args.count,
    };
    println!("{}", machine::describe());
    println!(
        "getppid(2) loop of {} calls on CPU {}, {} rounds; buffers of {} MiB per CPU",
        stage.count,
        stage.cpu,
        args.runs,
        recorder::BUFFER_MIB
    );
    let results = measure(&stage, args.runs)?;
    print!("{}", table::of(&results));
    let verdicts = verdict::of(&results);
    print!("{}", verdict::text(&verdicts));
    print!("{}", table::compact_header(&results));
    let kinds = kinds::run(&stage, args.runs)?;
    Ok(json!({
        "kinds": kinds,
        "machine": machine::describe(),
        "count": results.count,
        "untraced_ns": results.untraced_ns.json(),
        "rows": results.rows.iter().map(Row::json).collect::<Vec<_>>(),
        "memory": results.memory.json(),
        "verdicts": verdicts.iter().map(verdict::Verdict::json).collect::<Vec<_>>(),
    }))
}

fn measure(stage: &Stage<'_>, runs: u32) -> Result<Results> {
    let mut rows: Vec<Row> = CONTENDERS.map(Row::new).into();
    let mut untraced_ns = Sample::default();
    for round in 0..runs as usize {
        eprintln!(
            "xtask: round {} of {runs}, load {:.1}",
            round + 1,
            machine::load().unwrap_or_default()
        );
        // Each round begins with another one, so that none always follows the same.
        for turn in 0..rows.len() {
            let at = (round + turn) % rows.len();
            if let Some(measured) = rows[at].run(stage) {
                untraced_ns.push(measured.untraced(|of| of.median_cpu_ns));
                rows[at].add(&measured);
            }
        }
    }
    Ok(Results {
        count: stage.count,
        untraced_ns,
        rows,
        memory: memory::measure(stage)?,
    })
}

impl Row {
    fn new(contender: Contender) -> Self {
        Self {
            contender,
            added_ns: Sample::default(),
            added_mean_ns: Sample::default(),
            added_wall_ns: Sample::default(),
            recorder_ns: Sample::default(),
            event_bytes: Sample::default(),
            lost: 0,
            surplus: 0,
            peak_bytes: 0,
            absent: contender
                .recorder
                .ensure()
                .err()
                .map(|error| format!("{error:#}")),
        }
    }

    /// One run; a contender that fails again and again takes part no more, and the table
    /// says why.
    fn run(&mut self, stage: &Stage<'_>) -> Option<Figures> {
        for attempt in 1..=ATTEMPTS {
            if self.absent.is_some() {
                return None;
            }
            match self.contender.run(stage) {
                Ok(figures) => return Some(figures),
                Err(error) if attempt < ATTEMPTS => {
                    let name = self.contender.recorder.name();
                    eprintln!("xtask: {name} failed and is tried again: {error:#}");
                }
                Err(error) => self.absent = Some(format!("{error:#}")),
            }
        }
        None
    }

    fn add(&mut self, figures: &Figures) {
        self.added_ns.push(figures.added(|of| of.median_cpu_ns));
        self.added_mean_ns.push(figures.added(|of| of.cpu_ns));
        self.added_wall_ns.push(figures.added(|of| of.wall_ns));
        self.recorder_ns.push(figures.recorder_ns);
        self.event_bytes.push(figures.event_bytes);
        self.lost += figures.lost;
        self.surplus += figures.surplus;
        self.peak_bytes = self.peak_bytes.max(figures.peak_bytes);
    }

    fn json(&self) -> Value {
        json!({
            "recorder": self.contender.recorder.name(),
            "event": self.contender.probe.name(),
            "added_ns": self.added_ns.json(),
            "added_mean_ns": self.added_mean_ns.json(),
            "added_wall_ns": self.added_wall_ns.json(),
            "recorder_ns_per_event": self.recorder_ns.json(),
            "bytes_per_event": self.event_bytes.json(),
            "lost": self.lost,
            "recorded_twice": self.surplus,
            "peak_bytes": self.peak_bytes,
            "absent": self.absent,
        })
    }
}
