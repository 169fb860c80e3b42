//! Code that is generated for a probe and linked into its program: filters, contexts and
//! fetched values (`tracer_common::hook`).

pub(in crate::record) mod asm;
mod context;
mod fetch;
mod filter;
mod node;
mod record;
mod value;

pub(super) use context::context;
pub(super) use filter::{Question, Tables, call_filter, filter, syscall_filter};
pub(super) use value::Abi;

#[cfg(test)]
#[path = "code_tests.rs"]
mod tests;
