//! Files and folders that others write.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{io, ptr, thread};

use anyhow::{Context, Result, ensure};
use rustix::system::uname;

const LIMIT: Duration = Duration::from_mins(1);
const INTERVAL: Duration = Duration::from_millis(5);

/// Waits until the current folder has an entry whose name begins with `prefix`.
pub(super) fn wait_for(prefix: &str) -> Result<()> {
    let start = Instant::now();
    while !has_entry(prefix)? {
        ensure!(start.elapsed() < LIMIT, "no `{prefix}…` appeared");
        thread::sleep(INTERVAL);
    }
    Ok(())
}

fn has_entry(prefix: &str) -> Result<bool> {
    let entries = fs::read_dir(".").context("cannot read the current folder")?;
    Ok(entries.flatten().any(|entry| {
        let name = entry.file_name();
        name.to_string_lossy().starts_with(prefix)
    }))
}

/// Writes the list of modules of this kernel anew, with one that exports `symbol`.
pub(super) fn note_module(name: &str, symbol: &str) -> Result<()> {
    let release = uname().release().to_string_lossy().into_owned();
    let dir = Path::new("/lib/modules").join(release);
    fs::create_dir_all(&dir)
        .and_then(|()| {
            let line = format!("alias symbol:{symbol} {name}\n");
            fs::write(dir.join("modules.symbols"), line)
        })
        .with_context(|| super::cannot("write to", &dir))
}

/// Moves this process to a cgroup, created if missing.
pub(super) fn enter_cgroup(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| super::cannot("create", path))?;
    let processes = path.join("cgroup.procs");
    // 0 is who writes it.
    fs::write(&processes, "0").with_context(|| super::cannot("write", &processes))
}

/// Prints a line for each file: `cached PATH`, or `uncached PATH`.
pub(super) fn print_cached(paths: &[PathBuf]) -> Result<()> {
    for path in paths {
        let cached = is_cached(path).with_context(|| super::cannot("read", path))?;
        let word = if cached { "cached" } else { "uncached" };
        println!("{word} {}", path.display());
    }
    Ok(())
}

/// Asks by mincore(2), which all kernels have, and which reads nothing itself.
#[allow(unsafe_code)]
fn is_cached(path: &Path) -> Result<bool> {
    const LEN: usize = 1;
    let file = File::open(path)?;
    ensure!(file.metadata()?.len() > 0, "it is empty");
    // SAFETY: the kernel chooses a free place for a new mapping.
    let start = unsafe {
        let (nowhere, fd) = (ptr::null_mut(), file.as_raw_fd());
        libc::mmap(nowhere, LEN, libc::PROT_READ, libc::MAP_SHARED, fd, 0)
    };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error().into());
    }
    let mut page = 0_u8;
    // SAFETY: asks about the one page of that mapping, and fills a byte for it.
    let asked = unsafe { libc::mincore(start, LEN, &raw mut page) };
    let error = io::Error::last_os_error();
    // SAFETY: nothing refers to the mapping.
    unsafe { libc::munmap(start, LEN) };
    ensure!(asked == 0, error);
    Ok(page & 1 != 0)
}
