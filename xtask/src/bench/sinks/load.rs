//! One run of the program that moves packets into a sink (`tracer-user/examples/sink_load.rs`).

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::bench::measure;

/// Bytes in a gigabyte, as disks are sold and links are named.
pub(super) const GIGABYTE: f64 = 1e9;

/// The destination of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sink {
    Copy,
    Splice,
    Direct,
    Pipe,
    Socket,
}

impl Sink {
    pub(super) const ALL: [Self; 5] = [
        Self::Copy,
        Self::Splice,
        Self::Direct,
        Self::Pipe,
        Self::Socket,
    ];

    /// For the table.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Copy => "file, write",
            Self::Splice => "file, splice",
            Self::Direct => "file, O_DIRECT",
            Self::Pipe => "pipe",
            Self::Socket => "loopback socket",
        }
    }

    pub(super) fn is_file(self) -> bool {
        matches!(self, Self::Copy | Self::Splice | Self::Direct)
    }

    /// Its name for the program.
    fn argument(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Splice => "splice",
            Self::Direct => "direct",
            Self::Pipe => "pipe",
            Self::Socket => "socket",
        }
    }
}

/// The sub-buffers of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Size of each in bytes.
    pub(super) bytes: u64,
    /// The writer's; the reader has one more.
    pub(super) count: u32,
}

/// The result of a run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Load {
    bytes: f64,
    wall_ns: f64,
    arrived_ns: f64,
    sink_cpu_ns: f64,
    fill_cpu_ns: f64,
    peer_cpu_ns: f64,
    pub(super) resident_bytes: u64,
    /// The way that packets took, and why not a better one.
    pub(super) way: String,
}

/// The program and the volume of each run.
#[derive(Debug)]
pub(super) struct Stage<'a> {
    pub(super) program: &'a Path,
    pub(super) folder: &'a Path,
    pub(super) bytes: u64,
}

impl Stage<'_> {
    pub(super) fn run(&self, sink: Sink, shape: Shape) -> Result<Load> {
        let packets = self.bytes.div_ceil(shape.bytes);
        let mut command = Command::new(self.program);
        command.arg(sink.argument()).args([
            shape.bytes.to_string(),
            shape.count.to_string(),
            packets.to_string(),
        ]);
        command.arg(self.folder.join("stream"));
        let finished = measure::run(&mut command, self.folder, |_| {})?.checked(&command)?;
        Load::parse(&finished.stdout)
    }
}

impl Load {
    /// Reads the line of names and values that the program prints.
    fn parse(output: &str) -> Result<Self> {
        let (numbers, way) = output
            .trim_end()
            .split_once(" way ")
            .with_context(|| format!("no result in: {output}"))?;
        let words: Vec<_> = numbers.split_whitespace().collect();
        let value = |name: &str| -> Result<u64> {
            let at = words.iter().position(|word| *word == name);
            at.and_then(|at| words.get(at + 1)?.parse().ok())
                .with_context(|| format!("no `{name}` in: {output}"))
        };
        let number = |name: &str| value(name).map(|value| value as f64);
        let load = Self {
            bytes: number("bytes")?,
            wall_ns: number("wall_ns")?,
            arrived_ns: number("arrived_ns")?,
            sink_cpu_ns: number("sink_cpu_ns")?,
            fill_cpu_ns: number("fill_cpu_ns")?,
            peer_cpu_ns: number("peer_cpu_ns")?,
            resident_bytes: value("resident_bytes")?,
            way: way.to_owned(),
        };
        ensure!(load.bytes > 0.0, "nothing was moved: {output}");
        Ok(load)
    }

    /// GB/s until the sink had taken the last packet.
    pub(super) fn taken_rate(&self) -> f64 {
        self.bytes / self.wall_ns
    }

    /// GB/s until all was on the disk, or read by the other process.
    pub(super) fn arrived_rate(&self) -> f64 {
        self.bytes / self.arrived_ns
    }

    /// CPU seconds per GB of the thread that feeds the sink.
    pub(super) fn sink_cpu(&self) -> f64 {
        self.sink_cpu_ns / self.bytes
    }

    /// The same of the thread that fills sub-buffers.
    pub(super) fn fill_cpu(&self) -> f64 {
        self.fill_cpu_ns / self.bytes
    }

    /// The same of the process that reads from the sink.
    pub(super) fn peer_cpu(&self) -> f64 {
        self.peer_cpu_ns / self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_of_the_program_is_parsed() {
        let line = "bytes 2000000000 wall_ns 1000000000 arrived_ns 4000000000 \
                    sink_cpu_ns 500000000 fill_cpu_ns 250000000 peer_cpu_ns 0 \
                    resident_bytes 4096 way copy: no better one\n";
        let load = Load::parse(line).unwrap();
        let figures = [
            load.taken_rate(),
            load.arrived_rate(),
            load.sink_cpu(),
            load.fill_cpu(),
        ];
        for (figure, expected) in figures.into_iter().zip([2.0, 0.5, 0.25, 0.125]) {
            assert!((figure - expected).abs() < 1e-9, "{figure}");
        }
        assert_eq!(
            (load.resident_bytes, &*load.way),
            (4096, "copy: no better one")
        );
    }

    #[test]
    fn another_output_is_an_error() {
        assert!(Load::parse("").is_err());
        assert!(Load::parse("bytes 1 way copy").is_err());
    }
}
