//! Events by class, added up over packets.

use crate::record::subbuf::ClassCount;

/// How many events of each class there were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassTotals(Vec<u64>);

impl ClassTotals {
    /// Adds what a packet has.
    pub fn add(&mut self, classes: &[ClassCount]) {
        for count in classes {
            let index = count.class as usize;
            if index >= self.0.len() {
                self.0.resize(index + 1, 0);
            }
            self.0[index] += count.events;
        }
    }

    /// The events of a class.
    #[must_use]
    pub fn of(&self, class: u32) -> u64 {
        self.0.get(class as usize).copied().unwrap_or(0)
    }
}

#[cfg(all(test, not(tracer_loom)))]
mod tests {
    use super::*;

    #[test]
    fn packets_add_up_and_other_classes_have_none() {
        let mut totals = ClassTotals::default();
        for events in [3, 4] {
            totals.add(&[ClassCount { class: 2, events }]);
        }
        assert_eq!([totals.of(2), totals.of(1), totals.of(9)], [7, 0, 0]);
    }
}
