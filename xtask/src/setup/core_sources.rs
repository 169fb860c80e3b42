//! The sources of Rust's core library, which is compiled along with the eBPF programs
//! because no compiled one exists for their target.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use crate::apt::{PrivateApt, unpack};
use crate::setup::rustc;
use crate::{process, workspace};

/// The release of Debian whose backports carry current compilers.
const BACKPORTS: &str = "trixie-backports";
/// Enough for a few megabytes on a slow line, and short enough where packets are dropped.
const RUSTUP_LIMIT: Duration = Duration::from_secs(25);

/// The sources of the core library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CoreSources {
    /// In the compiler's own folder, where cargo finds them by itself.
    InToolchain(PathBuf),
    /// In a folder that a variable names for cargo.
    At(PathBuf),
}

impl CoreSources {
    /// The folder that holds `core`.
    #[must_use]
    pub fn dir(&self) -> &Path {
        match self {
            Self::InToolchain(dir) | Self::At(dir) => dir,
        }
    }

    /// Names the sources for a cargo command.
    pub fn apply<'a>(&self, cargo: &'a mut Command) -> &'a mut Command {
        match self {
            Self::InToolchain(_) => cargo,
            // Made for cargo's own tests, and the only way to name this folder to a
            // compiler whose files belong to somebody else.
            Self::At(dir) => cargo.env("__CARGO_TESTS_ONLY_SRC_ROOT", dir),
        }
    }
}

/// Looks in the known places, without downloading.
pub(super) fn find(sysroot: &Path) -> Result<Option<CoreSources>> {
    let in_toolchain = sysroot.join("lib/rustlib/src/rust/library");
    if is_library(&in_toolchain) {
        return Ok(Some(CoreSources::InToolchain(in_toolchain)));
    }
    if !workspace::tools_dir().exists() {
        return Ok(None);
    }
    let own = own_dir(&rustc::version()?);
    Ok(is_library(&own).then_some(CoreSources::At(own)))
}

/// Finds the sources, or fetches them: by rustup, else from Debian's package.
pub(super) fn ensure() -> Result<CoreSources> {
    let sysroot = rustc::sysroot()?;
    if let Some(found) = find(&sysroot)? {
        return Ok(found);
    }
    let version = rustc::version()?;
    let by_rustup = fetch_by_rustup(&sysroot);
    if let Err(error) = &by_rustup {
        eprintln!(
            "xtask: setup: no rust-src by rustup, fetching Debian's package rust-src {version}"
        );
        let by_debian = fetch_from_debian(&version);
        if let Err(debian) = by_debian {
            return Err(anyhow!(
                "cannot get the core sources of rustc {version} for the eBPF build: \
                 by rustup: {error:#}; from Debian: {debian:#}; \
                 install them by `rustup component add rust-src`, or unpack that version's \
                 `library` folder as `{}`",
                own_dir(&version).display()
            ));
        }
    }
    find(&sysroot)?.with_context(|| {
        format!(
            "no core sources of rustc {version} below `{}` though fetching them succeeded",
            sysroot.display()
        )
    })
}

fn fetch_by_rustup(sysroot: &Path) -> Result<()> {
    if process::find_program("rustup").is_none() {
        bail!("no rustup on this machine");
    }
    let toolchain = sysroot
        .file_name()
        .and_then(|name| name.to_str())
        .context("the toolchain has no name")?;
    eprintln!("xtask: setup: running `rustup component add rust-src`");
    process::run_within(
        Command::new("rustup").args(["component", "add", "rust-src", "--toolchain", toolchain]),
        RUSTUP_LIMIT,
    )
}

/// Takes the sources out of Debian's package: they must be the compiler's own version, to
/// the last digit, because the core library uses unstable features of its compiler.
fn fetch_from_debian(version: &str) -> Result<()> {
    let apt = PrivateApt::for_suite(BACKPORTS, None)?;
    let versions = apt.versions("rust-src")?;
    let wanted = versions
        .iter()
        .find(|candidate| is_version(candidate, version))
        .with_context(|| {
            format!("{BACKPORTS} has rust-src in {versions:?}, not in version {version}")
        })?;
    let target = workspace::tools_dir().join(format!("rust-src-{version}"));
    let scratch = tempfile::tempdir_in(workspace::tools_dir())
        .context("cannot create a folder for the package")?;
    let package = apt.download(&format!("rust-src={wanted}"), scratch.path())?;
    let unpacked = scratch.path().join("unpacked");
    let library = library_in_package(version);
    unpack(&package, &unpacked, |path| path.starts_with(&library))?;
    if target.exists() {
        fs::remove_dir_all(&target)
            .with_context(|| format!("cannot remove the incomplete `{}`", target.display()))?;
    }
    // A rename at the end, so that the folder is either absent or complete.
    fs::rename(&unpacked, &target)
        .with_context(|| format!("cannot move the sources to `{}`", target.display()))
}

fn own_dir(version: &str) -> PathBuf {
    workspace::tools_dir()
        .join(format!("rust-src-{version}"))
        .join(library_in_package(version))
}

fn library_in_package(version: &str) -> PathBuf {
    PathBuf::from(format!("usr/src/rustc-{version}/library"))
}

fn is_library(dir: &Path) -> bool {
    dir.join("core/src/lib.rs").is_file() && dir.join("Cargo.lock").is_file()
}

/// Whether a package's version, as in `1.95.0+dfsg1-2~bpo13+1`, is that of the compiler.
fn is_version(package: &str, compiler: &str) -> bool {
    package
        .strip_prefix(compiler)
        .is_some_and(|rest| rest.starts_with(['+', '-', '~']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_of_the_compilers_version() {
        assert!(is_version("1.95.0+dfsg1-2~bpo13+1", "1.95.0"));
    }

    #[test]
    fn a_package_of_a_longer_version_is_another() {
        assert!(!is_version("1.95.01+dfsg1-2", "1.95.0"));
    }

    #[test]
    fn sources_in_the_toolchain_need_no_variable() {
        let mut cargo = Command::new("cargo");
        CoreSources::InToolchain("/lib".into()).apply(&mut cargo);
        assert_eq!(cargo.get_envs().count(), 0);
    }
}
