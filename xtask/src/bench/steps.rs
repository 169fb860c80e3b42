//! `bench where`: what each step of recording an event adds to a system call.
//!
//! Every variant is the shipped recorder, made to stop at another step: the difference
//! between two of them is what lies between their steps.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::bench::contender::{Loop, Stage};
use crate::bench::recorder::{Recorder, bytes_of, privileged};
use crate::bench::stats::Sample;
use crate::bench::{Args, machine, measure};
use crate::build::{self, Profile, Show};
use crate::{privilege, workspace};

/// The recorder, with the step at which it stops handling an event of the loop.
struct Variant {
    name: &'static str,
    /// The step that it adds to the one that it is compared with.
    step: &'static str,
    /// The variant that it goes one step further than; none: the untraced loop.
    beyond: Option<usize>,
    args: fn(cpu: u32) -> Vec<String>,
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

const RAW: [&str; 2] = ["-e", "raw_syscalls:sys_enter"];
/// A process that makes no system call while the loop runs: it is the kernel's own.
const ANOTHER_PROCESS: &str = "2";
/// A call that the loop does not make.
const ANOTHER_CALL: [&str; 2] = ["-e", "syscalls:sys_enter_acct"];

const VARIANTS: &[Variant] = &[
    Variant {
        name: "another CPU is recorded",
        step: "slow path of the call, enter a program, state of the CPU",
        beyond: None,
        args: |cpu| [words(&RAW), words(&["-C", &another_cpu(cpu).to_string()])].concat(),
    },
    Variant {
        name: "another call is recorded",
        step: "process and thread, excluded process, row of the call",
        beyond: Some(0),
        args: |_| words(&ANOTHER_CALL),
    },
    Variant {
        name: "another process is recorded",
        step: "process and thread, excluded process, two look-ups of them",
        beyond: Some(0),
        args: |_| [words(&RAW), words(&["-p", ANOTHER_PROCESS])].concat(),
    },
    Variant {
        name: "call by name, all of it",
        step: "clock, look-up of the ring, reserve, header, submit, the reader's share",
        beyond: Some(1),
        args: |_| words(&["-e", "syscalls:sys_enter_getppid"]),
    },
    Variant {
        name: "raw call, all of it",
        step: "the same without the row of the call, with number and six arguments",
        beyond: Some(1),
        args: |_| words(&RAW),
    },
    Variant {
        name: "raw call, buffer of 64 KiB",
        step: "waking the reader every 186 events in place of every 2979",
        beyond: Some(4),
        args: |_| [words(&RAW), words(&["--buffer-size", "64K"])].concat(),
    },
];

/// Measures and prints the steps.
pub(super) fn run(args: &Args) -> Result<Value> {
    let tracer = build::everything(Profile::Release, Show::Progress)?;
    let work = build::work(Show::Progress)?;
    ensure!(
        privilege::is_root() || privilege::has_silent_sudo(),
        "recording needs root, or sudo without a password (`sudo -v` beforehand)"
    );
    ensure!(
        another_cpu(args.cpu) != args.cpu,
        "this machine has a single CPU, and one step needs another to record"
    );
    let folder = tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(workspace::target_dir())
        .context("cannot create a folder for the traces")?;
    let stage = Stage {
        tracer: &tracer,
        work: &work,
        folder: folder.path(),
        cpu: args.cpu,
        count: args.count,
    };
    println!("{}", machine::describe());
    let (untraced, added) = measure(&stage, args.runs)?;
    print(&untraced, &added);
    let variants: Vec<_> = VARIANTS
        .iter()
        .zip(&added)
        .map(|(variant, added)| json!({ "name": variant.name, "added_ns": added.json() }))
        .collect();
    Ok(json!({ "untraced_ns": untraced.json(), "variants": variants }))
}

/// The untraced loop, and what each variant adds to it.
fn measure(stage: &Stage<'_>, runs: u32) -> Result<(Sample, Vec<Sample>)> {
    let mut untraced = Sample::default();
    let mut added = vec![Sample::default(); VARIANTS.len()];
    for round in 0..runs as usize {
        eprintln!("xtask: round {} of {runs}", round + 1);
        let before = stage.untraced()?.median_cpu_ns;
        let mut traced = Vec::new();
        for turn in 0..VARIANTS.len() {
            let at = (round + turn) % VARIANTS.len();
            traced.push((at, record(stage, &VARIANTS[at])?.median_cpu_ns));
        }
        let base = f64::midpoint(before, stage.untraced()?.median_cpu_ns);
        untraced.push(base);
        for (at, ns) in traced {
            added[at].push(ns - base);
        }
    }
    Ok((untraced, added))
}

fn record(stage: &Stage<'_>, variant: &Variant) -> Result<Loop> {
    let output = Recorder::Tracer.output(stage.folder);
    let mut command: Command = privileged(stage.tracer);
    command
        .args(["record", "--force"])
        .args((variant.args)(stage.cpu))
        .arg("-o")
        .arg(&output)
        .arg("--")
        .args(stage.workload(stage.count));
    let finished = measure::run(&mut command, stage.folder, |_| {})?.checked(&command)?;
    // A recording that could not be written would show another cost.
    bytes_of(&output)?;
    Loop::parse(&finished.stdout)
}

fn print(untraced: &Sample, added: &[Sample]) {
    println!("untraced: {untraced:.1} ns per call; added to it, median (smallest..largest):\n");
    println!(
        "{:28} {:>22} {:>10}  for",
        "the recorder, when", "ns per call", "step"
    );
    for (variant, sample) in VARIANTS.iter().zip(added) {
        let before = variant.beyond.map_or(0.0, |at| added[at].median());
        println!(
            "{:28} {:>22} {:>10.1}  {}",
            variant.name,
            format!("{sample:.1}"),
            sample.median() - before,
            variant.step
        );
    }
}

/// A CPU beside the one that the loop is pinned to.
fn another_cpu(cpu: u32) -> u32 {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u32;
    (cpu + 1) % cpus
}
