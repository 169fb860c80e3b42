//! A kernel that takes less, later, or nothing: for tests.

use rustix::io::Errno;

use crate::sys::output::{Call, Calls, KernelCalls};

/// Asks `rule` about each call. What it gives is the answer, without a call; where it gives
/// `None`, the kernel is called. To cut a call short the rule changes its length.
pub(crate) struct Faults<F> {
    rule: F,
}

impl<F> Faults<F>
where
    F: FnMut(&mut Call<'_>) -> Option<Result<usize, Errno>> + Send,
{
    pub(crate) fn new(rule: F) -> Self {
        Self { rule }
    }
}

impl<F> Calls for Faults<F>
where
    F: FnMut(&mut Call<'_>) -> Option<Result<usize, Errno>> + Send,
{
    fn call(&mut self, mut call: Call<'_>) -> Result<usize, Errno> {
        match (self.rule)(&mut call) {
            Some(answer) => answer,
            None => KernelCalls.call(call),
        }
    }
}
