//! The root of a process, which may be in another mount namespace or a chroot.

use std::collections::{HashSet, VecDeque};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// More symbolic links than this are a loop (`MAXSYMLINKS`, `include/linux/namei.h`).
const MAX_LINKS: usize = 40;

/// The file system that a process sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Root {
    /// Its root folder, seen from here; `None` if it is that of this process.
    folder: Option<PathBuf>,
    /// The mappings of the process (`/proc/PID/maps`).
    maps: Option<PathBuf>,
}

impl Root {
    /// The roots of `processes`, each once; that of this process if there are none.
    pub(super) fn of(proc: &Path, processes: &[u32]) -> Vec<Self> {
        let own = identity(&proc.join("self"));
        let mut seen = HashSet::new();
        let mut roots = Vec::new();
        for pid in processes {
            let process = proc.join(pid.to_string());
            let known = identity(&process);
            // Processes that are gone, or that may not be looked at, are reported elsewhere.
            if known.is_some() && seen.insert(known.clone()) {
                roots.push(Self {
                    folder: (known != own).then(|| process.join("root")),
                    maps: Some(process.join("maps")),
                });
            }
        }
        if roots.is_empty() {
            roots.push(Self {
                folder: None,
                maps: None,
            });
        }
        roots
    }

    #[cfg(test)]
    pub(super) fn at(folder: &Path) -> Self {
        Self {
            folder: Some(folder.to_owned()),
            maps: None,
        }
    }

    /// Where an absolute path of the process is, seen from here. Symbolic links are followed here,
    /// since the kernel would follow absolute ones from the root of this process.
    pub(super) fn file(&self, path: &Path) -> PathBuf {
        match &self.folder {
            Some(folder) => within(folder, path),
            None => path.to_owned(),
        }
    }

    /// The mappings of a process with this root.
    pub(super) fn maps(&self) -> Option<&Path> {
        self.maps.as_deref()
    }
}

/// The mount namespace of a process, and the device and inode of its root folder.
fn identity(process: &Path) -> Option<(PathBuf, u64, u64)> {
    let namespace = fs::read_link(process.join("ns/mnt")).ok()?;
    // The slash follows the link.
    let root = fs::metadata(process.join("root/")).ok()?;
    Some((namespace, root.dev(), root.ino()))
}

/// Follows `path` within `root`.
fn within(root: &Path, path: &Path) -> PathBuf {
    let mut rest: VecDeque<OsString> = parts(path).collect();
    let mut inside = PathBuf::new();
    let mut links = 0;
    while let Some(part) = rest.pop_front() {
        if part == ".." {
            inside.pop();
            continue;
        }
        let next = inside.join(&part);
        match fs::read_link(root.join(&next)) {
            Ok(target) if links < MAX_LINKS => {
                links += 1;
                if target.is_absolute() {
                    inside.clear();
                }
                for part in parts(&target).collect::<Vec<_>>().into_iter().rev() {
                    rest.push_front(part);
                }
            }
            _ => inside = next,
        }
    }
    root.join(inside)
}

/// Names of folders and `..`.
fn parts(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_within_the_root() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("usr/bin")).unwrap();
        fs::write(root.join("usr/bin/real"), "").unwrap();
        symlink("/usr/bin", root.join("bin")).unwrap();
        symlink("../../../usr/bin/real", root.join("usr/bin/relative")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let file = |path: &str| Root::at(root).file(Path::new(path));
        for path in [
            "/bin/real",
            "/usr/bin/real",
            "/bin/relative",
            "/../bin/real",
        ] {
            assert_eq!(file(path), root.join("usr/bin/real"), "{path}");
        }
        assert_eq!(file("/bin/none"), root.join("usr/bin/none"));
        assert_eq!(file("/loop"), root.join("loop"));
    }

    #[test]
    fn the_root_of_this_process_changes_no_path() {
        let own = std::process::id();
        for processes in [&[][..], &[own], &[own, own], &[u32::MAX]] {
            let roots = Root::of(Path::new("/proc"), processes);
            assert_eq!(roots.len(), 1);
            assert_eq!(roots[0].file(Path::new("/bin/sh")), Path::new("/bin/sh"));
        }
    }
}
