//! Facts about the kernel and this process from the files of procfs, sysfs and tracefs.

use std::fs;
use std::path::Path;

use crate::kernel::features::{Missing, Support};

/// Bits of capability sets (`include/uapi/linux/capability.h`).
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// The text of a small file without the newline at its end, if it can be read.
pub(super) fn read(root: &Path, path: &str) -> Option<String> {
    let text = fs::read_to_string(root.join(path)).ok()?;
    Some(text.trim().to_owned())
}

/// The release of a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// As `uname -r` prints it.
    pub text: String,
    /// Major and minor version.
    pub version: (u32, u32),
}

impl Release {
    pub(super) fn read(proc: &Path) -> Option<Self> {
        let text = read(proc, "sys/kernel/osrelease")?;
        let mut numbers = text.split(|c: char| !c.is_ascii_digit());
        let version = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
        Some(Self { text, version })
    }
}

/// The effective capabilities of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities(u64);

impl Capabilities {
    pub(super) fn read(proc: &Path) -> Option<Self> {
        let status = read(proc, "self/status")?;
        let mut lines = status.lines();
        let set = lines.find_map(|line| line.strip_prefix("CapEff:"))?;
        u64::from_str_radix(set.trim(), 16).ok().map(Self)
    }

    fn has(self, capability: u32) -> bool {
        self.0 & (1 << capability) != 0
    }

    /// Whether this process has `CAP_SYS_ADMIN`, as root has.
    #[must_use]
    pub fn is_admin(self) -> bool {
        self.has(CAP_SYS_ADMIN)
    }

    /// Names of the capabilities that recording needs and this process lacks.
    #[must_use]
    pub fn missing(self) -> Vec<&'static str> {
        if self.is_admin() {
            return Vec::new();
        }
        [(CAP_BPF, "CAP_BPF"), (CAP_PERFMON, "CAP_PERFMON")]
            .into_iter()
            .filter(|&(capability, _)| !self.has(capability))
            .map(|(_, name)| name)
            .collect()
    }

    /// Whether this process is permitted to record.
    #[must_use]
    pub fn allow_recording(self) -> bool {
        self.missing().is_empty()
    }
}

/// What the lockdown module forbids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lockdown {
    /// Its mode, from securityfs.
    Mode(String),
    /// The file is not there, as securityfs is not mounted; programs were tried instead.
    Inferred(MemoryReads),
}

/// Whether programs can read kernel memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryReads {
    /// They can.
    Allowed,
    /// The kernel is locked down for confidentiality.
    Forbidden,
}

impl Lockdown {
    pub(super) fn read(sys: &Path) -> Option<Self> {
        let text = read(sys, "kernel/security/lockdown")?;
        chosen_mode(&text).map(|mode| Self::Mode(mode.to_owned()))
    }

    /// Whether programs can read kernel memory.
    #[must_use]
    pub fn allows_reading(&self) -> bool {
        match self {
            Self::Mode(mode) => mode != "confidentiality",
            Self::Inferred(reads) => *reads == MemoryReads::Allowed,
        }
    }
}

/// `none [integrity] confidentiality` is `integrity`.
fn chosen_mode(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once('[')?;
    Some(rest.split_once(']')?.0)
}

/// Events for system calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyscallEvents {
    /// System calls whose arguments are described.
    pub described: usize,
}

impl SyscallEvents {
    pub(super) fn read(tracefs: &Path) -> Support<Self> {
        let events = tracefs.join("events");
        if events.read_dir().is_err() {
            return Err(Missing::NotPermitted("tracefs is not readable".into()));
        }
        if !events.join("raw_syscalls/sys_enter").is_dir() {
            return Err(Missing::NotBuilt("CONFIG_FTRACE_SYSCALLS"));
        }
        let described = events.join("syscalls").read_dir().map_or(0, |entries| {
            let names = entries.flatten().map(|entry| entry.file_name());
            names
                .filter(|name| name.as_encoded_bytes().starts_with(b"sys_enter_"))
                .count()
        });
        Ok(Self { described })
    }
}

/// CPUs of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpus {
    /// How many are running.
    pub online: u32,
    /// How many there can be.
    pub possible: u32,
}

impl Cpus {
    pub(super) fn read(sys: &Path) -> Option<Self> {
        let count = |list: &str| count_list(&read(sys, &format!("devices/system/cpu/{list}"))?);
        Some(Self {
            online: count("online")?,
            possible: count("possible")?,
        })
    }
}

/// The number of CPUs in a list: `0-3,8` has five.
fn count_list(text: &str) -> Option<u32> {
    text.split(',').try_fold(0_u32, |count, range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        count.checked_add(last.checked_sub(first)?.checked_add(1)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_in_brackets_is_in_force() {
        assert_eq!(
            chosen_mode("none [integrity] confidentiality"),
            Some("integrity")
        );
        assert_eq!(chosen_mode("none"), None);
    }

    #[test]
    fn only_confidentiality_hides_kernel_memory() {
        let mode = |mode: &str| Lockdown::Mode(mode.into()).allows_reading();
        assert!(mode("none"));
        assert!(mode("integrity"));
        assert!(!mode("confidentiality"));
        assert!(!Lockdown::Inferred(MemoryReads::Forbidden).allows_reading());
    }

    #[test]
    fn root_or_two_capabilities_allow_recording() {
        assert!(Capabilities(0x1ff_ffff_ffff).allow_recording());
        assert!(Capabilities(0xc0_0000_0000).allow_recording());
        assert_eq!(Capabilities(0x80_0000_0000).missing(), ["CAP_PERFMON"]);
        assert_eq!(Capabilities(0).missing(), ["CAP_BPF", "CAP_PERFMON"]);
    }

    #[test]
    fn lists_of_cpus_are_counted() {
        assert_eq!(count_list("0-3,8"), Some(5));
        assert_eq!(count_list("0"), Some(1));
        assert_eq!(count_list("3-0"), None);
        assert_eq!(count_list(""), None);
    }
}
