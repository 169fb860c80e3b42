//! System calls: counts, errors and times by process, thread or call.
//!
//! `roles` finds the events of system calls, `pairs` joins entries and exits of each thread,
//! `summary` prints.

mod pairs;
mod roles;
mod summary;

pub use pairs::{Calls, Group};
pub use roles::{CallError, Roles};
pub use summary::{Singles, Summary};
