//! Limits on the number of events over time: `10000/s`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The shortest period of a rate.
const SHORTEST: Duration = Duration::from_millis(1);
/// The longest period of a rate.
const LONGEST: Duration = Duration::from_hours(24);

/// At most `events` events per period, written as `10000/s`, `50/ms` or `600/10min`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Number of events, at least 1.
    pub events: u32,
    /// The period, from a millisecond to a day.
    pub per: Duration,
}

/// Why a text is not a valid rate.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// It is not a number of events and a period.
    #[error("invalid rate `{0}` (examples: 10000/s, 50/ms, 600/10min)")]
    Syntax(String),
    /// It allows no events.
    #[error("rate `{0}` allows no events; use at least 1/s, or leave out the probe")]
    Zero(String),
    /// It allows more events than can be counted.
    #[error("rate `{0}` is too high: the maximum is {max} events per period", max = Rate::MAX_EVENTS)]
    TooMany(String),
    /// Its period is too short or too long.
    #[error("invalid period in rate `{0}`: must be between 1ms and 1day")]
    Period(String),
}

impl Rate {
    /// The most events per period. It leaves room in 32 bits for CPUs that count one more at
    /// the same time.
    pub const MAX_EVENTS: u32 = 1 << 31;
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let syntax = || RateError::Syntax(text.to_owned());
        let (events, time) = text.split_once('/').ok_or_else(syntax)?;
        let is_number = !events.is_empty() && events.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number {
            return Err(syntax());
        }
        // A bare unit stands for one: `1/s`.
        let one = if time.starts_with(|c: char| c.is_ascii_digit()) {
            ""
        } else {
            "1"
        };
        let per = humantime::parse_duration(&format!("{one}{time}")).map_err(|_| syntax())?;
        let events = events
            .parse()
            .ok()
            .filter(|events| *events <= Self::MAX_EVENTS)
            .ok_or_else(|| RateError::TooMany(text.to_owned()))?;
        if events == 0 {
            return Err(RateError::Zero(text.to_owned()));
        }
        if !(SHORTEST..=LONGEST).contains(&per) {
            return Err(RateError::Period(text.to_owned()));
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
    fn a_rate_is_a_number_of_events_and_a_period() {
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
    fn invalid_rates_are_refused() {
        for text in ["", "10", "10/", "/s", "x/s", "-1/s", "+1/s", "1/parsec"] {
            assert_eq!(read(text), Err(RateError::Syntax(text.into())), "{text}");
        }
        assert_eq!(read("0/s"), Err(RateError::Zero("0/s".into())));
        for text in ["3000000000/s", "99999999999/s"] {
            assert_eq!(read(text), Err(RateError::TooMany(text.into())));
        }
        for text in ["1/us", "1/2days"] {
            assert_eq!(read(text), Err(RateError::Period(text.into())));
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
