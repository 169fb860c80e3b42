//! The folder that a recording writes.

use std::{
    env, fs,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail};
use rustix::time::{ClockId, clock_gettime};

use super::plan::Plan;
use crate::ctf::{Clock, EnvValue, TraceInfo, index, metadata, tasks};

/// A trace folder. Unless it is [kept](Self::keep), what was created is removed again.
#[derive(Debug)]
pub(super) struct TraceFolder {
    path: PathBuf,
    created: bool,
    kept: bool,
}

impl TraceFolder {
    /// Creates the folder, or takes one that is empty. One with something in it is refused
    /// unless `force`; then an old trace in it is removed, and nothing else.
    pub(super) fn create(asked: Option<&Path>, force: bool) -> Result<Self> {
        let path = match asked {
            Some(path) => path.to_owned(),
            None => PathBuf::from(format!(
                "trace-{}",
                jiff::Zoned::now().strftime("%Y%m%d-%H%M%S")
            )),
        };
        let created = match fs::DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => true,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => false,
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("cannot create the folder `{}`", path.display()));
            }
        };
        if !created {
            clear(&path, force)?;
        }
        Ok(Self {
            path,
            created,
            kept: false,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The last part of its path.
    pub(super) fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    pub(super) fn stream_path(&self, cpu: u32) -> PathBuf {
        self.path.join(format!("{STREAM_PREFIX}{cpu}"))
    }

    /// The file of the index of a stream; makes the folder that it is in.
    pub(super) fn index_path(&self, cpu: u32) -> Result<PathBuf> {
        let folder = self.path.join(index::FOLDER_NAME);
        match fs::DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error)
                .with_context(|| format!("cannot create the folder `{}`", folder.display())),
            _ => Ok(folder.join(format!("{STREAM_PREFIX}{cpu}{}", index::SUFFIX))),
        }
    }

    /// Writes the metadata.
    pub(super) fn write_metadata(&self, description: &Description) -> Result<()> {
        let path = self.path.join(METADATA);
        fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| {
                file.write_all(description.text.as_bytes())?;
                file.sync_data()
            })
            .with_context(|| format!("cannot write `{}`", path.display()))
    }

    /// Leaves the trace where it is. Under `sudo` it is given to the user who called.
    ///
    /// # Errors
    /// When the folder is no longer there: files that were removed are written without an
    /// error, and are gone when they are closed.
    pub(super) fn keep(mut self) -> Result<()> {
        self.kept = true;
        if !self.path.join(METADATA).exists() {
            bail!(
                "the trace is lost: somebody removed `{}` while it was recorded",
                self.path.display()
            );
        }
        let id = |name| env::var(name).ok().and_then(|id| id.parse().ok());
        let (Some(uid), Some(gid)) = (id("SUDO_UID"), id("SUDO_GID")) else {
            return Ok(());
        };
        let give = |path: &Path| {
            chown(path, Some(uid), Some(gid))
                .with_context(|| format!("cannot give `{}` to its user", path.display()))
        };
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            if is_index(&path) {
                for entry in fs::read_dir(&path)? {
                    give(&entry?.path())?;
                }
            }
            give(&path)?;
        }
        give(&self.path)
    }
}

impl Drop for TraceFolder {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        // What is left after a failure to remove is named by the error that brought us here.
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            if is_of_a_trace(&entry.path()) {
                let _ = remove(&entry.path());
            }
        }
        if self.created {
            let _ = fs::remove_dir(&self.path);
        }
    }
}

/// Makes room in a folder that exists.
fn clear(folder: &Path, force: bool) -> Result<()> {
    let path = folder.display();
    let entries: Vec<PathBuf> = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
        .with_context(|| format!("cannot write to `{path}`"))?;
    if entries.is_empty() {
        return Ok(());
    }
    if !force {
        bail!("the folder `{path}` is not empty; name another, or replace its trace with --force");
    }
    if let Some(other) = entries.iter().find(|entry| !is_of_a_trace(entry)) {
        bail!(
            "the folder `{path}` holds `{}`, which is not part of a trace; --force replaces \
             traces only",
            other.file_name().unwrap_or_default().display()
        );
    }
    for entry in entries {
        remove(&entry).with_context(|| format!("cannot remove `{}`", entry.display()))?;
    }
    Ok(())
}

const METADATA: &str = "metadata";
const STREAM_PREFIX: &str = "channel0_";

fn is_of_a_trace(path: &Path) -> bool {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("");
    let is_stream = |name: &str| {
        name.strip_prefix(STREAM_PREFIX)
            .is_some_and(|cpu| cpu.parse::<u32>().is_ok())
    };
    if is_index(path) {
        return fs::read_dir(path).is_ok_and(|mut entries| {
            entries.all(|entry| {
                entry.is_ok_and(|entry| {
                    entry
                        .file_name()
                        .to_str()
                        .and_then(|name| name.strip_suffix(index::SUFFIX))
                        .is_some_and(is_stream)
                })
            })
        });
    }
    path.is_file() && (name == METADATA || name == tasks::FILE_NAME || is_stream(name))
}

fn is_index(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name == index::FOLDER_NAME)
        && path.symlink_metadata().is_ok_and(|entry| entry.is_dir())
}

/// Removes a part of a trace.
fn remove(path: &Path) -> std::io::Result<()> {
    if is_index(path) {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    }
}

/// What a trace says of itself.
#[derive(Clone, Debug)]
pub(super) struct Description {
    /// The trace's identity, which each packet has.
    pub(super) uuid: [u8; 16],
    /// Its metadata.
    pub(super) text: String,
}

impl Description {
    /// Of a new trace.
    pub(super) fn new(plan: &Plan, trace_name: &str) -> Result<Self> {
        let uuid = random_uuid()?;
        let info = TraceInfo {
            uuid,
            clock: Clock {
                uuid: boot_id()?,
                offset_ns: realtime_ns().saturating_sub(monotonic_ns()),
            },
            env: environment(trace_name),
        };
        Ok(Self {
            uuid,
            text: metadata(&info, &plan.classes),
        })
    }
}

/// `CLOCK_MONOTONIC` in nanoseconds: the clock of all timestamps.
pub(super) fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

fn realtime_ns() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as u64)
}

fn boot_id() -> Result<[u8; 16]> {
    let path = "/proc/sys/kernel/random/boot_id";
    let text = fs::read_to_string(path).with_context(|| format!("cannot read `{path}`"))?;
    parse_uuid(text.trim()).with_context(|| format!("`{path}` holds no UUID"))
}

fn random_uuid() -> Result<[u8; 16]> {
    let path = "/proc/sys/kernel/random/uuid";
    let text = fs::read_to_string(path).with_context(|| format!("cannot read `{path}`"))?;
    parse_uuid(text.trim()).with_context(|| format!("`{path}` holds no UUID"))
}

fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    u128::from_str_radix(&digits, 16)
        .ok()
        .map(u128::to_be_bytes)
}

fn environment(trace_name: &str) -> Vec<(String, EnvValue)> {
    let system = rustix::system::uname();
    let text = |key: &str, value: &str| (key.to_owned(), EnvValue::Text(value.to_owned()));
    let number = |key: &str, value: &str| {
        let value = value.parse().unwrap_or(0);
        (key.to_owned(), EnvValue::Number(value))
    };
    vec![
        text("hostname", &system.nodename().to_string_lossy()),
        text("domain", "kernel"),
        text("sysname", &system.sysname().to_string_lossy()),
        text("kernel_release", &system.release().to_string_lossy()),
        text("kernel_version", &system.version().to_string_lossy()),
        text("machine", &system.machine().to_string_lossy()),
        text("tracer_name", "tracer"),
        number("tracer_major", env!("CARGO_PKG_VERSION_MAJOR")),
        number("tracer_minor", env!("CARGO_PKG_VERSION_MINOR")),
        number("tracer_patchlevel", env!("CARGO_PKG_VERSION_PATCH")),
        text("trace_name", trace_name),
        text(
            "trace_creation_datetime",
            &jiff::Timestamp::now()
                .strftime("%Y%m%dT%H%M%S+0000")
                .to_string(),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_was_created_is_removed_unless_it_is_kept() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("trace");
        let folder = TraceFolder::create(Some(&path), false).unwrap();
        fs::write(folder.stream_path(0), "x").unwrap();
        drop(folder);
        assert!(!path.exists());
        let folder = TraceFolder::create(Some(&path), false).unwrap();
        fs::write(path.join(METADATA), "x").unwrap();
        folder.keep().unwrap();
        assert!(path.exists());
    }

    #[test]
    fn a_trace_that_somebody_removed_is_lost() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("trace");
        let folder = TraceFolder::create(Some(&path), false).unwrap();
        fs::remove_dir(&path).unwrap();
        let error = folder.keep().unwrap_err();
        assert!(error.to_string().contains("is lost"), "{error}");
    }

    #[test]
    fn a_folder_with_something_in_it_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        fs::write(parent.path().join("metadata"), "x").unwrap();
        let error = TraceFolder::create(Some(parent.path()), false).unwrap_err();
        assert!(error.to_string().contains("--force"), "{error}");
        assert!(parent.path().join("metadata").exists());
    }

    #[test]
    fn force_replaces_a_trace_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        fs::write(parent.path().join("metadata"), "x").unwrap();
        fs::write(parent.path().join("thesis.tex"), "x").unwrap();
        let error = TraceFolder::create(Some(parent.path()), true).unwrap_err();
        assert!(error.to_string().contains("thesis.tex"), "{error}");
        assert!(parent.path().join("thesis.tex").exists());
        fs::remove_file(parent.path().join("thesis.tex")).unwrap();
        TraceFolder::create(Some(parent.path()), true).unwrap();
        assert!(!parent.path().join("metadata").exists());
    }

    #[test]
    fn uuids_are_read_in_the_order_of_their_digits() {
        let uuid = parse_uuid("00010203-0405-0607-0809-0a0b0c0d0e0f").unwrap();
        assert_eq!(uuid, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
    }
}
