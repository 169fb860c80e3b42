//! Finds the file of a program or library: by path, as a command or by the name of a library, in
//! the file system that the recorded processes see.

mod cache;
mod library;
mod root;

use std::collections::HashSet;
use std::env;
use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use self::library::Libraries;
use self::root::Root;
use crate::probe::user::UserError;

/// A file with the name that the user knows it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::probe) struct ProgramFile {
    /// As typed, or as found, in the file system of the process.
    pub(in crate::probe) name: PathBuf,
    /// To open it from here.
    pub(in crate::probe) file: PathBuf,
}

/// Where programs are looked up.
#[derive(Debug)]
pub(in crate::probe) struct Finder {
    roots: Vec<Root>,
    /// Folders of commands, absolute.
    commands: Vec<PathBuf>,
}

impl Default for Finder {
    fn default() -> Self {
        Self::new(Path::new("/proc"), &[])
    }
}

impl Finder {
    /// Looks up programs as `processes` see them; without any, as this process does.
    pub(in crate::probe) fn new(proc: &Path, processes: &[u32]) -> Self {
        let path = env::var_os("PATH").unwrap_or_default();
        Self {
            roots: Root::of(proc, processes),
            commands: env::split_paths(&path)
                .filter(|folder| folder.is_absolute())
                .collect(),
        }
    }

    /// The files that a path or a name means: one, or one of each file system of the processes.
    pub(in crate::probe) fn find(&self, text: &str) -> Result<Vec<ProgramFile>, UserError> {
        let path = Path::new(text);
        if !text.contains('/') {
            return if path.is_file() {
                Ok(vec![here(path)])
            } else {
                self.by_name(text)
            };
        }
        if path.is_relative() {
            return Ok(vec![here(path)]);
        }
        let found = self.in_roots(|root| {
            let file = root.file(path);
            file.exists().then(|| ProgramFile {
                name: path.to_owned(),
                file,
            })
        });
        // A file that only the user sees. If there is none, reading it reports the error.
        Ok(if found.is_empty() {
            vec![here(path)]
        } else {
            found
        })
    }

    /// A command or a library.
    fn by_name(&self, name: &str) -> Result<Vec<ProgramFile>, UserError> {
        let mut error = None;
        let found = self.in_roots(|root| {
            if let Some(command) = self.command(root, name) {
                return Some(command);
            }
            Libraries::of(root).find(name).unwrap_or_else(|ambiguous| {
                error.get_or_insert(ambiguous);
                None
            })
        });
        match error {
            Some(error) => Err(error),
            None if found.is_empty() => Err(UserError::NotFound {
                name: name.to_owned(),
            }),
            None => Ok(found),
        }
    }

    fn command(&self, root: &Root, name: &str) -> Option<ProgramFile> {
        self.commands.iter().find_map(|folder| {
            let name = folder.join(name);
            let file = root.file(&name);
            let known = fs::metadata(&file).ok()?;
            let runs = known.is_file() && known.permissions().mode() & 0o111 != 0;
            runs.then_some(ProgramFile { name, file })
        })
    }

    /// What is found in the roots, each file once. Containers that share an image have the same
    /// files, in different file systems.
    fn in_roots(&self, find: impl FnMut(&Root) -> Option<ProgramFile>) -> Vec<ProgramFile> {
        let mut seen = HashSet::new();
        let found = self.roots.iter().filter_map(find);
        found
            .filter(|found| match fs::metadata(&found.file) {
                Ok(known) => seen.insert(identity(&known)),
                Err(_) => true,
            })
            .collect()
    }
}

fn identity(known: &Metadata) -> (u64, u64, i64, i64) {
    (known.ino(), known.len(), known.mtime(), known.mtime_nsec())
}

fn here(path: &Path) -> ProgramFile {
    ProgramFile {
        name: path.to_owned(),
        file: path.to_owned(),
    }
}

#[cfg(test)]
mod tests;
