//! Views of a trace, for people and programs. They use only [`trace`](crate::trace) and
//! [`names`](crate::names), and need neither root nor eBPF nor Linux.

mod ids;
mod line;
mod names;
pub mod pass;
pub mod report;
pub mod select;
pub mod stats;
pub mod table;
mod who;
