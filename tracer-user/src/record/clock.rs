//! The clock of all timestamps.

use crate::record::namespace::clock::kernel_monotonic_ns;

/// `CLOCK_MONOTONIC` of the kernel in nanoseconds, without the offset of a time namespace.
pub(crate) fn monotonic_ns() -> u64 {
    kernel_monotonic_ns()
}
