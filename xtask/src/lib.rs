//! The project's own tooling, started as `cargo xtask COMMAND`.
//!
//! - [`cli`]: the commands and their options.
//! - [`setup`]: brings the eBPF toolchain; every building command calls it first.
//! - [`build`], [`run`]: the eBPF object, the recorder that embeds it, and starting it.
//! - [`mod@test`]: the tiers of checks, and their summary.
//! - [`btf`]: types of other kernels, recorded for tests.
//! - [`fuzz`]: damaged inputs for the parsers, by the million.
//! - [`mod@bench`]: what recording costs, beside other recorders.
//! - [`vm`]: other kernels in virtual machines; `guest-init` and `work` run inside.
//! - [`apt`]: what Debian's packages provide, without configuring the machine.
//! - [`workspace`], [`process`], [`privilege`]: where things are, running commands, and
//!   who runs them.

pub mod apt;
pub mod bench;
pub mod btf;
pub mod build;
pub mod cli;
pub mod fuzz;
pub mod privilege;
pub mod process;
pub mod run;
pub mod setup;
pub mod test;
pub mod vm;
pub mod workspace;
