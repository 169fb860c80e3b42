//! Hidden files beside the streams of a trace, which readers of CTF ignore.
//!
//! - [`tasks`]: names of threads
//! - [`kallsyms`]: functions of the kernel
//! - [`mappings`]: files that processes had mapped

pub mod kallsyms;
mod lines;
pub mod mappings;
pub mod tasks;
