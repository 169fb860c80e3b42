//! The job of a virtual machine.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process;
use crate::wire::GuestJob;

/// Commands to run in a guest, one after the other until one fails, and what they need.
///
/// The guest has `tracer` and `work` on its `PATH`, no shell, and an empty `/tmp`. Files
/// that commands leave in `/out` come back.
#[derive(Clone, Debug)]
pub struct Job {
    pub(super) guest: GuestJob,
    pub(super) files: Vec<(PathBuf, String)>,
    pub(super) cpus: u32,
    pub(super) memory_mib: u32,
    pub(super) timeout: Duration,
    pub(super) clock: Clock,
}

/// The clock of a guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Clock {
    /// Time itself.
    #[default]
    Real,
    /// Each instruction, by a nanosecond.
    Instructions,
}

impl Default for Job {
    fn default() -> Self {
        Self {
            guest: GuestJob {
                commands: Vec::new(),
                tracefs: true,
                disk: false,
            },
            files: Vec::new(),
            cpus: 2,
            memory_mib: 2048,
            timeout: Duration::from_mins(2),
            clock: Clock::default(),
        }
    }
}

impl Job {
    /// Nothing to do, on two CPUs with 2 GiB of memory, tracefs and debugfs mounted, at most two
    /// minutes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a command and its arguments.
    #[must_use]
    pub fn command(mut self, words: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.guest
            .commands
            .push(words.into_iter().map(Into::into).collect());
        self
    }

    /// Whether tracefs and debugfs are mounted before the commands run.
    #[must_use]
    pub fn tracefs(mut self, mounted: bool) -> Self {
        self.guest.tracefs = mounted;
        self
    }

    /// Whether the guest has a disk with an ext4 file system at `/out/disk`; all else in it
    /// is kept in memory.
    #[must_use]
    pub fn disk(mut self, present: bool) -> Self {
        self.guest.disk = present;
        self
    }

    /// Puts a file of this machine into the guest's `/data`, under its own name.
    ///
    /// # Errors
    /// If the path does not end in a name.
    pub fn file(mut self, path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .with_context(|| format!("`{}` has no file name", path.display()))?;
        let guest = format!("data/{name}");
        self.files.push((path, guest));
        Ok(self)
    }

    /// Puts a program of this machine into the guest's `/bin`, and what it is linked with.
    ///
    /// # Errors
    /// If there is no such program, or its libraries cannot be listed.
    pub fn program(self, name: &str) -> Result<Self> {
        let path = process::find_program(name)
            .with_context(|| format!("no program `{name}` on this machine"))?;
        self.linked(path, format!("bin/{name}"))
    }

    /// Puts the program at `path` into the guest as `name`, and the libraries that it is linked
    /// with to where this machine has them.
    pub(super) fn linked(mut self, path: PathBuf, name: String) -> Result<Self> {
        let linked = process::output(Command::new("ldd").arg(&path))
            .with_context(|| format!("cannot list the libraries of `{}`", path.display()))?;
        for library in libraries(&linked) {
            let guest = library.trim_start_matches('/').to_owned();
            if !self.files.iter().any(|(_, name)| *name == guest) {
                self.files.push((library.into(), guest));
            }
        }
        self.files.push((path, name));
        Ok(self)
    }

    /// Sets the number of CPUs.
    #[must_use]
    pub fn cpus(mut self, cpus: u32) -> Self {
        self.cpus = cpus;
        self
    }

    /// Sets the guest's memory, which also holds its files, in MiB.
    #[must_use]
    pub fn memory_mib(mut self, memory_mib: u32) -> Self {
        self.memory_mib = memory_mib;
        self
    }

    /// Sets the time, boot included, after which the machine is ended.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Lets the guest's clock advance by a nanosecond with each instruction, on one CPU, so
    /// that CPU time counts instructions and repeats from run to run. Addresses are not
    /// randomised, because they decide which paths are taken.
    #[must_use]
    pub fn counting_instructions(mut self) -> Self {
        self.clock = Clock::Instructions;
        self.cpus = 1;
        self
    }
}

/// The paths in the output of ldd(1): after an arrow, or first in the line of the loader.
fn libraries(linked: &str) -> impl Iterator<Item = &str> {
    linked
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_have_a_path_and_the_kernel_s_own_has_none() {
        let linked = "\tlinux-vdso.so.1 (0x00007fa12f339000)\n\
            \tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007fa12e920000)\n\
            \t/lib64/ld-linux-x86-64.so.2 (0x00007fa12f33b000)\n";
        let paths: Vec<_> = libraries(linked).collect();
        assert_eq!(
            paths,
            [
                "/lib/x86_64-linux-gnu/libm.so.6",
                "/lib64/ld-linux-x86-64.so.2"
            ]
        );
    }
}
