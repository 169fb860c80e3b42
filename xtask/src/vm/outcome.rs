//! The results of a virtual machine.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::vm::Kernel;
use crate::wire;

/// The results of a job. Its files live as long as this value.
#[derive(Debug)]
pub struct Outcome {
    /// Exit status of the last command that ran; 128 and the signal for one that a signal
    /// ended, 127 for one that could not be started.
    pub status: i32,
    /// Standard output of all commands, one after the other.
    pub stdout: String,
    /// Standard error of all commands.
    pub stderr: String,
    /// The kernel that was booted.
    pub kernel: Kernel,
    /// Its release, as its package names it.
    pub release: String,
    dir: TempDir,
}

impl Outcome {
    /// The folder that holds what the commands left in `/out`.
    #[must_use]
    pub fn out_dir(&self) -> PathBuf {
        self.dir.path().join(wire::OUT_ENTRY)
    }

    /// The commands of [`work keep`](wire::SECONDS_ENTRY) with their seconds, the slowest first.
    #[must_use]
    pub fn seconds(&self) -> Vec<(String, f64)> {
        let entries = fs::read_dir(self.out_dir()).into_iter().flatten().flatten();
        let seconds = |entry: fs::DirEntry| {
            let text = fs::read_to_string(entry.path().join(wire::SECONDS_ENTRY)).ok()?;
            Some((entry.file_name().into_string().ok()?, text.parse().ok()?))
        };
        let mut all: Vec<(String, f64)> = entries.filter_map(seconds).collect();
        all.sort_by(|one, other| other.1.total_cmp(&one.1));
        all
    }

    /// Moves that folder to `target`, where it outlives this value.
    ///
    /// # Errors
    /// If `target` exists and is not empty, or lies on another file system.
    pub fn keep_out(&self, target: &Path) -> Result<()> {
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)
                .with_context(|| format!("cannot create `{}`", parent.display()))?;
        }
        fs::rename(self.out_dir(), target)
            .with_context(|| format!("cannot move the guest's files to `{}`", target.display()))
    }

    /// Reads the disk that the guest wrote.
    pub(super) fn read(disk: &Path, dir: TempDir, kernel: Kernel, release: String) -> Result<Self> {
        unpack(disk, dir.path())
            .with_context(|| format!("cannot read the results in `{}`", disk.display()))?;
        let text = |name: &str| -> Result<String> {
            let path = dir.path().join(name);
            let bytes = fs::read(&path).with_context(|| format!("the guest left no `{name}`"))?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let status = text(wire::STATUS_ENTRY)?;
        Ok(Self {
            status: status
                .parse()
                .with_context(|| format!("the guest left `{status}` as its status"))?,
            stdout: text(wire::STDOUT_ENTRY)?,
            stderr: text(wire::STDERR_ENTRY)?,
            kernel,
            release,
            dir,
        })
    }
}

fn unpack(disk: &Path, into: &Path) -> io::Result<()> {
    let mut archive = tar::Archive::new(BufReader::new(File::open(disk)?));
    archive.set_preserve_permissions(false);
    archive.unpack(into)?;
    // The disk repeats what was just unpacked.
    fs::remove_file(disk)
}
