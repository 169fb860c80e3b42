//! The project's tooling, started as `cargo xtask COMMAND`.
//!
//! - [`cli`]: the commands and their options.
//! - [`setup`]: installs the eBPF toolchain; every command that builds calls it first.
//! - [`build`], [`run`]: the eBPF object, the recorder that embeds it, and starting it.
//! - [`mod@test`]: the tiers of checks, and their summary.
//! - [`btf`]: records types of other kernels for tests.
//! - [`fuzz`]: fuzzes the parsers.
//! - [`mod@bench`]: the cost of recording, compared with other recorders.
//! - [`certify`]: compares recipes of tracepoints with perf's tracepoints.
//! - [`vm`]: other kernels in virtual machines; `guest-init` and `work` run inside.
//! - [`wire`]: what host and guest agree on. Without the feature `tool`, there is only this: the
//!   programs of the guests are optimised, and need nothing else.
//! - [`apt`]: files of Debian packages, without configuring the machine.
//! - [`workspace`], [`process`], [`privilege`]: paths, running commands, and who runs them.

#[cfg(feature = "tool")]
pub mod apt;
#[cfg(feature = "tool")]
pub mod bench;
#[cfg(feature = "tool")]
pub mod btf;
#[cfg(feature = "tool")]
pub mod build;
#[cfg(feature = "tool")]
pub mod certify;
#[cfg(feature = "tool")]
pub mod cli;
#[cfg(feature = "tool")]
pub mod fuzz;
#[cfg(feature = "tool")]
pub mod privilege;
#[cfg(feature = "tool")]
pub mod process;
#[cfg(feature = "tool")]
pub mod run;
#[cfg(feature = "tool")]
pub mod setup;
#[cfg(feature = "tool")]
pub mod test;
#[cfg(feature = "tool")]
pub mod vm;
pub mod wire;
#[cfg(feature = "tool")]
pub mod workspace;
