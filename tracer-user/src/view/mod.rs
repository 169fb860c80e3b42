//! Views of a trace, for people and programs. They use only [`trace`](crate::trace) and
//! [`names`](crate::names), and need neither root nor eBPF nor Linux.

pub mod report;
