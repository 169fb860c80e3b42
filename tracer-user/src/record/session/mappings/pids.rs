//! A set of processes that all threads share.

use std::sync::atomic::{AtomicU64, Ordering};

/// No process has this number or a higher one (`PID_MAX_LIMIT`, `include/linux/threads.h`).
const MAX_PID: usize = 4 << 20;

/// Numbers of processes, a bit for each.
#[derive(Debug)]
pub(super) struct Pids(Box<[AtomicU64]>);

impl Pids {
    pub(super) fn new() -> Self {
        let words = (0..MAX_PID / u64::BITS as usize).map(|_| AtomicU64::new(0));
        Self(words.collect())
    }

    /// Adds a process; whether it was not there. One that no kernel gives is not added.
    pub(super) fn insert(&self, pid: u32) -> bool {
        let Some((word, bit)) = self.place(pid) else {
            return false;
        };
        // Relaxed, all: nothing is published by it. The look spares the exchange, which would
        // take the word from other CPUs for each event.
        word.load(Ordering::Relaxed) & bit == 0 && word.fetch_or(bit, Ordering::Relaxed) & bit == 0
    }

    pub(super) fn contains(&self, pid: u32) -> bool {
        self.place(pid)
            .is_some_and(|(word, bit)| word.load(Ordering::Relaxed) & bit != 0)
    }

    /// Removes all.
    pub(super) fn clear(&self) {
        for word in &self.0 {
            word.store(0, Ordering::Relaxed);
        }
    }

    fn place(&self, pid: u32) -> Option<(&AtomicU64, u64)> {
        let word = self.0.get((pid / u64::BITS) as usize)?;
        Some((word, 1 << (pid % u64::BITS)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_added_once() {
        let pids = Pids::new();
        let last = MAX_PID as u32 - 1;
        for pid in [0, 63, 64, last] {
            assert!(!pids.contains(pid));
            assert!(pids.insert(pid));
            assert!(!pids.insert(pid));
            assert!(pids.contains(pid));
        }
        assert!(!pids.contains(65));
        pids.clear();
        assert!(!pids.contains(last));
        assert!(!pids.insert(last + 1) && !pids.contains(u32::MAX));
    }
}
