//! The way of an event to the recorder: reserve, fill, submit, and count what is lost.
//!
//! [`ring`] is the transport. An event of variable length is built in a [`scratch`] first,
//! because its size must be known when it is reserved. [`count`] is what the recorder reports.

pub(crate) mod count;
pub(crate) mod ring;
pub(crate) mod scratch;
