//! The workload under names that are known.

use std::os::unix::fs::symlink;

use crate::common::recording::{work, work_words};

/// Names under which the workload can be started.
pub(crate) struct Links {
    folder: tempfile::TempDir,
    names: Vec<String>,
}

impl Links {
    pub(crate) fn new(names: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            symlink(work(), folder.path().join(name)).unwrap();
        }
        let names = names.iter().map(|&name| name.to_owned()).collect();
        Self { folder, names }
    }

    pub(crate) fn dir(&self) -> String {
        self.folder.path().display().to_string()
    }

    /// The command that goes through all of them.
    pub(crate) fn words(&self) -> Vec<String> {
        let mut words = work_words(&["chain"]);
        let path = |name| format!("{}/{name}", self.dir());
        words.extend(self.names.iter().map(path));
        words
    }
}
