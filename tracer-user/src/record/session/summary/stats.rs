//! What `--stats` adds to the summary: sub-buffers and their pages.

use std::fmt::{Result, Write};

use crate::record::session::progress::{grouped, short};
use crate::record::session::streams::FinishedStream;
use crate::record::size::Size;
use crate::sys::page_size;

/// Writes a line for each stream, with sub-buffers of `run_bytes`.
pub(super) fn write(out: &mut String, streams: &[FinishedStream], run_bytes: usize) -> Result {
    let pages = (run_bytes / page_size()) as u64;
    for FinishedStream {
        cpu,
        drained,
        delivered,
    } in streams
    {
        let pool = &delivered.pool;
        writeln!(
            out,
            "CPU {cpu}: {} packets through {} sub-buffers of {}; pages: {} allocated, {} written; \
             {} waits for a free sub-buffer",
            grouped(drained.packets.packets),
            pool.existing,
            Size(run_bytes as u64),
            grouped(pool.allocated * pages),
            grouped(delivered.written.bytes / page_size() as u64),
            grouped(drained.waits),
        )?;
        let events = drained.packets.events;
        // With few events, most of the time is spent waiting for them.
        if events >= 10_000 {
            let drain_ns = drained.cpu_ns as f64 / events as f64;
            writeln!(
                out,
                "CPU {cpu}: CPU time per event: {drain_ns:.0} ns from ring to sub-buffer, {:.0} ns \
                 from there to the output; sustains up to {} events/s",
                delivered.cpu_ns as f64 / events as f64,
                short(1e9 / drain_ns),
            )?;
        }
        if pool.random_accesses > 0 {
            let accesses = grouped(pool.random_accesses);
            writeln!(out, "CPU {cpu}: {accesses} random accesses to pages")?;
        }
    }
    Ok(())
}
