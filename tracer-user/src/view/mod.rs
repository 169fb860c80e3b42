//! Views of a trace, for people and programs. They use only [`trace`](crate::trace) and
//! [`names`](crate::names), and need neither root nor eBPF nor Linux.

pub mod calls;
pub mod distribution;
mod ids;
mod line;
pub mod losses;
mod names;
pub mod pass;
pub mod report;
pub mod select;
pub mod stats;
pub mod table;
mod who;
