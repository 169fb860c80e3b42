//! Wakes a waiting thread, without a system call if it is not waiting.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering, fence};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;

/// One thread waits at it, others ring it.
///
/// A thread that is about to wait calls [`expect`](Self::expect), checks once more for work, and
/// then waits. Other threads first add work and then call
/// [`ring_if_expected`](Self::ring_if_expected).
#[derive(Debug)]
pub struct Bell {
    event: OwnedFd,
    expected: AtomicBool,
}

impl Bell {
    /// Creates a silent bell (`eventfd(2)`).
    ///
    /// # Errors
    /// If no file descriptor is available.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            event: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            expected: AtomicBool::new(false),
        })
    }

    /// Makes the next [`ring_if_expected`](Self::ring_if_expected) ring.
    pub fn expect(&self) {
        self.expected.store(true, Ordering::Relaxed);
        // Pairs with the fence in `ring_if_expected`: either we see the other's work, or it
        // sees that we wait.
        fence(Ordering::SeqCst);
    }

    /// Rings if a thread called [`expect`](Self::expect).
    pub fn ring_if_expected(&self) {
        // Pairs with the fence in `expect`.
        fence(Ordering::SeqCst);
        // Relaxed: the work is published by other means.
        if self.expected.load(Ordering::Relaxed) && self.expected.swap(false, Ordering::Relaxed) {
            self.ring();
        }
    }

    /// Rings unconditionally.
    pub fn ring(&self) {
        // The only error is an overflow after 2^64 - 2 rings: it is ringing already.
        let _ = rustix::io::write(&self.event, &1u64.to_ne_bytes());
    }

    /// Waits until it rings, and silences it.
    ///
    /// # Errors
    /// If `poll(2)` fails.
    pub fn wait(&self) -> io::Result<()> {
        loop {
            match poll(&mut [PollFd::new(&self.event, PollFlags::IN)], None) {
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.still();
        Ok(())
    }

    /// Silences it if it is ringing.
    pub fn still(&self) {
        // The only error is that it was not ringing.
        let _ = rustix::io::read(&self.event, &mut [0; 8]);
    }
}

impl AsFd for Bell {
    /// Readable while it is ringing.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread;

    use super::*;

    fn rings(bell: &Bell) -> bool {
        let mut event = [PollFd::new(&bell.event, PollFlags::IN)];
        poll(&mut event, Some(&rustix::event::Timespec::default())).unwrap() > 0
    }

    #[test]
    fn it_rings_only_if_expected() {
        let bell = Bell::new().unwrap();
        bell.ring_if_expected();
        assert!(!rings(&bell));
        bell.expect();
        bell.ring_if_expected();
        assert!(rings(&bell));
        bell.still();
        assert!(!rings(&bell));
    }

    #[test]
    fn nothing_is_missed() {
        const ROUNDS: u64 = 100_000;
        let shared = Arc::new((Bell::new().unwrap(), AtomicU64::new(0)));
        let writer = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                for round in 1..=ROUNDS {
                    shared.1.store(round, Ordering::Release);
                    shared.0.ring_if_expected();
                }
            }
        });
        let (bell, round) = &*shared;
        let mut seen = 0;
        while seen < ROUNDS {
            bell.expect();
            let now = round.load(Ordering::Acquire);
            if now == seen {
                bell.wait().unwrap();
            }
            seen = now;
        }
        writer.join().unwrap();
    }
}
