//! Files of Debian packages, without configuring the machine.
//!
//! [`PrivateApt`] reads a suite that the machine may not have, through an apt directory of
//! the project's own; [`ensure_installed`] is for programs that the machine itself needs.

use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

mod install;
mod private;
mod sources;

use crate::process;

pub use install::{Program, ensure_installed};
pub use private::PrivateApt;

/// Unpacks the files of a Debian package whose path, as in `usr/share/doc`, `keep` accepts,
/// into `target`.
///
/// # Errors
/// If the package is damaged or the folder cannot be written.
pub fn unpack(package: &Path, target: &Path, keep: impl Fn(&Path) -> bool) -> Result<()> {
    fs::create_dir_all(target).with_context(|| format!("cannot create `{}`", target.display()))?;
    let mut command = Command::new("dpkg-deb");
    command.arg("--fsys-tarfile").arg(package);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{}`", process::display(&command)))?;
    let stdout = child.stdout.take().context("the output is not a pipe")?;
    let unpacked = unpack_tar(stdout, target, keep);
    // The archive's end was not read after an error; the child then ends by a closed pipe,
    // and the error is what counts.
    let status = child
        .wait()
        .with_context(|| format!("cannot wait for `{}`", process::display(&command)))?;
    unpacked.with_context(|| format!("cannot unpack `{}`", package.display()))?;
    ensure!(
        status.success(),
        "`{}` ended with {status}",
        process::display(&command)
    );
    Ok(())
}

fn unpack_tar(
    mut stream: impl Read,
    target: &Path,
    keep: impl Fn(&Path) -> bool,
) -> io::Result<()> {
    let mut archive = tar::Archive::new(&mut stream);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?;
        if keep(path.strip_prefix("./").unwrap_or(&path)) {
            entry.unpack_in(target)?;
        }
    }
    // The padding must be read, too, or the writer finds its pipe closed.
    io::copy(&mut stream, &mut io::sink())?;
    Ok(())
}
