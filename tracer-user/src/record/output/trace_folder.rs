//! The folder that a recording writes.

mod describe;
mod parts;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::{Context, Result, bail};

use self::parts::{caller, is_of_a_trace, remove};
use crate::record::sink::{FileSink, IndexedSink, SinkKind};
use crate::trace::folder::chunk::METADATA;

pub(super) use describe::{Description, monotonic_ns};
pub(super) use parts::{
    NEW_METADATA, create_folder, give_to_caller, named, stream_sink, write_new,
};

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
        let created = match create_folder(&path) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(error.into()),
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

    /// The place for the packets of a CPU.
    pub(super) fn sink(
        &self,
        cpu: u32,
        kind: SinkKind,
        packet_bytes: usize,
    ) -> Result<IndexedSink<FileSink>> {
        Ok(stream_sink(&self.path, cpu, kind, packet_bytes)?)
    }

    /// Writes the metadata.
    ///
    /// # Errors
    /// Where it cannot be written, or somebody was faster: then the folder stays as it is.
    pub(super) fn write_metadata(&mut self, description: &Description) -> Result<()> {
        let path = self.path.join(METADATA);
        let written = write_new(&path, &description.text);
        if let Err(error) = &written {
            // What is in the folder is another trace, and not ours to remove.
            self.kept |= error.kind() == io::ErrorKind::AlreadyExists;
        }
        written?
            .sync_data()
            .map_err(|error| named(&path, "cannot write", &error))?;
        Ok(())
    }

    /// Lets the user who called `sudo` see what is in the folder while it is written; the
    /// parts are still closed to all but their owners.
    pub(super) fn show_to_caller(&self) -> Result<()> {
        if self.created && caller().is_some() {
            self.set_mode(0o755)?;
        }
        Ok(())
    }

    fn set_mode(&self, mode: u32) -> Result<()> {
        fs::set_permissions(&self.path, fs::Permissions::from_mode(mode))
            .with_context(|| format!("cannot change the mode of `{}`", self.path.display()))
    }

    /// Leaves the trace where it is. Under `sudo` it is given to the user who called.
    ///
    /// # Errors
    /// When it is no longer there: files that were removed are written without an error,
    /// and are gone when they are closed.
    pub(super) fn keep(self) -> Result<()> {
        let metadata = self.path.join(METADATA);
        self.keep_with(&metadata)
    }

    /// [`keep`](Self::keep) for a folder of chunks.
    pub(super) fn keep_chunks(self) -> Result<()> {
        let chunks = self.path.clone();
        self.keep_with(&chunks)
    }

    fn keep_with(mut self, part: &Path) -> Result<()> {
        self.kept = true;
        if !part.exists() {
            bail!(
                "the trace is lost: somebody removed `{}` while it was recorded",
                self.path.display()
            );
        }
        if self.created && caller().is_some() {
            self.set_mode(0o700)?;
        }
        Ok(give_to_caller(&self.path)?)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_was_created_is_removed_unless_it_is_kept() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("trace");
        let folder = TraceFolder::create(Some(&path), false).unwrap();
        drop(folder.sink(0, SinkKind::Copy, 4096).unwrap());
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
    fn a_trace_that_came_into_the_folder_meanwhile_stays_there() {
        let parent = tempfile::tempdir().unwrap();
        let create = || TraceFolder::create(Some(parent.path()), false).unwrap();
        let (mut first, mut second) = (create(), create());
        let description = Description {
            uuid: [0; 16],
            text: "x".to_owned(),
        };
        first.write_metadata(&description).unwrap();
        first.keep().unwrap();
        assert!(second.write_metadata(&description).is_err());
        drop(second);
        assert!(parent.path().join(METADATA).exists());
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
