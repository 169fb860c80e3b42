//! Programs that the tests need on the machine itself.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{privilege, process};

/// A program, and the Debian package that has it.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// The program's file name.
    pub name: &'static str,
    /// The Debian package that installs it.
    pub package: &'static str,
}

/// Makes sure that each of `programs` can be run: as root on a Debian machine it installs
/// the missing ones.
///
/// # Errors
/// If one is missing and cannot be installed; the error names its package.
pub fn ensure_installed(programs: &[Program]) -> Result<()> {
    let missing = missing(programs);
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.join(" ");
    if !privilege::is_root() || process::find_program("apt-get").is_none() {
        bail!("missing {packages}; install with `sudo apt-get install {packages}`");
    }
    eprintln!("xtask: installing Debian packages: {packages}");
    let install = || {
        process::run_quietly(
            apt_get()
                .args(["install", "--yes", "--no-install-recommends"])
                .args(&missing),
            "installing Debian packages",
        )
    };
    // Lists that are fresh enough save the update, which takes longer than the rest.
    let known = process::output(Command::new("apt-cache").arg("show").args(&missing)).is_ok();
    if !(known && install().is_ok()) {
        process::run_quietly(apt_get().arg("update"), "reading Debian's packages")
            .with_context(|| format!("cannot install {packages}"))?;
        install().with_context(|| format!("cannot install {packages}"))?;
    }
    Ok(())
}

fn missing(programs: &[Program]) -> Vec<&'static str> {
    programs
        .iter()
        .filter(|program| process::find_program(program.name).is_none())
        .map(|program| program.package)
        .collect()
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command
        .args(["--quiet", "-o", "DPkg::Lock::Timeout=120"])
        .env("DEBIAN_FRONTEND", "noninteractive");
    command
}
