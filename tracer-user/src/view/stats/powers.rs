//! Histograms of powers of two, printed as bpftrace prints `hist()`.

use std::io::{self, Write};

/// Negative numbers, zero, one, then powers of two.
const BUCKETS: usize = 2 + 64;

/// A histogram whose buckets double in size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Powers([u64; BUCKETS]);

impl Default for Powers {
    fn default() -> Self {
        Self([0; BUCKETS])
    }
}

impl Powers {
    /// Counts a number.
    pub fn add(&mut self, number: i128) {
        let bucket = match u64::try_from(number) {
            Ok(number) => 1 + (64 - number.leading_zeros()) as usize,
            Err(_) if number < 0 => 0,
            Err(_) => BUCKETS - 1,
        };
        self.0[bucket.min(BUCKETS - 1)] += 1;
    }

    /// Adds another one.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count += more;
        }
    }

    /// The first number of each bucket from the first to the last that has any, and its count.
    /// The first of negative numbers is `None`.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<u64>, u64)> {
        let used = |count: &u64| *count > 0;
        let first = self.0.iter().position(used).unwrap_or(BUCKETS);
        let end = self.0.iter().rposition(used).map_or(0, |last| last + 1);
        let counts = self.0.get(first..end).unwrap_or_default().iter();
        counts.zip(first..).map(|(&count, bucket)| {
            let start = match bucket {
                0 => None,
                1 => Some(0),
                _ => Some(1 << (bucket - 2)),
            };
            (start, count)
        })
    }

    /// Writes a line for each bucket, with a bar.
    pub fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        const BAR_LEN: u64 = 52;
        let largest = self.0.iter().max().copied().unwrap_or(0).max(1);
        for (start, count) in self.buckets() {
            let range = match start {
                None => "(..., 0)".to_owned(),
                Some(number @ 0..=1) => format!("[{number}]"),
                Some(number) => {
                    let end = u128::from(number) * 2;
                    format!("[{}, {})", short(number.into()), short(end))
                }
            };
            let len = (u128::from(count) * u128::from(BAR_LEN) / u128::from(largest)) as usize;
            let bar = "@".repeat(len);
            writeln!(out, "{range:<16} {count:>8} |{bar:<52}|")?;
        }
        Ok(())
    }

    /// A JSON array of buckets.
    #[must_use]
    pub fn json(&self) -> String {
        let buckets: Vec<String> = self
            .buckets()
            .map(|(start, count)| {
                let start = start.map_or("null".to_owned(), |start| start.to_string());
                format!("{{\"from\":{start},\"count\":{count}}}")
            })
            .collect();
        format!("[{}]", buckets.join(","))
    }
}

/// A power of two with the unit that divides it.
fn short(number: u128) -> String {
    const UNITS: [&str; 7] = ["", "K", "M", "G", "T", "P", "E"];
    let unit = (number.checked_ilog2().unwrap_or(0) / 10).min(6);
    format!("{}{}", number >> (10 * unit), UNITS[unit as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(numbers: &[i128]) -> Vec<String> {
        let mut powers = Powers::default();
        for &number in numbers {
            powers.add(number);
        }
        let mut out = Vec::new();
        powers.write_text(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn buckets_double_and_gaps_are_shown() {
        let lines = lines(&[0, 1, 8, 15, 15, 16]);
        assert_eq!(
            lines,
            [
                "[0]                     1 |@@@@@@@@@@@@@@@@@                                   |",
                "[1]                     1 |@@@@@@@@@@@@@@@@@                                   |",
                "[2, 4)                  0 |                                                    |",
                "[4, 8)                  0 |                                                    |",
                "[8, 16)                 3 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|",
                "[16, 32)                1 |@@@@@@@@@@@@@@@@@                                   |",
            ]
        );
    }

    #[test]
    fn extreme_numbers_have_buckets() {
        let lines = lines(&[i128::from(u64::MAX), -1]);
        assert!(lines[0].starts_with("(..., 0)                1 |@"));
        assert!(
            lines
                .last()
                .unwrap()
                .starts_with("[8E, 16E)               1 |@")
        );
    }

    #[test]
    fn large_numbers_have_units() {
        assert!(lines(&[1500])[0].starts_with("[1K, 2K) "));
        assert!(lines(&[600])[0].starts_with("[512, 1K) "));
    }
}
