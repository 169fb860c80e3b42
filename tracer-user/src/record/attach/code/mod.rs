//! Code that is made for one probe and put into its copy of a template: which events are
//! wanted, and which values are fetched (`tracer_common::hook`).

mod asm;
mod context;
mod fetch;
mod filter;
mod value;

pub(super) use context::context;
pub(super) use filter::{Question, Tables, filter, syscall_filter};
pub(super) use value::Abi;

#[cfg(test)]
#[path = "code_tests.rs"]
mod tests;
