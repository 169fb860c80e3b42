//! What `--stats` tells: sub-buffers and their pages.

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
            "CPU {cpu}: {} packets through {} sub-buffers of {}: {} pages allocated for {} \
             written; waited {} times for a free one",
            grouped(drained.packets.packets),
            pool.existing,
            Size(run_bytes as u64),
            grouped(pool.allocated * pages),
            grouped(delivered.written.bytes / page_size() as u64),
            grouped(drained.waits),
        )?;
        let events = drained.packets.events;
        // Of few events the cost is that of waiting for them.
        if events >= 10_000 {
            let drain_ns = drained.cpu_ns as f64 / events as f64;
            writeln!(
                out,
                "CPU {cpu}: {drain_ns:.0} ns of CPU time per event from ring to sub-buffer, {:.0} \
                 from there: up to {} events/s can be kept up with",
                delivered.cpu_ns as f64 / events as f64,
                short(1e9 / drain_ns),
            )?;
        }
        if pool.random_accesses > 0 {
            let accesses = grouped(pool.random_accesses);
            writeln!(out, "CPU {cpu}: {accesses} accesses out of order")?;
        }
    }
    Ok(())
}
