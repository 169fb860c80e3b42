//! The lock of a trace folder, which its recorder holds to the end of the recording.
//!
//! It is a `flock(2)` of the folder itself: it goes with the process, however that ends, and
//! leaves no file. File systems without such locks have no protection.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Another process holds the lock.
#[derive(Debug, Error)]
#[error("`{}` is in use: a recording writes to it", .0.display())]
pub struct InUse(PathBuf);

/// A lock of a folder. It is released when this is dropped.
#[derive(Debug)]
pub struct FolderLock {
    folder: Option<File>,
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Closing the folder is not enough if a process that was forked has it open as well.
        // An error means that it was not locked.
        let _ = self.folder.as_ref().map(File::unlock);
    }
}

impl FolderLock {
    /// Takes the lock of `folder`, without waiting.
    ///
    /// # Errors
    /// If another process holds it.
    pub fn take(folder: &Path) -> Result<Self, InUse> {
        let file = File::open(folder).ok();
        match file.as_ref().map(File::try_lock) {
            Some(Err(TryLockError::WouldBlock)) => Err(InUse(folder.to_owned())),
            // The folder is not ours to open, or its file system has no locks.
            Some(Err(TryLockError::Error(_)) | Ok(())) | None => Ok(Self { folder: file }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_locked_once() {
        let folder = tempfile::tempdir().unwrap();
        let lock = FolderLock::take(folder.path()).unwrap();
        let error = FolderLock::take(folder.path()).unwrap_err();
        assert!(error.to_string().contains("is in use"), "{error}");
        drop(lock);
        FolderLock::take(folder.path()).unwrap();
    }
}
