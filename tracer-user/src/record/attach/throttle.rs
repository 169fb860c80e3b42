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
            bpf::update(map, &class.to_ne_bytes(), &bytes_of(&throttle.settings()))
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
    let number = |at: usize| {
        let bytes = row[at..].first_chunk();
        bytes.map_or(0, |bytes| u64::from_ne_bytes(*bytes))
    };
    LeftOut {
        by_every: number(core::mem::offset_of!(Row, by_every)),
        by_limit: number(core::mem::offset_of!(Row, by_limit)),
    }
}

fn bytes_of(settings: &Settings) -> [u8; size_of::<Settings>()] {
    let mut bytes = [0; size_of::<Settings>()];
    bytes[..4].copy_from_slice(&settings.every.to_ne_bytes());
    bytes[4..8].copy_from_slice(&settings.limit.to_ne_bytes());
    bytes[8..].copy_from_slice(&settings.window_ns.to_ne_bytes());
    bytes
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
        let bytes = bytes_of(&throttle.settings());
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
