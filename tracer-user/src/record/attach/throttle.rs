//! Recording only some of the events of a class, and counting those that are dropped.

use std::os::fd::BorrowedFd;

use anyhow::{Context, Result};
use tracer_common::{LeftOut as Row, Throttle as Settings};

use crate::probe::ResolvedProbe;
use crate::record::attach::rate::Rate;
use crate::sys::bpf;

/// Which share of the events of a class is recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Throttle {
    /// Every Nth event on each CPU.
    pub every: Option<u32>,
    /// At most this rate on all CPUs together.
    pub limit: Option<Rate>,
}

/// Events of a class that a throttle dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// By [`Throttle::every`].
    pub by_every: u64,
    /// By [`Throttle::limit`].
    pub by_limit: u64,
}

impl Throttle {
    /// Whether it drops any events.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.limit.is_some() || self.every.is_some_and(|every| every > 1)
    }

    fn settings(&self) -> Settings {
        Settings {
            every: self.every.unwrap_or(0),
            limit: self.limit.map_or(0, |limit| limit.events),
            window_ns: self.limit.map_or(0, |limit| limit.per.as_nanos() as u64),
        }
    }
}

/// Whether some events of the probe are dropped on purpose.
pub(super) fn is_throttled(throttles: &[Throttle], probe: &ResolvedProbe) -> bool {
    let throttle = throttles.get(probe.class.id as usize);
    throttle.is_some_and(Throttle::is_active)
}

/// Passes the throttles to the programs, by class.
pub(super) fn fill(map: BorrowedFd<'_>, throttles: &[Throttle]) -> Result<()> {
    for (class, throttle) in (0u32..).zip(throttles) {
        if throttle.is_active() {
            let settings = throttle.settings();
            bpf::update(map, &class.to_ne_bytes(), bytemuck::bytes_of(&settings))
                .context("cannot set the limits on the number of events")?;
        }
    }
    Ok(())
}

/// Events dropped of each class with a throttle, on each of `cpu_count` possible CPUs.
pub(super) fn left_out(
    map: BorrowedFd<'_>,
    throttles: &[Throttle],
    cpu_count: u32,
) -> Result<Vec<(u32, Vec<LeftOut>)>> {
    (0u32..)
        .zip(throttles)
        .filter(|(_, throttle)| throttle.is_active())
        .map(|(class, _)| {
            let rows = bpf::lookup_per_cpu(map, class, size_of::<Row>(), cpu_count as usize)
                .context("cannot read the number of dropped events")?;
            Ok((
                class,
                rows.chunks_exact(size_of::<Row>()).map(read).collect(),
            ))
        })
        .collect()
}

fn read(row: &[u8]) -> LeftOut {
    let row: Row = bytemuck::pod_read_unaligned(row);
    LeftOut {
        by_every: row.by_every,
        by_limit: row.by_limit,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_throttle_is_encoded_as_programs_read_it() {
        let throttle = Throttle {
            every: Some(3),
            limit: Some(Rate {
                events: 5,
                per: Duration::from_nanos(7),
            }),
        };
        let settings = throttle.settings();
        let bytes = bytemuck::bytes_of(&settings);
        let numbers = [
            core::mem::offset_of!(Settings, every),
            core::mem::offset_of!(Settings, limit),
            core::mem::offset_of!(Settings, window_ns),
        ];
        assert_eq!(numbers.map(|at| bytes[at]), [3, 5, 7]);
    }

    #[test]
    fn recording_every_event_is_not_throttling() {
        let every = |every| Throttle { every, limit: None };
        let active = [None, Some(1), Some(2)].map(|number| every(number).is_active());
        assert_eq!(active, [false, false, true]);
    }
}
