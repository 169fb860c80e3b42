//! The kernel's monotonic clock, which a time namespace shifts for its processes.

use std::fs;
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::OnceLock;

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};

use crate::record::namespace::{is_initial, name, programs};
use crate::sys::bpf;

/// Number of measurements; the shortest is used.
const MEASUREMENTS: usize = 8;

/// What the offset is measured in first: `1 << COARSE_BITS` nanoseconds, of which 31 bits
/// cover 73 years.
const COARSE_BITS: u64 = 30;

static OFFSET_NS: OnceLock<i64> = OnceLock::new();

/// Finds the offset of the time namespace of this process, if it has one.
///
/// # Errors
/// If the kernel's clock cannot be read.
pub(in crate::record) fn find_offset() -> Result<()> {
    if OFFSET_NS.get().is_none() {
        let offset = offset_ns()?;
        OFFSET_NS.get_or_init(|| offset);
    }
    Ok(())
}

/// `CLOCK_MONOTONIC` of the initial time namespace in nanoseconds, the clock of all events.
pub(in crate::record) fn kernel_monotonic_ns() -> u64 {
    let offset = OFFSET_NS.get().copied().unwrap_or(0);
    own_monotonic_ns().wrapping_add_signed(offset)
}

fn own_monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    // Negative if the offset of the namespace is.
    (now.tv_sec * 1_000_000_000 + now.tv_nsec) as u64
}

/// What is added to the clock of this process.
fn offset_ns() -> Result<i64> {
    // Without the file, the kernel has no time namespaces, or `/proc` is not there.
    let Some(name) = name("time").filter(|name| !is_initial("time", name)) else {
        return Ok(0);
    };
    let measure = || {
        let program = programs::time_since()?;
        let mut best = measure(program.as_fd())?;
        for _ in 1..MEASUREMENTS {
            let next = measure(program.as_fd())?;
            if next.end() - next.start() < best.end() - best.start() {
                best = next;
            }
        }
        Ok::<_, anyhow::Error>(best)
    };
    let measured = measure()
        .with_context(|| format!("cannot read the kernel's clock in time namespace `{name}`"))?;
    let listed = fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
    Ok(choose(&measured, parse_offset(&listed)))
}

/// The offset is between these two.
fn measure(program: BorrowedFd<'_>) -> Result<RangeInclusive<i64>> {
    let before = own_monotonic_ns();
    let coarse = bpf::run_raw(program, &[before, COARSE_BITS])? as i32;
    let coarse = i64::from(coarse) << COARSE_BITS;
    let before = own_monotonic_ns();
    let base = before.wrapping_add_signed(coarse);
    let fine = i64::from(bpf::run_raw(program, &[base, 0])?);
    let after = own_monotonic_ns();
    let highest = coarse + fine;
    Ok(highest - (after - before) as i64..=highest)
}

/// The exact offset, if it agrees with the measured one: the file has the offsets for children,
/// which differ after `unshare(2)`.
fn choose(measured: &RangeInclusive<i64>, listed: Option<i64>) -> i64 {
    let middle = measured.start() + (measured.end() - measured.start()) / 2;
    listed
        .filter(|offset| measured.contains(offset))
        .unwrap_or(middle)
}

/// Reads `monotonic SECONDS NANOSECONDS` of `timens_offsets` (`time_namespaces(7)`), which the
/// kernel adds to its clock.
fn parse_offset(text: &str) -> Option<i64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("monotonic"))?;
    let mut numbers = line.split_ascii_whitespace().map(str::parse::<i64>);
    let (seconds, nanoseconds) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    Some(-(seconds * 1_000_000_000 + nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_of_a_namespace_is_taken_back() {
        let text = "monotonic           -100         5\nboottime             7         0\n";
        assert_eq!(parse_offset(text), Some(99_999_999_995));
        assert_eq!(parse_offset("boottime 7 0\n"), None);
        assert_eq!(parse_offset(""), None);
    }

    #[test]
    fn the_listed_offset_counts_if_it_was_measured() {
        assert_eq!(choose(&(90..=110), Some(104)), 104);
        assert_eq!(choose(&(90..=110), Some(111)), 100);
        assert_eq!(choose(&(90..=110), None), 100);
    }
}
