//! One attached program.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use crate::sys::bpf::{self, LoadError};

/// Why a probe could not be attached.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The kernel refused the program.
    #[error("cannot attach to `{probe}`: the kernel refused its program: {source}")]
    Load {
        /// As the user named it.
        probe: String,
        /// What the kernel said.
        source: LoadError,
    },
    /// The kernel refused the place.
    #[error("cannot attach to `{probe}`: {source}{hint}")]
    Attach {
        /// As the user named it.
        probe: String,
        /// What the kernel said.
        source: io::Error,
        /// What it may mean, starting with a separator, or nothing.
        hint: &'static str,
    },
}

/// What a program's runs amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emits {
    /// An event of this class.
    Class(u32),
    /// An event of one of many classes.
    Many,
    /// No event: it keeps something for another program.
    Nothing,
}

/// A program that is attached as long as this lives.
#[derive(Debug)]
pub struct Link {
    emits: Emits,
    program: OwnedFd,
    /// Closing it detaches the program.
    attachment: OwnedFd,
    misses_before: u64,
}

impl Link {
    pub(super) fn new(emits: Emits, program: OwnedFd, attachment: OwnedFd) -> Self {
        Self {
            emits,
            program,
            attachment,
            misses_before: 0,
        }
    }

    /// What the program's runs amount to.
    #[must_use]
    pub fn emits(&self) -> Emits {
        self.emits
    }

    pub(super) fn start_counting(&mut self) {
        self.misses_before = self.misses();
    }

    /// Events that the kernel did not show to the program since counting was started.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.misses().saturating_sub(self.misses_before)
    }

    /// Times that the kernel did not start the program, and that it did not even get as far:
    /// no event is in both numbers.
    fn misses(&self) -> u64 {
        bpf::recursion_misses(self.program.as_fd()).unwrap_or(0)
            + bpf::missed_hits(self.attachment.as_fd()).unwrap_or(0)
    }
}
