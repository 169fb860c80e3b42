//! Brings what building eBPF programs needs and the machine lacks: the sources of Rust's
//! core library for the compiler in use, and `bpf-linker`. Apart from it, [`miri`], which
//! one tier of the tests needs.
//!
//! Idempotent, and fast when there is nothing to do, so every command that builds calls
//! it first. The ordinary ways come first; nothing on the machine is configured, and what
//! is downloaded is kept in the target folder if possible.

use std::fs::{self, File};
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::workspace;

mod core_sources;
mod linker;
pub mod miri;
mod rustc;

pub use core_sources::CoreSources;

/// Parts of an eBPF build besides cargo.
#[derive(Debug)]
pub struct Toolchain {
    /// The sources of Rust's core library.
    pub core_sources: CoreSources,
    /// The `bpf-linker` to use.
    pub linker: PathBuf,
}

/// Finds the eBPF toolchain, and fetches the parts that are missing.
///
/// # Errors
/// If no known way to get a part works; the error names the part and what to do.
pub fn ensure() -> Result<Toolchain> {
    if let Some(toolchain) = find()? {
        return Ok(toolchain);
    }
    let _lock = lock()?;
    Ok(Toolchain {
        core_sources: core_sources::ensure()?,
        linker: linker::ensure()?,
    })
}

/// The parts that are there, without downloading any.
fn find() -> Result<Option<Toolchain>> {
    let Some(core_sources) = core_sources::find(&rustc::sysroot()?)? else {
        return Ok(None);
    };
    Ok(linker::find().map(|linker| Toolchain {
        core_sources,
        linker,
    }))
}

/// Two commands at a time would fetch the same things into the same place.
fn lock() -> Result<File> {
    let dir = workspace::tools_dir();
    fs::create_dir_all(&dir).with_context(|| format!("cannot create `{}`", dir.display()))?;
    let path = dir.join(".lock");
    let file =
        File::create(&path).with_context(|| format!("cannot create `{}`", path.display()))?;
    file.lock()
        .with_context(|| format!("cannot lock `{}`", path.display()))?;
    Ok(file)
}
