//! Finds tracefs, or mounts it privately if it is not mounted.

use std::io;
use std::path::{Path, PathBuf};

use crate::sys::mount::TracefsMount;

/// The command that mounts tracefs for all processes.
const MOUNT_COMMAND: &str = "mount -t tracefs tracefs /sys/kernel/tracing";

/// Why tracefs cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TracefsError {
    /// The mount table cannot be read.
    #[error("cannot read `{}`: {cause}", path.display())]
    MountTable {
        /// Of the mount table.
        path: PathBuf,
        /// Cause.
        cause: io::Error,
    },
    /// It is not in the mount table.
    #[error("tracefs is not mounted; mount it with `{MOUNT_COMMAND}`")]
    NotMounted,
    /// It is not mounted, and a private mount failed.
    #[error(
        "tracefs is not mounted and cannot be mounted privately ({0}); run as root, or mount it \
         with `{MOUNT_COMMAND}`"
    )]
    CannotMount(io::Error),
}

/// The mount point of tracefs according to `/proc/mounts`.
pub fn find_tracefs() -> Result<PathBuf, TracefsError> {
    find_tracefs_in(Path::new("/proc"))
}

/// As [`find_tracefs`], with another root of procfs.
pub fn find_tracefs_in(proc: &Path) -> Result<PathBuf, TracefsError> {
    let path = proc.join("mounts");
    let mounts =
        std::fs::read_to_string(&path).map_err(|cause| TracefsError::MountTable { path, cause })?;
    mount_point(&mounts, "tracefs")
        .or_else(|| {
            // The kernel mounts tracefs inside debugfs on first access; only then does it
            // appear in the mount table.
            let tracing = mount_point(&mounts, "debugfs")?.join("tracing");
            tracing.join("events").is_dir().then_some(tracing)
        })
        .ok_or(TracefsError::NotMounted)
}

/// The first mount point of a file system of this type in the text of `/proc/mounts`
/// (fstab(5)).
fn mount_point(mounts: &str, file_system: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let mut columns = line.split(' ');
        let place = columns.nth(1)?;
        (columns.next()? == file_system).then(|| PathBuf::from(unescape(place)))
    })
}

/// Space, tab, newline and backslash are written as `\040` and so on.
fn unescape(text: &str) -> String {
    [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// A tracefs to work with; a private one is gone when this is dropped.
#[derive(Debug)]
pub struct Tracefs {
    path: PathBuf,
    mount: Option<TracefsMount>,
}

impl Tracefs {
    /// Uses the mounted tracefs, or mounts one for this process alone.
    pub fn open() -> Result<Self, TracefsError> {
        Self::open_below(Path::new("/proc"))
    }

    /// As [`Tracefs::open`], with another root of procfs.
    pub fn open_below(proc: &Path) -> Result<Self, TracefsError> {
        match find_tracefs_in(proc) {
            Ok(path) => Ok(Self { path, mount: None }),
            Err(TracefsError::NotMounted) => Self::private(),
            Err(error) => Err(error),
        }
    }

    /// Mounts one for this process alone.
    pub fn private() -> Result<Self, TracefsError> {
        let mount = TracefsMount::new().map_err(TracefsError::CannotMount)?;
        Ok(Self {
            path: mount.path().to_owned(),
            mount: Some(mount),
        })
    }

    /// Its root; valid in this process while `self` lives.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is this process's own.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.mount.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(mounts: &str) -> Result<PathBuf, TracefsError> {
        let proc = tempfile::tempdir().unwrap();
        std::fs::write(proc.path().join("mounts"), mounts).unwrap();
        find_tracefs_in(proc.path())
    }

    #[test]
    fn the_mount_table_has_the_mount_point() {
        let mounts = "proc /proc proc rw 0 0\ntracefs /sys/kernel/tracing tracefs rw 0 0\n";
        assert_eq!(find(mounts).unwrap(), Path::new("/sys/kernel/tracing"));
    }

    #[test]
    fn the_type_counts_and_not_the_device() {
        let mounts = "tracefs /wrong tmpfs rw 0 0\nnodev /a\\040b tracefs rw 0 0\n";
        assert_eq!(find(mounts).unwrap(), Path::new("/a b"));
    }

    #[test]
    fn debugfs_brings_tracefs_with_it() {
        let debugfs = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(debugfs.path().join("tracing/events")).unwrap();
        let mounts = format!("debugfs {} debugfs rw 0 0\n", debugfs.path().display());
        assert_eq!(find(&mounts).unwrap(), debugfs.path().join("tracing"));
    }

    #[test]
    fn the_command_to_mount_it_is_named() {
        let error = find("proc /proc proc rw 0 0\n").unwrap_err();
        assert!(error.to_string().contains(MOUNT_COMMAND), "{error}");
    }
}
