//! Numbers with a unit of time, for durations: `10ms`.

use std::fmt;

/// Units, each with its nanoseconds.
const UNITS: [(&str, u64); 4] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
];

/// A time as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    number: u64,
    unit: &'static str,
    ns: i64,
}

impl Time {
    /// Reads digits and a unit; `None` if the text is something else.
    pub(super) fn parse(text: &str) -> Option<Result<Self, OutOfRange>> {
        let at = text.find(|c: char| !c.is_ascii_digit())?;
        let (digits, unit) = text.split_at(at);
        let &(unit, in_ns) = UNITS.iter().find(|(known, _)| *known == unit)?;
        if digits.is_empty() {
            return None;
        }
        let number = digits.parse::<u64>().ok();
        let time = number.and_then(|number| {
            let ns = number.checked_mul(in_ns)?.try_into().ok()?;
            Some(Self { number, unit, ns })
        });
        Some(time.ok_or(OutOfRange))
    }

    /// In nanoseconds.
    pub(super) fn ns(self) -> i64 {
        self.ns
    }
}

/// More nanoseconds than 63 bits have room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OutOfRange;

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.number, self.unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_those_of_seconds() {
        for (text, ns) in [
            ("7ns", 7),
            ("5us", 5_000),
            ("10ms", 10_000_000),
            ("2s", 2_000_000_000),
            ("007us", 7_000),
        ] {
            assert_eq!(Time::parse(text).unwrap().unwrap().ns(), ns, "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_times() {
        for text in ["10", "ms", "10m", "0x1s", "1.5ms", "10MS", ""] {
            assert_eq!(Time::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_fits_into_63_bits_of_nanoseconds() {
        assert!(Time::parse("9223372036s").unwrap().is_ok());
        assert_eq!(Time::parse("9223372037s"), Some(Err(OutOfRange)));
        assert_eq!(Time::parse("99999999999999999999ns"), Some(Err(OutOfRange)));
    }
}
