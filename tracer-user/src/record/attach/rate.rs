//! How many events in which time: `10000/s`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The shortest time for which events are counted.
const SHORTEST: Duration = Duration::from_millis(1);
/// The longest one.
const LONGEST: Duration = Duration::from_hours(24);

/// At most so many events in so much time, written as `10000/s`, `50/ms` or `600/10min`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Events, at least one.
    pub events: u32,
    /// The time, from a millisecond to a day.
    pub per: Duration,
}

/// Why a text is not a rate.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// No number of events and a time.
    #[error("`{0}` is no rate; write a number of events and a time: 10000/s, 50/ms, 600/10min")]
    NoRate(String),
    /// No events at all.
    #[error("`{0}` lets no event pass; write at least 1/s, or leave the probe out")]
    Nothing(String),
    /// More events than can be counted.
    #[error("`{0}` has too many events; at most {max} can be counted at a time", max = Rate::MAX_EVENTS)]
    TooMany(String),
    /// The time is too short or too long.
    #[error("`{0}` counts events in a time that is not between 1ms and 1day")]
    Time(String),
}

impl Rate {
    /// The most events of a rate: what CPUs that are just counting one more add to it stays
    /// in a number of 32 bits.
    pub const MAX_EVENTS: u32 = 1 << 31;
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let no_rate = || RateError::NoRate(text.to_owned());
        let (events, time) = text.split_once('/').ok_or_else(no_rate)?;
        let is_number = !events.is_empty() && events.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number {
            return Err(no_rate());
        }
        // A unit alone is one of it.
        let one = if time.starts_with(|c: char| c.is_ascii_digit()) {
            ""
        } else {
            "1"
        };
        let per = humantime::parse_duration(&format!("{one}{time}")).map_err(|_| no_rate())?;
        let events = events
            .parse()
            .ok()
            .filter(|events| *events <= Self::MAX_EVENTS)
            .ok_or_else(|| RateError::TooMany(text.to_owned()))?;
        if events == 0 {
            return Err(RateError::Nothing(text.to_owned()));
        }
        if !(SHORTEST..=LONGEST).contains(&per) {
            return Err(RateError::Time(text.to_owned()));
        }
        Ok(Self { events, per })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = humantime::format_duration(self.per).to_string();
        let time = time.strip_prefix('1').map_or(time.as_str(), |unit| {
            let is_unit = unit.bytes().all(|byte| byte.is_ascii_alphabetic());
            if is_unit { unit } else { time.as_str() }
        });
        write!(f, "{}/{}", self.events, time.replace(' ', ""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Rate, RateError> {
        text.parse()
    }

    #[test]
    fn a_rate_is_a_number_of_events_and_a_time() {
        for (text, events, ms) in [
            ("10000/s", 10000, 1000),
            ("50/ms", 50, 1),
            ("1/min", 1, 60_000),
            ("600/10min", 600, 600_000),
            ("7/100ms", 7, 100),
        ] {
            let per = Duration::from_millis(ms);
            assert_eq!(read(text), Ok(Rate { events, per }), "{text}");
        }
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for text in ["", "10", "10/", "/s", "x/s", "-1/s", "+1/s", "1/parsec"] {
            assert_eq!(read(text), Err(RateError::NoRate(text.into())), "{text}");
        }
        assert_eq!(read("0/s"), Err(RateError::Nothing("0/s".into())));
        for text in ["3000000000/s", "99999999999/s"] {
            assert_eq!(read(text), Err(RateError::TooMany(text.into())));
        }
        for text in ["1/us", "1/2days"] {
            assert_eq!(read(text), Err(RateError::Time(text.into())));
        }
    }

    #[test]
    fn a_rate_is_shown_as_it_is_written() {
        for text in ["10000/s", "50/ms", "600/10m", "7/1m 30s"] {
            let rate = text.replace(' ', "");
            assert_eq!(read(&rate).unwrap().to_string(), rate);
        }
    }
}
