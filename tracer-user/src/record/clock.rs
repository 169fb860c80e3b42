//! The clock of all timestamps.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::record::namespace::clock::kernel_monotonic_ns;

/// `CLOCK_MONOTONIC` of the kernel in nanoseconds, without the offset of a time namespace.
pub(crate) fn monotonic_ns() -> u64 {
    kernel_monotonic_ns()
}

/// How far the wall clock is ahead of [`monotonic_ns`], in nanoseconds. Constant, until the machine
/// is suspended or the wall clock is set.
pub(crate) fn wall_offset_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = since.map_or(0, |since| since.as_nanos() as u64);
    now.saturating_sub(monotonic_ns())
}
