//! Events of the open packet by class.

use crate::record::subbuf::ClassCount;

/// Counts events, at a cost per packet that grows with the classes that occur in it only.
#[derive(Debug)]
pub(super) struct OpenCounts {
    events: u64,
    by_class: Vec<u64>,
    /// Classes that occur, in the order of their first events.
    seen: Vec<u32>,
    list: Vec<ClassCount>,
}

impl OpenCounts {
    pub(super) fn new(classes: usize) -> Self {
        Self {
            events: 0,
            by_class: vec![0; classes],
            seen: Vec::with_capacity(classes),
            list: Vec::with_capacity(classes),
        }
    }

    /// Events since the last list.
    #[inline]
    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// Counts an event of a class below the number of classes.
    #[inline]
    pub(super) fn add(&mut self, class: u32) {
        self.events += 1;
        let count = &mut self.by_class[class as usize];
        if *count == 0 {
            self.seen.push(class);
        }
        *count += 1;
    }

    /// What was counted; counting starts anew.
    pub(super) fn list(&mut self) -> &[ClassCount] {
        self.events = 0;
        self.list.clear();
        for class in self.seen.drain(..) {
            let events = std::mem::take(&mut self.by_class[class as usize]);
            self.list.push(ClassCount { class, events });
        }
        &self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_list_has_what_came_since_the_last_one() {
        let mut counts = OpenCounts::new(10);
        for class in [7, 2, 7] {
            counts.add(class);
        }
        let of = |class, events| ClassCount { class, events };
        assert_eq!(counts.events(), 3);
        assert_eq!(counts.list(), [of(7, 2), of(2, 1)]);
        assert_eq!((counts.events(), counts.list()), (0, &[][..]));
    }
}
