//! Other kernels, in virtual machines.
//!
//! [`run`] boots a kernel of a Debian package with a file system of this project's own in
//! memory, in which `guest-init` runs a [`Job`] and writes the results to a raw disk, and
//! returns them as an [`Outcome`]. Everything is emulated, so it needs no support by this
//! machine's kernel; from boot to exit takes three seconds.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! use xtask::vm::{self, Job, Kernel};
//!
//! let job = Job::new().command(["tracer", "record", "-o", "/out/trace", "--", "work", "getppid", "1000"]);
//! let outcome = vm::run(Kernel::named("6.12"), &job)?;
//! assert_eq!(outcome.status, 0, "{}", outcome.stderr);
//! let trace = outcome.out_dir().join("trace");
//! # Ok(())
//! # }
//! ```

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

use crate::apt::{self, Program};
use crate::build::{self, GuestBinaries, Show};
use crate::{process, workspace};

mod arch;
mod initramfs;
mod job;
pub mod jobs;
mod kernel;
mod outcome;
mod qemu;

pub use arch::Arch;
pub use job::Job;
pub use kernel::{Feature, KERNELS, Kernel, KernelChoice, Tests};
pub use outcome::Outcome;

/// Attempts to boot a machine if emulation fails.
const BOOTS: usize = 3;

/// Removes debug information from a guest's binaries.
const STRIP: Program = Program {
    name: "strip",
    package: "binutils",
};

/// Programs that running a virtual machine needs.
const PROGRAMS: [Program; 3] = [Arch::Amd64.emulator(), qemu::MKFS, STRIP];

/// Makes sure that this machine has the emulator, and what makes disks for it.
///
/// # Errors
/// If one is missing and cannot be installed.
pub fn ensure_programs() -> Result<()> {
    apt::ensure_installed(&PROGRAMS)
}

/// Boots `kernel`, runs `job` in it and returns the results. A command that fails is a result,
/// not an error.
///
/// # Errors
/// If a part is missing and cannot be installed, the machine does not end in time, or it ends
/// without results; the error then shows the end of its console.
pub fn run(kernel: Kernel, job: &Job) -> Result<Outcome> {
    let (binaries, image) = prepare(kernel)?;
    let runs = workspace::vm_dir().join("runs");
    std::fs::create_dir_all(&runs)
        .with_context(|| format!("cannot create `{}`", runs.display()))?;
    let dir = tempfile::Builder::new()
        .prefix(&format!("{}-", kernel.name))
        .tempdir_in(&runs)
        .with_context(|| format!("cannot create a folder in `{}`", runs.display()))?;

    let mut job = job.clone();
    for (binary, name) in [
        (&binaries.init, "init"),
        (&binaries.tracer, "bin/tracer"),
        (&binaries.work, "bin/work"),
    ] {
        job = job.linked(stripped(binary, dir.path())?, name.to_owned())?;
    }
    let machine = qemu::Machine::in_dir(dir.path());
    initramfs::write(&machine.initrd, &job)?;
    let mut result = machine.boot(kernel.arch, &image.vmlinuz, &job);
    for _ in 1..BOOTS {
        if result.is_ok() || !machine.was_failed_by_emulation() {
            break;
        }
        eprintln!(
            "xtask: vm: emulation failed kernel {}; booting again",
            kernel.name
        );
        result = machine.boot(kernel.arch, &image.vmlinuz, &job);
    }
    if let Err(error) = result {
        let log = workspace::vm_dir().join(format!("console-{}.log", kernel.name));
        // The error already shows the console's end, which matters more than a copy's failure.
        let _ = std::fs::copy(&machine.console, &log);
        return Err(error.context(format!(
            "no results from kernel {}, its console is in `{}`",
            image.release,
            log.display()
        )));
    }
    Outcome::read(&machine.results, dir, kernel, image.release)
}

/// Builds and downloads what is missing, for one machine at a time.
fn prepare(kernel: Kernel) -> Result<(GuestBinaries, kernel::Image)> {
    static PREPARING: Mutex<()> = Mutex::new(());
    let _one = PREPARING.lock().unwrap_or_else(PoisonError::into_inner);
    ensure_programs()?;
    Ok((build::guest(Show::Progress)?, kernel::ensure(kernel)?))
}

/// A copy of `binary` in `dir` without debug information: the guest's memory holds every byte
/// twice at boot.
fn stripped(binary: &Path, dir: &Path) -> Result<PathBuf> {
    let name = binary.file_name().context("a binary has a name")?;
    let copy = dir.join(name);
    let mut strip = Command::new(STRIP.name);
    process::output(strip.arg("--strip-debug").arg("-o").arg(&copy).arg(binary))?;
    Ok(copy)
}
