//! Files in which the kernel describes itself. Their roots are parameters, so that tests can
//! use recorded files.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use crate::kernel::tracefs::format::{Format, FormatError};
use crate::kernel::tracefs::mount::Tracefs;

/// Roots of the kernel's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelFiles {
    /// Root of tracefs, usually `/sys/kernel/tracing`.
    pub tracefs: PathBuf,
    /// Root of procfs, usually `/proc`.
    pub proc: PathBuf,
    /// Root of sysfs, usually `/sys`.
    pub sys: PathBuf,
    /// Folder with a folder of modules for each kernel, usually `/lib/modules`.
    pub modules: PathBuf,
}

/// Why a file of the kernel could not be used.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The user is not permitted to read it.
    #[error("cannot read `{}`: permission denied; run as root", .0.display())]
    Permission(PathBuf),
    /// Anything else.
    #[error("cannot read `{}`: {cause}", path.display())]
    Io {
        /// Of the file or folder.
        path: PathBuf,
        /// Cause.
        cause: io::Error,
    },
    /// It cannot be parsed.
    #[error("cannot parse `{}`: {cause}", path.display())]
    Format {
        /// Of the format file.
        path: PathBuf,
        /// Cause.
        cause: FormatError,
    },
}

impl KernelError {
    fn io(path: PathBuf, cause: io::Error) -> Self {
        if cause.kind() == io::ErrorKind::PermissionDenied {
            Self::Permission(path)
        } else {
            Self::Io { path, cause }
        }
    }
}

impl KernelFiles {
    /// Those of the kernel that runs this process.
    #[must_use]
    pub fn running(tracefs: &Tracefs) -> Self {
        Self {
            tracefs: tracefs.path().to_owned(),
            proc: "/proc".into(),
            sys: "/sys".into(),
            modules: "/lib/modules".into(),
        }
    }

    /// Names of the subsystems that have tracepoints, sorted. ftrace's own records, which
    /// are listed like tracepoints but cannot be attached to, are left out.
    pub fn systems(&self) -> Result<Vec<String>, KernelError> {
        let mut systems = folders(&self.tracefs.join("events"))?;
        systems.retain(|system| system != FTRACE);
        Ok(systems)
    }

    /// Names of a subsystem's tracepoints, sorted.
    pub fn events(&self, system: &str) -> Result<Vec<String>, KernelError> {
        folders(&self.tracefs.join("events").join(system))
    }

    /// Whether a tracepoint exists.
    #[must_use]
    pub fn has_event(&self, system: &str, name: &str) -> bool {
        // A name is one folder; a path would lead elsewhere.
        let is_name = |part: &str| !part.is_empty() && !part.contains('/') && part != "..";
        is_name(system) && is_name(name) && self.event(system, name).join("format").exists()
    }

    /// Reads the description of a tracepoint.
    pub fn format(&self, system: &str, name: &str) -> Result<Format, KernelError> {
        let path = self.event(system, name).join("format");
        let text = self::read(&path)?;
        Format::parse(&text).map_err(|cause| KernelError::Format { path, cause })
    }

    fn event(&self, system: &str, name: &str) -> PathBuf {
        self.tracefs.join("events").join(system).join(name)
    }
}

/// The subsystem of ftrace's own records.
pub(crate) const FTRACE: &str = "ftrace";

/// Reads a whole file of the kernel; invalid UTF-8 is replaced.
pub(super) fn read(path: &Path) -> Result<String, KernelError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())),
        Err(cause) => Err(KernelError::io(path.to_owned(), cause)),
    }
}

fn folders(path: &Path) -> Result<Vec<String>, KernelError> {
    let error = |cause| KernelError::io(path.to_owned(), cause);
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(path).map_err(error)? {
        let entry = entry.map_err(error)?;
        if entry.file_type().map_err(error)?.is_dir()
            && let Ok(name) = entry.file_name().into_string()
        {
            names.insert(name);
        }
    }
    Ok(names.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_missing_is_named() {
        let files = KernelFiles {
            tracefs: "/nowhere".into(),
            proc: "/nowhere".into(),
            sys: "/nowhere".into(),
            modules: "/nowhere".into(),
        };
        let error = files.format("sched", "sched_switch").unwrap_err();
        assert!(
            error
                .to_string()
                .contains("/nowhere/events/sched/sched_switch/format"),
            "{error}"
        );
    }
}
