//! Hidden files beside the streams of a trace, which CTF readers ignore.
//!
//! - [`tasks`]: thread names
//! - [`kallsyms`]: kernel functions
//! - [`mappings`]: code that processes mapped

pub mod kallsyms;
mod lines;
pub mod mappings;
pub mod tasks;
