//! Reading a trace. Uses [`trace`](crate::trace) alone: no root, no eBPF, no Linux.

pub mod report;
