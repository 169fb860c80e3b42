//! `cargo xtask bench`: what recording costs, measured beside the tools that people use now.
//!
//! - [`event`](Bench::Event): time, memory and bytes per event, with the targets beside them.
//! - [`where`](Bench::Where): which step of an event the time goes to.
//! - [`instructions`](Bench::Instructions): the same counted in instructions, in a virtual
//!   machine, so that it repeats; the test tier `vm` compares it with a committed file.
//! - [`probes`](Bench::Probes): kprobes, tracepoints, system calls and more counted so, beside
//!   perf and bpftrace.
//! - [`sinks`](Bench::Sinks): CPU time per GB from sub-buffers to files, pipes and sockets; the
//!   test tier `host` tries it out.
//! - [`startup`](Bench::Startup): the time until the first event is recorded.
//!
//! Others work on the machine while it is measured. So contenders take turns within each
//! round, time is the looping thread's own CPU time in the median part of the loop, and what is
//! judged is the median of the ratios within a round.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde_json::{Map, Value};

mod baseline;
mod contender;
mod count;
mod event;
pub mod instructions;
mod kinds;
mod machine;
mod measure;
mod memory;
mod probes;
mod recorder;
mod rounds;
pub mod sinks;
mod startup;
mod stats;
mod steps;
mod table;
mod verdict;

/// The benchmarks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Bench {
    /// Cost of an event with each tool, and the project's targets
    Event,
    /// Measure where the time of an event goes
    Where,
    /// Instructions per event in a virtual machine, compared with the committed ones
    Instructions,
    /// Instructions per event for each kind of probe, beside perf and bpftrace, in a virtual
    /// machine; takes minutes
    Probes,
    /// CPU time per GB from sub-buffers to each kind of sink
    Sinks,
    /// Time from starting the recorder to its first event
    Startup,
}

/// Options of a measurement.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Benchmark to run
    #[arg(value_enum, default_value = "event")]
    names: Vec<Bench>,
    /// Rounds; every contender runs once in each
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// System calls per run
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// CPU that the loop is pinned to
    #[arg(long, default_value_t = 0)]
    cpu: u32,
    /// Write all figures to this file, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the counted instructions to the file that is committed and compared with
    #[arg(long)]
    update: bool,
    #[command(flatten)]
    sinks: sinks::SinkArgs,
}

/// Measures what `args` names and prints it.
///
/// # Errors
/// If something that has to be measured cannot be. A target that is missed is a result.
pub fn run(args: &Args) -> Result<()> {
    let mut figures = Map::new();
    for name in &args.names {
        let (key, value) = match name {
            Bench::Event => ("event", event::run(args)?),
            Bench::Where => ("where", steps::run(args)?),
            Bench::Instructions => ("instructions", instructions::run(args.update)?),
            Bench::Probes => ("probes", probes::run()?),
            Bench::Sinks => ("sinks", sinks::run(&args.sinks, args.runs)?),
            Bench::Startup => ("startup", startup::run(args)?),
        };
        figures.insert(key.to_owned(), value);
    }
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&Value::Object(figures))?;
        fs::write(path, text + "\n")
            .with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(())
}
