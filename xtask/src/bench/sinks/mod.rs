//! `bench sinks`: what it costs to get packets from sub-buffers into each kind of sink.

mod load;
mod sweep;

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use self::load::{GIGABYTE, Load, Shape, Sink, Stage};
use crate::bench::machine;
use crate::bench::stats::Sample;
use crate::build::{self, Show};
use crate::workspace;

/// The sub-buffers of each case, as `tracer record` has them by default; the sweep shows what
/// other ones would do.
const SHAPE: Shape = Shape {
    bytes: 1 << 20,
    count: 4,
};

/// With `--quick`: enough for some packets of the largest size.
const QUICK_BYTES: u64 = 4 << 20;

/// Options of measuring sinks.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct SinkArgs {
    /// Sinks: data per run, in GB
    #[arg(long, value_name = "GB", default_value_t = 0.5)]
    gigabytes: f64,
    /// Sinks: also try other sizes and counts of sub-buffers
    #[arg(long)]
    sweep: bool,
    /// Sinks: folder for the files, on the disk to measure [default: that of the build]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Sinks: one round with next to no data, to see whether it works
    #[arg(long)]
    quick: bool,
}

/// All of it with next to no data: fails where something cannot be measured any more.
///
/// # Errors
/// As [`bench`](super::run).
pub fn try_out() -> Result<()> {
    let args = SinkArgs {
        sweep: true,
        quick: true,
        ..SinkArgs::default()
    };
    run(&args, 1).map(drop)
}

/// The results of a case in all rounds.
struct Row {
    sink: Sink,
    /// CPU seconds per GB of the thread that feeds the sink, of the one that fills
    /// sub-buffers, and of the process that reads.
    sink_cpu: Sample,
    fill_cpu: Sample,
    peer_cpu: Sample,
    /// GB/s until the last packet was taken, and until it has arrived.
    taken_rate: Sample,
    arrived_rate: Sample,
    /// The most bytes of a file that were in the page cache at its end.
    resident_bytes: u64,
    way: String,
}

/// Measures, prints the tables, and returns all figures.
pub(super) fn run(args: &SinkArgs, runs: u32) -> Result<Value> {
    let program = build::sink_load(Show::Progress)?;
    let dir = args.dir.clone().unwrap_or_else(workspace::target_dir);
    let folder = tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(&dir)
        .with_context(|| format!("cannot create a folder in `{}`", dir.display()))?;
    let (bytes, runs) = if args.quick {
        (QUICK_BYTES, 1)
    } else {
        ((args.gigabytes * GIGABYTE) as u64, runs)
    };
    let stage = Stage {
        program: &program,
        folder: folder.path(),
        bytes,
    };
    println!("{}", machine::describe());
    println!(
        "{:.3} GB in events of 80 bytes per run, {} sub-buffers of {} KiB, {runs} rounds",
        bytes as f64 / GIGABYTE,
        SHAPE.count,
        SHAPE.bytes >> 10,
    );
    let rows = measure(&stage, runs)?;
    print(&rows);
    let swept = args.sweep.then(|| sweep::run(&stage, runs)).transpose()?;
    Ok(json!({
        "machine": machine::describe(),
        "bytes": bytes,
        "rows": rows.iter().map(Row::json).collect::<Vec<_>>(),
        "sweep": swept,
    }))
}

fn measure(stage: &Stage<'_>, runs: u32) -> Result<Vec<Row>> {
    let mut rows = Sink::ALL.map(Row::new);
    for round in 0..runs as usize {
        eprintln!("xtask: round {} of {runs}", round + 1);
        // Each round begins with another one, so that none always follows the same.
        for turn in 0..rows.len() {
            let at = (round + turn) % rows.len();
            let load = stage.run(rows[at].sink, SHAPE)?;
            rows[at].add(&load);
        }
    }
    Ok(rows.into())
}

impl Row {
    fn new(sink: Sink) -> Self {
        Self {
            sink,
            sink_cpu: Sample::default(),
            fill_cpu: Sample::default(),
            peer_cpu: Sample::default(),
            taken_rate: Sample::default(),
            arrived_rate: Sample::default(),
            resident_bytes: 0,
            way: String::new(),
        }
    }

    fn add(&mut self, load: &Load) {
        self.sink_cpu.push(load.sink_cpu());
        self.fill_cpu.push(load.fill_cpu());
        self.peer_cpu.push(load.peer_cpu());
        self.taken_rate.push(load.taken_rate());
        self.arrived_rate.push(load.arrived_rate());
        self.resident_bytes = self.resident_bytes.max(load.resident_bytes);
        self.way.clone_from(&load.way);
    }

    fn json(&self) -> Value {
        json!({
            "sink": self.sink.name(),
            "way": self.way,
            "sink_cpu_s_per_gb": self.sink_cpu.json(),
            "fill_cpu_s_per_gb": self.fill_cpu.json(),
            "peer_cpu_s_per_gb": self.peer_cpu.json(),
            "taken_gb_per_s": self.taken_rate.json(),
            "arrived_gb_per_s": self.arrived_rate.json(),
            "resident_bytes": self.resident_bytes,
        })
    }
}

fn print(rows: &[Row]) {
    println!(
        "median (smallest..largest) of the rounds\n\n{:16} {:>22} {:>7} {:>20} {:>20} {:>16} \
         {:>16}  way",
        "sink",
        "CPU s/GB",
        "of copy",
        "GB/s taken",
        "GB/s arrived",
        "reader, CPU s/GB",
        "in page cache"
    );
    for row in rows {
        // The first one is the one to compare with.
        let ratios: Sample = row.sink_cpu.ratios(&rows[0].sink_cpu).collect();
        let peer = if row.sink.is_file() {
            "-".to_owned()
        } else {
            format!("{:.3}", row.peer_cpu.median())
        };
        let resident = if row.sink.is_file() {
            format!("{:.1} MB", row.resident_bytes as f64 / 1e6)
        } else {
            "-".to_owned()
        };
        println!(
            "{:16} {:>22} {:>7.2} {:>20} {:>20} {peer:>16} {resident:>16}  {}",
            row.sink.name(),
            format!("{:.3}", row.sink_cpu),
            ratios.median(),
            format!("{:.2}", row.taken_rate),
            format!("{:.2}", row.arrived_rate),
            row.way,
        );
    }
    let fill: Sample = rows.iter().map(|row| row.fill_cpu.median()).collect();
    println!(
        "\nCPU is the user and system time of the thread that feeds the sink. Apart from it are: \
         filling the\nsub-buffers ({:.3} s/GB); the reading process; what kernel threads do to \
         write the page cache back;\ninterrupts of the disk. Taken: until the sink has the last \
         packet. Arrived: until fdatasync has\nreturned, or the other process has read the end.",
        fill.median()
    );
}
