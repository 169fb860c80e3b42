//! Distributions of durations: exact while there are few, in constant memory when there are many.

use hdrhistogram::Histogram;

use crate::view::table::Cell;

/// So many values are kept as they are.
const MAX_EXACT: usize = 1024;

/// Significant decimal digits of percentiles of more values.
const DIGITS: u8 = 2;

/// The distribution of some durations in nanoseconds. Percentiles are exact for up to 1,024
/// values, and within 1 % for more; everything else is always exact.
#[derive(Clone, Debug)]
pub struct Distribution {
    count: u64,
    total_ns: u64,
    min_ns: u64,
    max_ns: u64,
    values: Values,
}

/// Values as they are, or else the histogram that has them all.
#[derive(Clone, Debug, Default)]
struct Values {
    exact: Vec<u64>,
    many: Option<Box<Histogram<u64>>>,
}

impl Default for Distribution {
    fn default() -> Self {
        Self {
            count: 0,
            total_ns: 0,
            min_ns: u64::MAX,
            max_ns: 0,
            values: Values::default(),
        }
    }
}

impl Values {
    #[inline]
    fn add(&mut self, value: u64) {
        match &mut self.many {
            Some(many) => record(many, value),
            None if self.exact.len() < MAX_EXACT => self.exact.push(value),
            None => record(self.histogram(), value),
        }
    }

    /// The histogram, which from now on has all values.
    fn histogram(&mut self) -> &mut Histogram<u64> {
        let exact = std::mem::take(&mut self.exact);
        self.many.get_or_insert_with(|| {
            let mut many = Histogram::new(DIGITS).expect("a valid number of digits");
            many.auto(true);
            for value in exact {
                record(&mut many, value);
            }
            Box::new(many)
        })
    }
}

/// Adds a value to a histogram, which grows for it.
#[inline]
fn record(many: &mut Histogram<u64>, value: u64) {
    if many.record(value).is_err() {
        // It has no more room in memory.
        many.saturating_record(value);
    }
}

impl Distribution {
    /// Adds a duration.
    #[inline]
    pub fn add(&mut self, ns: u64) {
        self.count += 1;
        self.total_ns = self.total_ns.saturating_add(ns);
        self.min_ns = self.min_ns.min(ns);
        self.max_ns = self.max_ns.max(ns);
        self.values.add(ns);
    }

    /// Adds all durations of another one.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.total_ns = self.total_ns.saturating_add(other.total_ns);
        self.min_ns = self.min_ns.min(other.min_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
        match &other.values.many {
            None => {
                for &value in &other.values.exact {
                    self.values.add(value);
                }
            }
            Some(many) => {
                let added = self.values.histogram().add(&**many);
                debug_assert!(added.is_ok(), "a histogram that resizes holds all values");
            }
        }
    }

    /// How many durations there are.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Their sum in nanoseconds.
    #[must_use]
    pub const fn total_ns(&self) -> u64 {
        self.total_ns
    }

    /// The smallest duration that at least this share of all do not exceed; 0 if there are none.
    #[must_use]
    pub fn quantile_ns(&self, quantile: f64) -> u64 {
        if let Some(many) = &self.values.many {
            let value = many.value_at_quantile(quantile);
            return value.clamp(self.min_ns, self.max_ns);
        }
        let mut sorted = self.values.exact.clone();
        sorted.sort_unstable();
        let rank = (quantile * sorted.len() as f64).ceil() as usize;
        let value = sorted.get(rank.saturating_sub(1));
        value.copied().unwrap_or_default()
    }

    /// Total, minimum, mean, percentiles and maximum, as [`COLUMNS`].
    pub(super) fn cells(&self) -> [Cell; 7] {
        let mean = self.total_ns / self.count.max(1);
        [
            self.total_ns,
            if self.count == 0 { 0 } else { self.min_ns },
            mean,
            self.quantile_ns(0.5),
            self.quantile_ns(0.99),
            self.quantile_ns(0.999),
            self.max_ns,
        ]
        .map(Cell::Ns)
    }
}

/// The columns of [`Distribution::cells`].
pub(super) const COLUMNS: [(&str, &str); 7] = [
    ("TOTAL us", "total_ns"),
    ("MIN us", "min_ns"),
    ("MEAN us", "mean_ns"),
    ("P50 us", "p50_ns"),
    ("P99 us", "p99_ns"),
    ("P99.9 us", "p99.9_ns"),
    ("MAX us", "max_ns"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl IntoIterator<Item = u64>) -> Distribution {
        let mut distribution = Distribution::default();
        for value in values {
            distribution.add(value);
        }
        distribution
    }

    #[test]
    fn few_values_are_exact() {
        let few = of(1..=1000);
        let quantiles = [0.0, 0.001, 0.5, 0.99, 0.999, 1.0].map(|q| few.quantile_ns(q));
        assert_eq!(quantiles, [1, 1, 500, 990, 999, 1000]);
        assert_eq!((few.count(), few.total_ns()), (1000, 500_500));
    }

    #[test]
    fn many_values_are_within_one_percent() {
        let many = of((1..=100_000).map(|n| n * 1_000));
        for (quantile, expected) in [(0.5, 5e7), (0.99, 9.9e7), (0.999, 9.99e7)] {
            let found = many.quantile_ns(quantile) as f64;
            assert!((found / expected - 1.0).abs() < 0.01, "{quantile}: {found}");
        }
        assert_eq!(many.quantile_ns(1.0), 100_000_000);
    }

    #[test]
    fn merged_distributions_are_those_of_all_values() {
        for split in [10, 1_500, 2_990] {
            let mut merged = of(1..=split);
            merged.merge(&of(split + 1..=3_000));
            let whole = of(1..=3_000);
            for quantile in [0.5, 0.9, 1.0] {
                assert_eq!(merged.quantile_ns(quantile), whole.quantile_ns(quantile));
            }
            assert_eq!(merged.total_ns(), whole.total_ns());
        }
    }

    #[test]
    fn none_is_all_zero() {
        assert_eq!(of([]).cells(), [0; 7].map(Cell::Ns));
    }
}
