//! The socket of a recorder that is about to record.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use crate::record::control::contact::{Contact, contact};
use crate::record::control::runtime::failed;
use crate::record::control::{ControlError, RuntimeDir, SessionName};

/// A name that this process has claimed, and the socket for it. A client that connects waits
/// until it is [served](super::Server::start). The socket's file goes with its value.
#[derive(Debug)]
pub struct ControlSocket {
    /// Dropped before the listener: until that is closed nothing takes the file for dead and
    /// puts another in its place.
    pub(super) file: SocketFile,
    pub(super) listener: UnixListener,
}

/// The file of a socket; removed when this is dropped.
#[derive(Debug)]
pub(super) struct SocketFile {
    runtime: RuntimeDir,
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

impl ControlSocket {
    /// Takes a name. A socket that a killed recorder has left is replaced.
    ///
    /// # Errors
    /// [`ControlError::InUse`] when a live recorder has the name.
    pub fn claim(runtime: RuntimeDir, name: &SessionName) -> Result<Self, ControlError> {
        let path = runtime.socket_path(name);
        let in_use = |pid| ControlError::InUse {
            name: name.clone(),
            pid,
        };
        Self::claim_path(runtime, path, in_use)
    }

    /// Takes the socket of this process as one that detaches.
    pub fn claim_detaching(runtime: RuntimeDir) -> Result<Self, ControlError> {
        let path = runtime.detaching_path(std::process::id());
        let in_use = |pid| ControlError::InUse {
            name: SessionName::of_process(std::process::id()),
            pid,
        };
        Self::claim_path(runtime, path, in_use)
    }

    fn claim_path(
        runtime: RuntimeDir,
        path: PathBuf,
        in_use: impl Fn(Option<u32>) -> ControlError,
    ) -> Result<Self, ControlError> {
        // Between `bind` and `listen` a socket looks dead; the lock keeps others from looking.
        let lock = runtime.lock()?;
        match contact(&path).map_err(failed("look at", &path))? {
            Contact::Absent => {}
            Contact::Dead => fs::remove_file(&path).map_err(failed("remove", &path))?,
            Contact::Foreign => return Err(ControlError::NotASocket(path)),
            Contact::Crowded => return Err(in_use(None)),
            Contact::Live(_, pid) => return Err(in_use(pid)),
        }
        let listener =
            UnixListener::bind(&path).map_err(failed("make the control socket", &path))?;
        let close_to_others = || {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
            identity(&path)
        };
        let identity = close_to_others().map_err(|error| {
            // The first error matters more.
            let _ = fs::remove_file(&path);
            failed("close to others", &path)(error)
        })?;
        drop(lock);
        Ok(Self {
            listener,
            file: SocketFile {
                runtime,
                path,
                identity,
            },
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody may have removed the file, and another recorder may have taken the name.
        // Without the lock the file stays, to be recognised as dead.
        let Ok(_lock) = self.runtime.lock() else {
            return;
        };
        if identity(&self.path).is_ok_and(|identity| identity == self.identity)
            && let Err(error) = fs::remove_file(&self.path)
        {
            log::warn!("cannot remove `{}`: {error}", self.path.display());
        }
    }
}

/// Removes a socket if nothing listens to it; true if so.
pub(super) fn remove_dead(runtime: &RuntimeDir, path: &Path) -> Result<bool, ControlError> {
    let _lock = runtime.lock()?;
    let dead = matches!(
        contact(path).map_err(failed("look at", path))?,
        Contact::Dead
    );
    if dead {
        fs::remove_file(path).map_err(failed("remove", path))?;
    }
    Ok(dead)
}

fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    let found = path.symlink_metadata()?;
    Ok((found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::record::control::testing::folder;

    fn claim(folder: &TempDir) -> Result<ControlSocket, ControlError> {
        let runtime = RuntimeDir::create(folder.path())?;
        ControlSocket::claim(runtime, &"demo".parse().unwrap())
    }

    fn path(folder: &TempDir) -> PathBuf {
        folder.path().join("demo.sock")
    }

    #[test]
    fn a_socket_is_closed_to_others() {
        let folder = folder();
        let _socket = claim(&folder).unwrap();
        let mode = path(&folder).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
    }

    #[test]
    fn a_name_is_taken_once() {
        let folder = folder();
        let _first = claim(&folder).unwrap();
        let error = claim(&folder).unwrap_err();
        let this = std::process::id();
        assert!(
            matches!(error, ControlError::InUse { pid: Some(pid), .. } if pid == this),
            "{error}"
        );
    }

    #[test]
    fn a_socket_goes_with_its_value() {
        let folder = folder();
        drop(claim(&folder).unwrap());
        assert!(!path(&folder).exists());
    }

    #[test]
    fn a_dead_socket_is_replaced() {
        let folder = folder();
        drop(UnixListener::bind(path(&folder)).unwrap());
        let _socket = claim(&folder).unwrap();
        assert!(matches!(
            contact(&path(&folder)).unwrap(),
            Contact::Live(..)
        ));
    }

    #[test]
    fn a_file_that_is_no_socket_stays() {
        let folder = folder();
        fs::write(path(&folder), "thesis").unwrap();
        let error = claim(&folder).unwrap_err();
        assert!(matches!(error, ControlError::NotASocket(_)), "{error}");
        assert_eq!(fs::read(path(&folder)).unwrap(), b"thesis");
    }

    #[test]
    fn a_successor_keeps_its_socket() {
        let folder = folder();
        let first = claim(&folder).unwrap();
        fs::remove_file(path(&folder)).unwrap();
        let _second = claim(&folder).unwrap();
        drop(first);
        assert!(matches!(
            contact(&path(&folder)).unwrap(),
            Contact::Live(..)
        ));
    }

    #[test]
    fn only_dead_sockets_are_removed() {
        let folder = folder();
        let runtime = RuntimeDir::create(folder.path()).unwrap();
        let socket = claim(&folder).unwrap();
        assert!(!remove_dead(&runtime, &path(&folder)).unwrap());
        drop(socket);
        drop(UnixListener::bind(path(&folder)).unwrap());
        assert!(remove_dead(&runtime, &path(&folder)).unwrap());
        assert!(!path(&folder).exists());
    }
}
