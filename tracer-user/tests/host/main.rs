//! Tests that attach programs to this machine's kernel. They need root, and run one at a time,
//! because each sees what the others do.
//!
//! Run by `cargo xtask test --tier host`.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/on_disk.rs"]
mod on_disk;

mod analyses;
mod beside;
mod btf;
mod buffers;
mod calls;
mod cli;
mod context;
mod damage;
mod detaching;
mod end;
mod features;
mod fetch;
mod fields;
mod filters;
mod follow;
mod names;
mod namespaces;
mod outputs;
mod probes;
mod programs;
mod refusal;
mod report;
mod rotation;
mod scope;
mod sessions;
mod sinks;
mod snapshots;
mod stacks;
mod state_dump;
mod summaries;
mod throttle;
mod truth;
mod unforeseen;
mod whole_kernel;
