//! One attached program.

use std::os::fd::{AsFd, OwnedFd};

use crate::record::attach::plan::Misses;
use crate::sys::bpf;

/// A program that is attached as long as this lives.
#[derive(Debug)]
pub(super) struct AttachedProgram {
    misses: Misses,
    program: OwnedFd,
    /// Closing it detaches the program.
    link: OwnedFd,
    missed_before: u64,
}

impl AttachedProgram {
    pub(super) fn new(misses: Misses, program: OwnedFd, link: OwnedFd) -> Self {
        Self {
            misses,
            program,
            link,
            missed_before: 0,
        }
    }

    /// What is missing from the trace when the kernel skips a run of the program.
    pub(super) fn misses(&self) -> Misses {
        self.misses
    }

    /// Events are missed from now on. Threads are followed, and missed, before that.
    pub(super) fn start_counting(&mut self) {
        if self.misses != Misses::NewThread {
            self.missed_before = self.missed_ever();
        }
    }

    /// Runs that the kernel skipped since counting started.
    pub(super) fn missed(&self) -> u64 {
        self.missed_ever().saturating_sub(self.missed_before)
    }

    /// Whether the kernel takes tens of milliseconds to detach it: it waits for two grace periods
    /// for each perf event, under a lock (`perf_trace_event_unreg`).
    pub(super) fn is_slow_to_detach(&self) -> bool {
        bpf::is_of_perf_event(self.link.as_fd())
    }

    /// The link. Closing it detaches the program.
    pub(super) fn into_link(self) -> OwnedFd {
        self.link
    }

    /// Runs that the kernel skipped, and hits of the probe at which it did not even try to
    /// run the program: no event is in both numbers.
    fn missed_ever(&self) -> u64 {
        bpf::recursion_misses(self.program.as_fd()).unwrap_or(0)
            + bpf::missed_hits(self.link.as_fd()).unwrap_or(0)
    }
}
