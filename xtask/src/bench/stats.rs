//! Medians and spreads of a few repeated measurements.

use std::fmt;

use serde_json::{Value, json};

/// Measurements of one thing, one per round.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sample(Vec<f64>);

impl Sample {
    pub(super) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The middle value, or the mean of the two in the middle. NaN if there is none.
    pub(super) fn median(&self) -> f64 {
        let sorted = self.sorted();
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => f64::NAN,
            len if len % 2 == 1 => sorted[middle],
            _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
        }
    }

    /// Smallest and largest value.
    pub(super) fn range(&self) -> (f64, f64) {
        let sorted = self.sorted();
        match (sorted.first(), sorted.last()) {
            (Some(first), Some(last)) => (*first, *last),
            _ => (f64::NAN, f64::NAN),
        }
    }

    /// This over `other`, round by round.
    pub(super) fn ratios(&self, other: &Self) -> impl Iterator<Item = f64> {
        self.0
            .iter()
            .zip(&other.0)
            .map(|(ours, theirs)| ours / theirs)
    }

    /// The values themselves, for those who want to look closer.
    pub(super) fn json(&self) -> Value {
        let (min, max) = self.range();
        json!({ "median": self.median(), "min": min, "max": max, "rounds": self.0 })
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }
}

impl FromIterator<f64> for Sample {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

/// Median and range, with the digits that the formatter asks for.
impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("-");
        }
        let digits = f.precision().unwrap_or(0);
        let (min, max) = self.range();
        write!(
            f,
            "{:.digits$} ({min:.digits$}..{max:.digits$})",
            self.median()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_value() {
        let of = |values: &[f64]| values.iter().copied().collect::<Sample>().median();
        assert!((of(&[3.0, 1.0, 100.0]) - 3.0).abs() < f64::EPSILON);
        assert!((of(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < f64::EPSILON);
        assert!(of(&[]).is_nan());
    }

    #[test]
    fn a_sample_is_shown_with_its_spread() {
        let sample: Sample = [3.0, 1.0, 2.0].into_iter().collect();
        assert_eq!(format!("{sample:.1}"), "2.0 (1.0..3.0)");
        assert_eq!(format!("{}", Sample::default()), "-");
    }
}
