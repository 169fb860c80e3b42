//! Pages that the kernel may still read.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::record::pool::{PageRun, Pool};
use crate::sys::zero_copy::Completion;

/// Keeps runs until the sends that they went out with are complete, each of them.
///
/// Sends are counted as the kernel counts them: those that took bytes, from 0, wrapping.
/// One belongs to the run that is [held](Self::hold) next.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    /// Number of the next send.
    next: u32,
    /// The run that is being sent.
    open: Sends,
    held: VecDeque<Held>,
}

/// The sends of one run.
#[derive(Clone, Copy, Debug, Default)]
struct Sends {
    first: u32,
    count: u32,
    complete: u32,
}

#[derive(Debug)]
struct Held {
    sends: Sends,
    run: PageRun,
    pool: Arc<Pool>,
}

impl Sends {
    /// Notes what of `completion` concerns these.
    fn complete(&mut self, completion: Completion) {
        // Distances, so that wrapping does not matter: there are never 2^31 sends at a time.
        let start = completion.first.wrapping_sub(self.first).cast_signed();
        let end = start.saturating_add_unsigned(completion.last.wrapping_sub(completion.first));
        let from = start.max(0);
        let to = end.min(self.count.cast_signed() - 1);
        self.complete += u32::try_from(to - from + 1).unwrap_or(0);
    }

    fn are_complete(self) -> bool {
        self.complete == self.count
    }
}

impl InFlight {
    /// A send has taken bytes of the run that is held next.
    pub(super) fn sent(&mut self) {
        self.next = self.next.wrapping_add(1);
        self.open.count += 1;
    }

    /// Keeps the run that the last sends were of, or gives it back if they are complete.
    pub(super) fn hold(&mut self, run: PageRun, pool: &Arc<Pool>) {
        let next = Sends {
            first: self.next,
            ..Sends::default()
        };
        self.held.push_back(Held {
            sends: std::mem::replace(&mut self.open, next),
            run,
            pool: Arc::clone(pool),
        });
        self.give_back();
    }

    /// Gives back the runs whose last sends these were.
    pub(super) fn complete(&mut self, completion: Completion) {
        self.open.complete(completion);
        for held in &mut self.held {
            held.sends.complete(completion);
        }
        self.give_back();
    }

    /// True if the kernel reads nothing any more.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty() && self.open.are_complete()
    }

    /// True if a run of `pool` will come back.
    pub(super) fn has_pages_of(&self, pool: &Arc<Pool>) -> bool {
        self.held.iter().any(|held| Arc::ptr_eq(&held.pool, pool))
    }

    /// TCP completes sends in order, but for those of a connection that is torn down.
    fn give_back(&mut self) {
        while let Some(held) = self.held.pop_front_if(|held| held.sends.are_complete()) {
            held.pool.give_back(held.run);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::pool::PoolConfig;
    use crate::sys::page_size;

    /// Runs in flight, each with its number of sends, the first of which is `first`.
    fn in_flight(first: u32, sends: &[u32]) -> (Arc<Pool>, InFlight) {
        let pool = Pool::new(PoolConfig {
            run_bytes: page_size(),
            max_runs: sends.len(),
            reuse: true,
        });
        let pool = Arc::new(pool.unwrap());
        let mut in_flight = InFlight {
            next: first,
            open: Sends {
                first,
                ..Sends::default()
            },
            held: VecDeque::new(),
        };
        for count in sends {
            let run = pool.take().unwrap();
            for _ in 0..*count {
                in_flight.sent();
            }
            in_flight.hold(run, &pool);
        }
        (pool, in_flight)
    }

    fn completion(first: u32, last: u32) -> Completion {
        Completion {
            first,
            last,
            copied: false,
        }
    }

    #[test]
    fn a_run_comes_back_with_its_last_send() {
        let (pool, mut in_flight) = in_flight(0, &[2, 1]);
        in_flight.complete(completion(0, 0));
        assert_eq!(pool.stats().spare, 0);
        in_flight.complete(completion(1, 1));
        assert_eq!(pool.stats().spare, 1);
        in_flight.complete(completion(2, 2));
        assert!(in_flight.is_empty());
        assert_eq!(pool.stats().spare, 2);
    }

    #[test]
    fn one_completion_may_be_of_many_runs() {
        let (pool, mut in_flight) = in_flight(0, &[1, 3, 2, 1]);
        in_flight.complete(completion(0, 4));
        assert_eq!(pool.stats().spare, 2);
        in_flight.complete(completion(5, 6));
        assert_eq!(pool.stats().spare, 4);
    }

    #[test]
    fn completions_may_come_in_any_order() {
        let (pool, mut in_flight) = in_flight(0, &[2, 1, 1]);
        in_flight.complete(completion(3, 3));
        in_flight.complete(completion(1, 2));
        assert_eq!(pool.stats().spare, 0);
        in_flight.complete(completion(0, 0));
        assert_eq!(pool.stats().spare, 3);
    }

    #[test]
    fn numbers_wrap_around() {
        let (pool, mut in_flight) = in_flight(u32::MAX - 1, &[1, 2, 1]);
        in_flight.complete(completion(u32::MAX - 1, u32::MAX));
        assert_eq!(pool.stats().spare, 1);
        in_flight.complete(completion(0, 1));
        assert_eq!(pool.stats().spare, 3);
        assert!(in_flight.is_empty());
    }

    #[test]
    fn what_is_complete_before_the_packet_is_sent_counts() {
        let (pool, mut in_flight) = in_flight(7, &[0]);
        let run = pool.take().unwrap();
        in_flight.sent();
        assert!(!in_flight.is_empty());
        in_flight.complete(completion(7, 7));
        assert!(in_flight.is_empty());
        in_flight.hold(run, &pool);
        assert_eq!(pool.stats().spare, 1);
    }

    #[test]
    fn runs_go_back_to_their_own_pools() {
        let (first, mut in_flight) = in_flight(0, &[1]);
        let second = Arc::new(
            Pool::new(PoolConfig {
                run_bytes: page_size(),
                max_runs: 1,
                reuse: true,
            })
            .unwrap(),
        );
        let run = second.take().unwrap();
        in_flight.sent();
        in_flight.hold(run, &second);
        in_flight.complete(completion(0, 0));
        assert!(!in_flight.has_pages_of(&first) && in_flight.has_pages_of(&second));
        assert_eq!((first.stats().spare, second.stats().spare), (1, 0));
    }
}
