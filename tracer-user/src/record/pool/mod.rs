//! Pages for sub-buffers, used again and again.
//!
//! A [`PageRun`] is the memory of one sub-buffer: whole pages, which may come from several
//! places, owned by the holder of the value. A [`Pool`] hands out runs and takes them back.
//! What a sink still holds, because a pipe or a socket may read it, is simply not given
//! back yet: the pool supplies other pages meanwhile, up to its limit.
//!
//! Runs are kept when they come back, so that in steady state no page is allocated. The
//! model is the kernel's `ring_buffer_alloc_read_page`/`ring_buffer_free_read_page`
//! (`kernel/trace/ring_buffer.c`), which keep a page for the next reader. For measurements
//! keeping can be switched off: then each run is mapped and unmapped.

mod extent;
mod run;

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::sys::page_size;

pub use extent::Extent;
pub use run::PageRun;

/// What a pool may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// Size of a run in bytes, a multiple of the page size.
    pub run_bytes: usize,
    /// The most runs that may exist at a time, wherever they are.
    pub max_runs: usize,
    /// Runs that come back are kept for the next taker.
    pub reuse: bool,
}

/// What a pool has done and holds, in runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Runs whose pages were asked of the kernel.
    pub allocated: u64,
    /// Runs that were given out again.
    pub reused: u64,
    /// Requests that could not be met.
    pub refused: u64,
    /// Runs that exist now, given out or not.
    pub existing: usize,
    /// Runs that are ready to be given out.
    pub spare: usize,
    /// Accesses to runs, since they were made, that were neither at the place of the one
    /// before nor after it; only of runs that have come back.
    pub random_accesses: u64,
}

impl PoolStats {
    /// Runs that are given out: in sub-buffers, or held by a sink.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.existing - self.spare
    }
}

/// A pool of page runs of one size. May be shared between threads.
#[derive(Debug)]
pub struct Pool {
    config: PoolConfig,
    /// Runs that exist; each carries a [`Ticket`] that counts it.
    existing: Arc<AtomicUsize>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    spares: Vec<PageRun>,
    stats: PoolStats,
}

/// Counts one run as existing as long as the run does, also where it never comes back.
#[derive(Debug)]
struct Ticket(Arc<AtomicUsize>);

impl Drop for Ticket {
    fn drop(&mut self) {
        // Relaxed: a number; the memory that it counts is the allocator's business.
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    /// An empty pool; runs are allocated when they are asked for.
    ///
    /// # Errors
    /// If `run_bytes` is not a multiple of the page size, or 0.
    pub fn new(config: PoolConfig) -> io::Result<Self> {
        if config.run_bytes == 0 || !config.run_bytes.is_multiple_of(page_size()) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "a sub-buffer of {} bytes is not made of whole pages of {} bytes",
                    config.run_bytes,
                    page_size()
                ),
            ));
        }
        Ok(Self {
            config,
            existing: Arc::default(),
            state: Mutex::default(),
        })
    }

    /// Size of each run in bytes.
    #[must_use]
    pub fn run_bytes(&self) -> usize {
        self.config.run_bytes
    }

    /// Whether runs that come back are given out again.
    #[must_use]
    pub fn keeps_runs(&self) -> bool {
        self.config.reuse
    }

    /// A run for exclusive use, with arbitrary content. None at the limit, or if the
    /// kernel has no memory.
    #[must_use]
    pub fn take(&self) -> Option<PageRun> {
        let mut state = self.state();
        if let Some(run) = state.spares.pop() {
            state.stats.reused += 1;
            return Some(run);
        }
        let run = self.allocate();
        match run {
            Some(_) => state.stats.allocated += 1,
            None => state.stats.refused += 1,
        }
        run
    }

    fn allocate(&self) -> Option<PageRun> {
        // Relaxed: only takers add, and they hold the lock; a run that goes away meanwhile
        // makes room a moment later.
        if self.existing.load(Ordering::Relaxed) >= self.config.max_runs {
            return None;
        }
        let mut pages = Extent::allocate(self.config.run_bytes).ok()?;
        if self.config.reuse {
            // So that no page is allocated while a recording runs.
            pages.populate();
        }
        self.existing.fetch_add(1, Ordering::Relaxed);
        let ticket = Ticket(Arc::clone(&self.existing));
        Some(PageRun::new(vec![pages], Some(ticket)))
    }

    /// Takes a run back whose pages nothing reads: not a pipe, not a device, not a
    /// socket.
    pub fn give_back(&self, mut run: PageRun) {
        let mut state = self.state();
        state.stats.random_accesses += run.take_random_accesses();
        if self.config.reuse && self.has_made(&run) {
            state.spares.push(run);
        }
    }

    fn has_made(&self, run: &PageRun) -> bool {
        run.ticket()
            .is_some_and(|ticket| Arc::ptr_eq(&ticket.0, &self.existing))
    }

    /// What the pool has done so far.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        let state = self.state();
        PoolStats {
            // Relaxed: a number to show.
            existing: self.existing.load(Ordering::Relaxed),
            spare: state.spares.len(),
            ..state.stats
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whole after each step, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(all(test, not(tracer_loom)))]
mod tests {
    use super::*;

    fn pool(max_runs: usize, reuse: bool) -> Pool {
        Pool::new(PoolConfig {
            run_bytes: 2 * page_size(),
            max_runs,
            reuse,
        })
        .unwrap()
    }

    #[test]
    fn a_run_that_came_back_is_given_out_again() {
        let pool = pool(2, true);
        for _ in 0..1000 {
            let run = pool.take().unwrap();
            pool.give_back(run);
        }
        let stats = pool.stats();
        assert_eq!((stats.allocated, stats.reused), (1, 999));
    }

    #[test]
    fn without_reuse_each_run_is_allocated() {
        let pool = pool(2, false);
        for _ in 0..10 {
            let run = pool.take().unwrap();
            pool.give_back(run);
        }
        let stats = pool.stats();
        assert_eq!((stats.allocated, stats.reused, stats.existing), (10, 0, 0));
    }

    #[test]
    fn a_run_in_flight_is_replaced_by_another() {
        let pool = pool(2, true);
        let mut held = pool.take().unwrap();
        held.write_at(0, b"held");
        let mut other = pool.take().unwrap();
        other.write_at(0, b"other");
        let mut read = [0; 4];
        held.read_at(0, &mut read);
        assert_eq!(&read, b"held");
    }

    #[test]
    fn at_the_limit_nothing_is_given_out_until_a_run_comes_back() {
        let pool = pool(1, true);
        let run = pool.take().unwrap();
        assert!(pool.take().is_none());
        pool.give_back(run);
        assert!(pool.take().is_some());
        assert_eq!(pool.stats().refused, 1);
    }

    #[test]
    fn a_run_that_is_dropped_makes_room_for_another() {
        let pool = pool(1, true);
        drop(pool.take());
        assert!(pool.take().is_some());
    }

    #[test]
    fn runs_in_flight_are_counted() {
        let pool = pool(3, true);
        let runs: Vec<_> = std::iter::repeat_with(|| pool.take().unwrap())
            .take(3)
            .collect();
        assert_eq!(pool.stats().in_flight(), 3);
        for run in runs {
            pool.give_back(run);
        }
        assert_eq!(pool.stats().in_flight(), 0);
    }

    #[test]
    fn a_run_of_another_pool_is_not_kept() {
        let (pool, other) = (pool(1, true), pool(1, true));
        pool.give_back(other.take().unwrap());
        assert_eq!(pool.stats().spare, 0);
    }

    #[test]
    fn a_run_is_made_of_whole_pages() {
        let config = PoolConfig {
            run_bytes: page_size() + 1,
            max_runs: 1,
            reuse: true,
        };
        assert!(Pool::new(config).is_err());
    }
}
