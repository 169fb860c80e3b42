//! Paths of the workspace.
//!
//! All products are in the target folder. Each kind of build has its own folder there, because
//! cargo rebuilds everything when flags or the embedded object alternate within one folder: `target/tracer/release/tracer` carries the eBPF programs,
//! and a plain `cargo build`, which writes `target/release/tracer` without them, never
//! touches it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of the workspace's `Cargo.toml`.
#[must_use]
pub fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// The folder for everything that is built or downloaded: cargo's own choice
/// (`CARGO_TARGET_DIR`), or `target` in the workspace.
#[must_use]
pub fn target_dir() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(
        || root().join("target"),
        // Joined to the root because every nested command is started from there.
        |dir| root().join(dir),
    )
}

/// Tools for the build that the machine lacks.
#[must_use]
pub fn tools_dir() -> PathBuf {
    target_dir().join("tools")
}

/// Build folder of the eBPF programs.
#[must_use]
pub fn ebpf_target_dir() -> PathBuf {
    target_dir().join("ebpf")
}

/// Build folder of everything that embeds the eBPF object or is used with it.
#[must_use]
pub fn tracer_target_dir() -> PathBuf {
    target_dir().join("tracer")
}

/// Kernels, guest binaries and logs of the virtual machines.
#[must_use]
pub fn vm_dir() -> PathBuf {
    target_dir().join("vm")
}

/// A cargo command that runs in the workspace's root.
#[must_use]
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}
