//! Running another command for its results: in a virtual machine, a job goes on after a
//! command that is expected to fail, and the outputs are kept apart.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use xtask::wire;

/// Runs `words` in the folder `name` of those that come back from the guest, and leaves its
/// exit status, what it wrote, and how long it took there.
pub(super) fn keep(name: &str, words: &[String]) -> Result<()> {
    let dir = Path::new(wire::OUT_DIR).join(name);
    fs::create_dir_all(&dir).with_context(|| super::cannot("create", &dir))?;
    let create = |entry: &str| {
        let path = dir.join(entry);
        File::create(&path).with_context(|| super::cannot("create", &path))
    };
    let start = Instant::now();
    let status = Command::new(&words[0])
        .args(&words[1..])
        .current_dir(&dir)
        .stdout(create(wire::STDOUT_ENTRY)?)
        .stderr(create(wire::STDERR_ENTRY)?)
        .status()
        .with_context(|| format!("cannot start `{}`", words[0]))?;
    let status = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(1);
    let write = |entry: &str, text: String| {
        let path = dir.join(entry);
        fs::write(&path, text).with_context(|| super::cannot("write", &path))
    };
    write(
        wire::SECONDS_ENTRY,
        start.elapsed().as_secs_f64().to_string(),
    )?;
    write(wire::STATUS_ENTRY, status.to_string())
}
