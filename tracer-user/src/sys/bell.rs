//! Waking a thread that waits for another one, without a system call when it does not.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering, fence};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;

/// What one thread waits at and others ring.
///
/// A thread that is about to wait says so by [`expect`](Self::expect), looks once more
/// whether there is something to do, and then waits. Whoever gives it something to do does
/// that first and then calls [`ring_if_expected`](Self::ring_if_expected).
#[derive(Debug)]
pub struct Bell {
    event: OwnedFd,
    expected: AtomicBool,
}

impl Bell {
    /// A bell that has not rung (`eventfd(2)`).
    ///
    /// # Errors
    /// Where no file can be opened.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            event: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            expected: AtomicBool::new(false),
        })
    }

    /// Has the next [`ring_if_expected`](Self::ring_if_expected) ring.
    pub fn expect(&self) {
        self.expected.store(true, Ordering::Relaxed);
        // Pairs with the fence in `ring_if_expected`: either our look comes after what the
        // other did, or the other sees that we wait.
        fence(Ordering::SeqCst);
    }

    /// Rings if somebody said that they would wait.
    pub fn ring_if_expected(&self) {
        // Pairs with the fence in `expect`.
        fence(Ordering::SeqCst);
        // Relaxed: what is passed on is published by other means.
        if self.expected.load(Ordering::Relaxed) && self.expected.swap(false, Ordering::Relaxed) {
            self.ring();
        }
    }

    /// Rings in any case.
    pub fn ring(&self) {
        // An error means that it has been rung 2^64 - 2 times, and rings.
        let _ = rustix::io::write(&self.event, &1u64.to_ne_bytes());
    }

    /// Waits until it rings, and stills it.
    ///
    /// # Errors
    /// Where the kernel cannot wait.
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

    /// Ends its ringing, if it rings.
    pub fn still(&self) {
        // An error means that it did not ring.
        let _ = rustix::io::read(&self.event, &mut [0; 8]);
    }
}

impl AsFd for Bell {
    /// Readable while it rings.
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
    fn it_rings_for_those_who_wait_only() {
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
