//! A folder for a trace: created, kept, or removed again.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fs, io};

use crate::record::output::OutputError;
use crate::record::output::files::{
    caller, create_folder, give_to_caller, is_of_a_trace, named, remove, rename_new, write_new,
};
use crate::trace::folder::FolderLock;
use crate::trace::folder::chunk::{METADATA, NEW_METADATA};

/// A trace folder. Unless the trace is kept, what was created is removed again.
#[derive(Debug)]
pub struct TraceFolder {
    path: PathBuf,
    created: bool,
    kept: AtomicBool,
    /// Until the recording has ended.
    _lock: FolderLock,
}

impl TraceFolder {
    /// Creates the folder `asked`, or one named by date and time, or takes one that is empty.
    /// With `force` an old trace in it is removed, and nothing else.
    ///
    /// # Errors
    /// If it cannot be created, another recorder writes to it, or it is not empty and may not be
    /// emptied.
    pub fn create(asked: Option<&Path>, force: bool) -> Result<Self, OutputError> {
        let path = match asked {
            Some(path) => path.to_owned(),
            None => PathBuf::from(format!(
                "trace-{}",
                jiff::Zoned::now().strftime("%Y%m%d-%H%M%S")
            )),
        };
        let created = match create_folder(&path) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(error.into()),
        };
        let lock = FolderLock::take(&path)?;
        if !created {
            clear(&path, force)?;
        }
        Ok(Self {
            path,
            created,
            kept: AtomicBool::new(false),
            _lock: lock,
        })
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The last part of its path.
    #[must_use]
    pub fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// Writes the metadata.
    ///
    /// # Errors
    /// If it cannot be written, or exists: then the folder is left alone.
    pub(super) fn write_metadata(&self, text: &str) -> io::Result<()> {
        let (new, path) = (self.path.join(NEW_METADATA), self.path.join(METADATA));
        let file = write_new(&new, text)?;
        // A file of the final name is complete, even if the machine stops now.
        let synced = file.sync_data();
        let written = synced
            .map_err(|error| named(&path, "cannot write", &error))
            .and_then(|()| rename_new(&new, &path));
        if let Err(error) = &written {
            let _ = fs::remove_file(&new);
            if error.kind() == io::ErrorKind::AlreadyExists {
                // Another trace was put into the folder.
                self.set_kept();
            }
        }
        written
    }

    /// Lets the user who called `sudo` see what is in the folder while it is written; the
    /// parts are still closed to all but their owners.
    pub(super) fn show_to_caller(&self) -> io::Result<()> {
        if self.created && caller().is_some() {
            self.set_mode(0o755)?;
        }
        Ok(())
    }

    fn set_mode(&self, mode: u32) -> io::Result<()> {
        fs::set_permissions(&self.path, fs::Permissions::from_mode(mode))
            .map_err(|error| named(&self.path, "cannot change the mode of", &error))
    }

    fn set_kept(&self) {
        // Relaxed: read by the owner alone when it is dropped.
        self.kept.store(true, Ordering::Relaxed);
    }

    /// Keeps the trace. Under `sudo` it is given to the user who called.
    ///
    /// # Errors
    /// If it is gone: files that were removed are written without an error, and vanish when
    /// they are closed.
    pub(super) fn keep(&self) -> Result<(), OutputError> {
        self.keep_with(&self.path.join(METADATA))
    }

    /// [`keep`](Self::keep) for a folder of chunks.
    pub(super) fn keep_chunks(&self) -> Result<(), OutputError> {
        self.keep_with(&self.path)
    }

    fn keep_with(&self, part: &Path) -> Result<(), OutputError> {
        self.set_kept();
        if !part.exists() {
            return Err(OutputError::Removed(self.path.clone()));
        }
        if self.created && caller().is_some() {
            self.set_mode(0o700)?;
        }
        Ok(give_to_caller(&self.path)?)
    }
}

impl Drop for TraceFolder {
    fn drop(&mut self) {
        if *self.kept.get_mut() {
            return;
        }
        // The error that ended the recording names the folder, with what cannot be removed.
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

/// Empties a folder that exists.
fn clear(folder: &Path, force: bool) -> Result<(), OutputError> {
    let entries: Vec<PathBuf> = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
        .map_err(|error| named(folder, "cannot write to", &error))?;
    if entries.is_empty() {
        return Ok(());
    }
    if !force {
        return Err(OutputError::NotEmpty(folder.to_owned()));
    }
    if let Some(other) = entries.iter().find(|entry| !is_of_a_trace(entry)) {
        return Err(OutputError::NotATrace {
            folder: folder.to_owned(),
            entry: other.file_name().unwrap_or_default().display().to_string(),
        });
    }
    for entry in entries {
        remove(&entry).map_err(|error| named(&entry, "cannot remove", &error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_that_was_removed_is_lost() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("trace");
        let folder = TraceFolder::create(Some(&path), false).unwrap();
        fs::remove_dir(&path).unwrap();
        let error = folder.keep().unwrap_err();
        assert!(error.to_string().contains("is lost"), "{error}");
    }

    #[test]
    fn a_folder_that_is_not_empty_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        fs::write(parent.path().join("metadata"), "x").unwrap();
        let error = TraceFolder::create(Some(parent.path()), false).unwrap_err();
        assert!(error.to_string().contains("--force"), "{error}");
        assert!(parent.path().join("metadata").exists());
    }

    #[test]
    fn force_does_not_replace_a_trace_that_is_being_recorded() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("trace");
        let recorded = TraceFolder::create(Some(&path), false).unwrap();
        recorded.write_metadata("x").unwrap();
        for force in [true, false] {
            let error = TraceFolder::create(Some(&path), force).unwrap_err();
            assert!(error.to_string().contains("is in use"), "{error}");
        }
        assert!(path.join(METADATA).exists());
        recorded.keep().unwrap();
        drop(recorded);
        TraceFolder::create(Some(&path), true).unwrap();
    }

    #[test]
    fn metadata_is_complete_or_absent() {
        let parent = tempfile::tempdir().unwrap();
        let folder = TraceFolder::create(Some(parent.path()), false).unwrap();
        folder.write_metadata("x").unwrap();
        let names: Vec<_> = fs::read_dir(parent.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, [METADATA]);
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
    fn force_replaces_a_trace_in_chunks() {
        let parent = tempfile::tempdir().unwrap();
        let chunk = parent.path().join("chunk-000000-20261121T130532Z");
        fs::create_dir(&chunk).unwrap();
        fs::write(chunk.join("metadata"), "x").unwrap();
        fs::write(chunk.join("thesis.tex"), "x").unwrap();
        let error = TraceFolder::create(Some(parent.path()), true).unwrap_err();
        assert!(error.to_string().contains("chunk-000000"), "{error}");
        fs::remove_file(chunk.join("thesis.tex")).unwrap();
        TraceFolder::create(Some(parent.path()), true).unwrap();
        assert!(!chunk.exists());
    }
}
