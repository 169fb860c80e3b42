//! The folder in which running recorders have their sockets.

use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, flock, fstat, openat, unlinkat};
use rustix::io::Errno;
use rustix::process::{Uid, geteuid};

use crate::record::control::{ControlError, FolderProblem, SessionName};

/// The folder of root, unless [`RUNTIME_DIR_VARIABLE`] names another.
pub const DEFAULT_RUNTIME_DIR: &str = "/run/tracer";

/// The environment variable that names another folder.
pub const RUNTIME_DIR_VARIABLE: &str = "TRACER_RUNTIME_DIR";

/// What names of sockets end with.
const SUFFIX: &str = ".sock";

/// What names of the sockets of [detachers](crate::record::detach) end with. The rest is the
/// process id: the name of a session is free as soon as its recording has ended.
const DETACHING_SUFFIX: &str = ".detaching";

/// The file that recorders lock while they attach.
const ATTACHING: &str = ".attaching";

/// A folder that belongs to the user of this process and is closed to all others.
///
/// It was checked through the descriptor that is kept, so that it cannot have been exchanged
/// between the check and its use but by its owner, or by who owns a folder above it.
#[derive(Debug)]
pub struct RuntimeDir {
    path: PathBuf,
    folder: OwnedFd,
}

/// Held while a socket is created or removed; others wait for it.
#[derive(Debug)]
pub(super) struct Lock {
    /// A lock of flock(2) goes with its open file.
    _folder: OwnedFd,
}

/// Held while a recorder attaches.
#[derive(Debug)]
#[must_use = "detachers pause until it is dropped"]
pub struct Attaching {
    folder: OwnedFd,
    /// A lock of flock(2) goes with its open file.
    file: OwnedFd,
}

impl RuntimeDir {
    /// The folder, as the environment names it, or the one of this process's user.
    #[must_use]
    pub fn default_path() -> PathBuf {
        let variable = |name: &str| env::var_os(name).filter(|path| !path.is_empty());
        match variable(RUNTIME_DIR_VARIABLE) {
            Some(path) => path.into(),
            None => folder_of(geteuid(), variable("XDG_RUNTIME_DIR").map(PathBuf::from)),
        }
    }

    /// Opens the folder at `path`, and makes it first if there is nothing.
    ///
    /// # Errors
    /// If it belongs to another user, is open to others, or is not a folder.
    pub fn create(path: &Path) -> Result<Self, ControlError> {
        match fs::DirBuilder::new().mode(0o700).create(path) {
            Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
                Err(failed("create the folder", path)(source))
            }
            _ => Self::open(path)?.ok_or_else(|| {
                failed("open the folder", path)(io::Error::from(io::ErrorKind::NotFound))
            }),
        }
    }

    /// Opens the folder at `path`; none if there is nothing.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn open(path: &Path) -> Result<Option<Self>, ControlError> {
        let problem = |problem| ControlError::Folder {
            path: path.to_owned(),
            problem,
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = match openat(CWD, path, flags, Mode::empty()) {
            Ok(folder) => folder,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::NOTDIR | Errno::LOOP) => return Err(problem(FolderProblem::NotAFolder)),
            Err(Errno::ACCESS) => {
                // There may be a better explanation than the error.
                use std::os::unix::fs::MetadataExt;
                return Err(match fs::symlink_metadata(path) {
                    Ok(found) if found.uid() != geteuid().as_raw() => {
                        problem(FolderProblem::Foreign(found.uid()))
                    }
                    _ => failed("open the folder", path)(Errno::ACCESS.into()),
                });
            }
            Err(error) => return Err(failed("open the folder", path)(error.into())),
        };
        let found = fstat(&folder).map_err(|error| failed("look at", path)(error.into()))?;
        if found.st_uid != geteuid().as_raw() {
            return Err(problem(FolderProblem::Foreign(found.st_uid)));
        }
        let mode = found.st_mode & 0o7777;
        if mode & 0o077 != 0 {
            return Err(problem(FolderProblem::Accessible(mode)));
        }
        Ok(Some(Self {
            path: path.to_owned(),
            folder,
        }))
    }

    /// The path of the socket of a session.
    #[must_use]
    pub fn socket_path(&self, name: &SessionName) -> PathBuf {
        self.path.join(format!("{name}{SUFFIX}"))
    }

    /// The path of the socket of a process that detaches.
    pub(super) fn detaching_path(&self, pid: u32) -> PathBuf {
        self.path.join(format!("{pid}{DETACHING_SUFFIX}"))
    }

    /// The names that have a socket, alive or not, in order.
    pub(super) fn names(&self) -> Result<Vec<SessionName>, ControlError> {
        let mut names = self.files(|file| file.strip_suffix(SUFFIX)?.parse().ok())?;
        names.sort();
        Ok(names)
    }

    /// The processes that have a socket as detachers, alive or not, in order.
    pub(super) fn detaching(&self) -> Result<Vec<u32>, ControlError> {
        let mut pids = self.files(|file| file.strip_suffix(DETACHING_SUFFIX)?.parse().ok())?;
        pids.sort_unstable();
        Ok(pids)
    }

    /// What `of` makes of the names of the files in the folder.
    fn files<T>(&self, of: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, ControlError> {
        let list = || -> io::Result<Vec<T>> {
            let mut found = Vec::new();
            for entry in fs::read_dir(&self.path)? {
                found.extend(entry?.file_name().to_str().and_then(&of));
            }
            Ok(found)
        };
        list().map_err(failed("list", &self.path))
    }

    /// Makes detachers pause until the result is dropped: while they detach, each program takes
    /// the kernel tens of milliseconds to attach.
    pub fn attaching(&self) -> Result<Attaching, ControlError> {
        // Against another recorder that is about to remove the file.
        let _lock = self.lock()?;
        let attaching = || -> Result<Attaching, Errno> {
            Ok(Attaching {
                folder: openat(&self.folder, ".", FOLDER_FLAGS, Mode::empty())?,
                file: self.lock_attaching(OFlags::CREATE, FlockOperation::LockShared)?,
            })
        };
        attaching().map_err(|error| failed("lock", &self.path.join(ATTACHING))(error.into()))
    }

    /// Whether a recorder is attaching.
    #[must_use]
    pub fn is_attaching(&self) -> bool {
        let operation = FlockOperation::NonBlockingLockExclusive;
        let locked = self.lock_attaching(OFlags::empty(), operation);
        locked.is_err_and(|error| error == Errno::WOULDBLOCK)
    }

    fn lock_attaching(&self, create: OFlags, operation: FlockOperation) -> Result<OwnedFd, Errno> {
        let flags = create | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.folder, ATTACHING, flags, Mode::RUSR | Mode::WUSR)?;
        flock(&file, operation)?;
        Ok(file)
    }

    /// Waits for all others that make or remove sockets here.
    pub(super) fn lock(&self) -> Result<Lock, ControlError> {
        lock(&self.folder).map_err(|error| failed("lock", &self.path)(error.into()))
    }
}

/// Opens a folder anew: a lock belongs to what was opened.
const FOLDER_FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

fn lock(folder: &OwnedFd) -> Result<Lock, Errno> {
    let folder = openat(folder, ".", FOLDER_FLAGS, Mode::empty())?;
    flock(&folder, FlockOperation::LockExclusive)?;
    Ok(Lock { _folder: folder })
}

impl Drop for Attaching {
    /// Removes the file unless another recorder is attaching. If that fails, the next one does.
    fn drop(&mut self) {
        if let Ok(_lock) = lock(&self.folder)
            && flock(&self.file, FlockOperation::NonBlockingLockExclusive).is_ok()
        {
            let _ = unlinkat(&self.folder, ATTACHING, AtFlags::empty());
        }
    }
}

/// Makes an error of the system one of this module.
pub(super) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ControlError {
    let path = path.to_owned();
    move |source| ControlError::Io {
        action,
        path,
        source,
    }
}

/// The folder of a user, whose `XDG_RUNTIME_DIR` this may be. Only root can make
/// [`DEFAULT_RUNTIME_DIR`].
fn folder_of(user: Uid, xdg: Option<PathBuf>) -> PathBuf {
    match xdg {
        _ if user.is_root() => DEFAULT_RUNTIME_DIR.into(),
        Some(folder) => folder.join("tracer"),
        None => env::temp_dir().join(format!("tracer-{user}")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn problem(path: &Path) -> FolderProblem {
        match RuntimeDir::create(path).unwrap_err() {
            ControlError::Folder { problem, .. } => problem,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_folder_that_is_made_is_closed_to_others() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("run");
        RuntimeDir::create(&path).unwrap();
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o700);
        RuntimeDir::create(&path).unwrap();
    }

    #[test]
    fn each_user_has_a_folder() {
        let xdg = || Some(PathBuf::from("/run/user/7"));
        let path = |uid, xdg| folder_of(Uid::from_raw(uid), xdg);
        assert_eq!(path(0, xdg()), Path::new("/run/tracer"));
        assert_eq!(path(7, xdg()), Path::new("/run/user/7/tracer"));
        assert_eq!(path(7, None), env::temp_dir().join("tracer-7"));
    }

    #[test]
    fn a_folder_that_is_not_there_is_nothing() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("run");
        assert!(RuntimeDir::open(&path).unwrap().is_none());
        assert!(!path.exists());
    }

    #[test]
    fn a_folder_that_others_can_look_into_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).unwrap();
        assert_eq!(problem(folder.path()), FolderProblem::Accessible(0o711));
    }

    #[test]
    fn a_link_to_a_folder_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let (target, link) = (parent.path().join("run"), parent.path().join("link"));
        RuntimeDir::create(&target).unwrap();
        symlink(&target, &link).unwrap();
        assert_eq!(problem(&link), FolderProblem::NotAFolder);
    }

    #[test]
    fn a_file_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(problem(file.path()), FolderProblem::NotAFolder);
    }

    #[test]
    fn only_files_that_can_be_sockets_of_sessions_are_listed() {
        let folder = crate::record::control::testing::folder();
        let runtime = RuntimeDir::create(folder.path()).unwrap();
        for file in ["b.sock", "a.sock", "notes", ".sock", ".x.sock", "a b.sock"] {
            fs::write(folder.path().join(file), "").unwrap();
        }
        let names: Vec<String> = runtime
            .names()
            .unwrap()
            .into_iter()
            .map(Into::into)
            .collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn processes_that_detach_are_listed_apart() {
        let folder = crate::record::control::testing::folder();
        let runtime = RuntimeDir::create(folder.path()).unwrap();
        for file in ["20.detaching", "7.detaching", "x.detaching", "8.sock"] {
            fs::write(folder.path().join(file), "").unwrap();
        }
        assert_eq!(runtime.detaching().unwrap(), [7, 20]);
        assert_eq!(runtime.names().unwrap().len(), 1);
    }

    #[test]
    fn several_recorders_may_attach_at_a_time() {
        let folder = crate::record::control::testing::folder();
        let runtime = RuntimeDir::create(folder.path()).unwrap();
        assert!(!runtime.is_attaching());
        let first = runtime.attaching().unwrap();
        let second = runtime.attaching().unwrap();
        drop(first);
        assert!(runtime.is_attaching());
        drop(second);
        assert!(!runtime.is_attaching());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
