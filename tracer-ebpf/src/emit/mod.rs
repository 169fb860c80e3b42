//! Emitting events: reserve, fill, submit, and count lost events.
//!
//! [`ring`] is the transport. An event of variable length is built in a [`scratch`] first,
//! because its size must be known when it is reserved. [`count`] has the counters that the
//! recorder reports.

pub(crate) mod count;
pub(crate) mod ring;
pub(crate) mod scratch;
