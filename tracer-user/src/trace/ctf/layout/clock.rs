//! Clocks: from the time stamps of a stream to nanoseconds.

use crate::trace::ctf::schema::{ClockBlock, Document, StreamBlock, Type};

const NS_PER_SECOND: u64 = 1_000_000_000;

/// Converts time stamps to nanoseconds of the clock of the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeBase {
    /// Ticks per second.
    frequency: u64,
    /// From the epoch to the clock's zero.
    offset_ns: i64,
    /// From the zero of the clock of the trace to that of this clock.
    shift_ns: i64,
}

impl TimeBase {
    /// That of a clock; without one, time stamps are nanoseconds.
    pub(super) fn of(clock: Option<&ClockBlock>) -> Result<Self, String> {
        let Some(clock) = clock else {
            return Ok(Self {
                frequency: NS_PER_SECOND,
                offset_ns: 0,
                shift_ns: 0,
            });
        };
        if clock.frequency == 0 {
            return Err(format!("the clock `{}` has no frequency", clock.name));
        }
        let seconds = i128::from(clock.offset_s) * i128::from(NS_PER_SECOND);
        let ticks = i128::from(clock.offset) * i128::from(NS_PER_SECOND);
        let offset = seconds + ticks.div_euclid(i128::from(clock.frequency));
        Ok(Self {
            frequency: clock.frequency,
            offset_ns: i64::try_from(offset)
                .map_err(|_| format!("the clock `{}` is too far from the epoch", clock.name))?,
            shift_ns: 0,
        })
    }

    /// From the epoch to the clock's zero.
    pub(crate) const fn offset_ns(self) -> i64 {
        self.offset_ns
    }

    /// Lets times count from the zero of the clock that has this offset.
    pub(crate) const fn relative_to(&mut self, offset_ns: i64) {
        self.shift_ns = self.offset_ns.saturating_sub(offset_ns);
    }

    /// Nanoseconds of the clock of the trace.
    #[inline]
    pub(crate) const fn ns(self, ticks: u64) -> u64 {
        let ns = if self.frequency == NS_PER_SECOND {
            ticks
        } else {
            (ticks as u128 * NS_PER_SECOND as u128 / self.frequency as u128) as u64
        };
        ns.saturating_add_signed(self.shift_ns)
    }
}

/// The clock that the time stamps of a stream count.
pub(super) fn of<'d>(stream: &StreamBlock, document: &'d Document) -> Option<&'d ClockBlock> {
    let mapped = || {
        let parts = [&stream.event_header, &stream.packet_context];
        parts.into_iter().flatten().find_map(clock_name)
    };
    let name = match &stream.clock {
        Some(name) => name.as_str(),
        None => mapped()?,
    };
    document.clocks.iter().find(|clock| clock.name == name)
}

/// The clock of the first time stamp in a type.
fn clock_name(ty: &Type) -> Option<&str> {
    match ty {
        Type::Integer(integer) => integer.clock.as_deref(),
        Type::Enumeration(names) => names.base.clock.as_deref(),
        Type::Struct(of) => of.members.iter().find_map(|member| clock_name(&member.ty)),
        Type::Variant(of) => of.options.iter().find_map(|option| clock_name(&option.ty)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(frequency: u64, offset_s: i64, offset: i64) -> TimeBase {
        let clock = ClockBlock {
            frequency,
            offset_s,
            offset,
            ..ClockBlock::default()
        };
        TimeBase::of(Some(&clock)).unwrap()
    }

    #[test]
    fn ticks_become_nanoseconds() {
        assert_eq!(base(1_000, 0, 0).ns(1_234), 1_234_000_000);
        assert_eq!(base(3, 0, 0).ns(2), 666_666_666);
        assert_eq!(base(NS_PER_SECOND, 5, 6).ns(u64::MAX), u64::MAX);
        assert_eq!(base(3_000_000_000, 0, 0).ns(u64::MAX), u64::MAX / 3);
    }

    #[test]
    fn offsets_are_seconds_and_ticks() {
        assert_eq!(base(1_000, 2, 5).offset_ns(), 2_005_000_000);
        assert_eq!(base(1_000, -2, 5).offset_ns(), -1_995_000_000);
    }

    #[test]
    fn times_of_another_clock_are_shifted() {
        let mut later = base(NS_PER_SECOND, 0, 700);
        later.relative_to(500);
        assert_eq!(later.ns(1), 201);
        later.relative_to(1_000);
        assert_eq!((later.ns(1), later.ns(301)), (0, 1));
    }
}
