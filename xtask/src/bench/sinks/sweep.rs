//! Which sub-buffers to use: every size with every count, into files.

use std::fmt::Write as _;

use anyhow::Result;
use serde_json::{Value, json};

use crate::bench::sinks::load::{Shape, Sink, Stage};
use crate::bench::stats::Sample;

const SIZES: [u64; 6] = [64 << 10, 128 << 10, 256 << 10, 512 << 10, 1 << 20, 2 << 20];
const COUNTS: [u32; 4] = [2, 4, 8, 16];
const SINKS: [Sink; 2] = [Sink::Splice, Sink::Direct];

/// There are many cells: fewer rounds than else, of less data.
const FEWER: u32 = 3;

struct Cell {
    sink: Sink,
    shape: Shape,
    cpu: Sample,
    rate: Sample,
}

/// Measures, prints a table per sink, and returns all figures.
pub(super) fn run(stage: &Stage<'_>, runs: u32) -> Result<Value> {
    let runs = runs.div_ceil(FEWER);
    let stage = Stage {
        bytes: stage.bytes / u64::from(FEWER),
        ..*stage
    };
    let mut cells = Vec::new();
    for sink in SINKS {
        for bytes in SIZES {
            cells.extend(COUNTS.map(|count| Cell {
                sink,
                shape: Shape { bytes, count },
                cpu: Sample::default(),
                rate: Sample::default(),
            }));
        }
    }
    for round in 0..runs as usize {
        eprintln!("xtask: round {} of {runs} of the sweep", round + 1);
        // Neighbours that are far from each other, so that a slow moment is not a slow row.
        for turn in 0..cells.len() {
            let len = cells.len();
            let cell = &mut cells[(turn * 7 + round) % len];
            let load = stage.run(cell.sink, cell.shape)?;
            cell.cpu.push(load.sink_cpu());
            cell.rate.push(load.arrived_rate());
        }
    }
    for sink in SINKS {
        print!("{}", table(&cells, sink, runs));
    }
    Ok(cells.iter().map(Cell::json).collect())
}

impl Cell {
    fn json(&self) -> Value {
        json!({
            "sink": self.sink.name(),
            "sub_buffer_bytes": self.shape.bytes,
            "count": self.shape.count,
            "sink_cpu_s_per_gb": self.cpu.json(),
            "arrived_gb_per_s": self.rate.json(),
        })
    }
}

fn table(cells: &[Cell], sink: Sink, runs: u32) -> String {
    let mut text = format!(
        "\n{}: GB/s arrived, CPU s/GB of the feeding thread; medians of {runs} rounds\n{:>10}",
        sink.name(),
        "size"
    );
    // Writing to a string cannot fail.
    for count in COUNTS {
        let _ = write!(text, "{:>16}", format!("{count} of them"));
    }
    for bytes in SIZES {
        let _ = write!(text, "\n{:>10}", format!("{} KiB", bytes >> 10));
        for count in COUNTS {
            let shape = Shape { bytes, count };
            let of_this = |cell: &&Cell| cell.sink == sink && cell.shape == shape;
            if let Some(cell) = cells.iter().find(of_this) {
                let (rate, cpu) = (cell.rate.median(), cell.cpu.median());
                let _ = write!(text, "{:>16}", format!("{rate:.2}, {cpu:.3}"));
            }
        }
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_has_its_turn_and_place() {
        let all = SIZES.len() * COUNTS.len() * SINKS.len();
        let turns: std::collections::BTreeSet<_> = (0..all).map(|turn| turn * 7 % all).collect();
        assert_eq!(turns.len(), all);
        let cell = Cell {
            sink: Sink::Direct,
            shape: Shape {
                bytes: 1 << 20,
                count: 4,
            },
            cpu: [0.25].into_iter().collect(),
            rate: [1.5].into_iter().collect(),
        };
        let text = table(&[cell], Sink::Direct, 1);
        let row = text.lines().find(|line| line.contains("1024 KiB"));
        assert_eq!(row.unwrap().trim(), "1024 KiB     1.50, 0.250");
    }
}
