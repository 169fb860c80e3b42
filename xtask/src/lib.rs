//! The project's tooling, started as `cargo xtask COMMAND`.
//!
//! - [`cli`]: the commands and their options.
//! - [`setup`]: installs the eBPF toolchain; every command that builds calls it first.
//! - [`build`], [`run`]: the eBPF object, the recorder that embeds it, and starting it.
//! - [`mod@test`]: the tiers of checks, and their summary.
//! - [`btf`]: records types of other kernels for tests.
//! - [`fuzz`]: fuzzes the parsers.
//! - [`mod@bench`]: the cost of recording, compared with other recorders.
//! - [`vm`]: other kernels in virtual machines; `guest-init` and `work` run inside.
//! - [`apt`]: files of Debian packages, without configuring the machine.
//! - [`workspace`], [`process`], [`privilege`]: paths, running commands, and who runs them.

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
