//! Resident memory of `tracer`, apart from its buffers.

use std::fs;

use anyhow::Result;
use serde_json::{Value, json};

use crate::bench::contender::Stage;
use crate::bench::measure;
use crate::bench::recorder::{Probe, Recorder};
use crate::bench::stats::Sample;

/// The kernel's name of a mapping of a BPF ring.
const RING_MAPPING: &str = "anon_inode:bpf-map";
/// Sub-buffers of a CPU by default: `--subbuf-count` and the one that is written, of
/// `--subbuf-size`.
const SUBBUF_BYTES: u64 = (4 + 1) << 20;
const MB: f64 = 1e6;

/// Memory of a recording at its largest, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Memory {
    /// All that was ever resident at once (`VmHWM`); the data of a ring counts twice in it,
    /// because it is mapped twice.
    peak: u64,
    /// The proportional share (`Pss`), in which each page counts once.
    proportional: u64,
    /// Resident pages of mappings that are no rings, in the sample with most of them.
    beside_rings: u64,
    subbufs: u64,
}

impl Memory {
    /// The rest, without rings and sub-buffers.
    pub(super) fn beside_buffers_mb(&self) -> Sample {
        let bytes = self.beside_rings.saturating_sub(self.subbufs);
        (self.beside_rings > 0)
            .then_some(bytes as f64 / MB)
            .into_iter()
            .collect()
    }

    pub(super) fn missing(&self) -> Option<String> {
        (self.beside_rings == 0)
            .then(|| "`/proc/PID/smaps` of the recorder can be read as root only".to_owned())
    }

    /// One line for people.
    pub(super) fn text(&self) -> String {
        format!(
            "memory of tracer: at most {:.1} MB resident (pages of rings count twice), {:.1} MB \
             as a share, {:.1} MB without rings, of which {:.1} MB are sub-buffers\n",
            self.peak as f64 / MB,
            self.proportional as f64 / MB,
            self.beside_rings as f64 / MB,
            self.subbufs as f64 / MB,
        )
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "peak_bytes": self.peak,
            "proportional_bytes": self.proportional,
            "beside_rings_bytes": self.beside_rings,
            "subbufs_bytes": self.subbufs,
        })
    }
}

/// Records the loop once more and looks at the recorder again and again. This disturbs it,
/// which is why no other figure comes from this run.
pub(super) fn measure(stage: &Stage<'_>) -> Result<Memory> {
    let mut command = Recorder::Tracer.record(
        stage.tracer,
        &Probe::RawEnter.wanted(),
        &Recorder::Tracer.output(stage.folder),
        &stage.workload(stage.count),
    );
    let mut memory = Memory {
        subbufs: SUBBUF_BYTES * online_cpus(),
        ..Memory::default()
    };
    let look = |pid| {
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}"));
        // Before it has become the recorder, or when it has just ended, there is nothing to see.
        let (Ok(status), Ok(maps)) = (read("status"), read("smaps")) else {
            return;
        };
        memory.peak = memory.peak.max(field(&status, "VmHWM"));
        memory.proportional = memory.proportional.max(field(&maps, "Pss"));
        memory.beside_rings = memory.beside_rings.max(outside_rings(&maps));
    };
    measure::run(&mut command, stage.folder, look)?.checked(&command)?;
    Ok(memory)
}

/// The sum of a field of a file of `NAME: N kB` lines, in bytes.
fn field(text: &str, name: &str) -> u64 {
    text.lines()
        .filter_map(|line| kilobytes(line, name))
        .sum::<u64>()
        * 1024
}

fn kilobytes(line: &str, name: &str) -> Option<u64> {
    let rest = line.strip_prefix(name)?.strip_prefix(':')?;
    rest.trim().strip_suffix(" kB")?.trim().parse().ok()
}

/// Resident bytes of all mappings that are no BPF rings.
fn outside_rings(smaps: &str) -> u64 {
    let mut is_ring = false;
    let mut resident = 0;
    for line in smaps.lines() {
        if line
            .split_whitespace()
            .next()
            .is_some_and(|word| !word.ends_with(':'))
        {
            is_ring = line.ends_with(RING_MAPPING);
        } else if !is_ring {
            resident += kilobytes(line, "Rss").unwrap_or(0);
        }
    }
    resident * 1024
}

fn online_cpus() -> u64 {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS: &str = "7f00-7f10 rw-s 00000000 00:0f 1   anon_inode:bpf-map\n\
        Size:               8196 kB\nRss:                8000 kB\nPss:                4000 kB\n\
        7f20-7f30 rw-p 00000000 00:00 0 \n\
        Rss:                 300 kB\nPss:                 200 kB\n";

    #[test]
    fn rings_are_left_out() {
        assert_eq!(outside_rings(SMAPS), 300 * 1024);
    }

    #[test]
    fn fields_are_added_up() {
        assert_eq!(field(SMAPS, "Pss"), 4200 * 1024);
    }
}
