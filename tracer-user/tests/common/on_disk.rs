//! For tests of what is written to disks: a place for files, and programs that must succeed.

use std::env;
use std::process::{Command, Output};

use tempfile::TempDir;

/// The build folder, which is on a disk; temporary files may be in memory.
pub(crate) fn folder() -> TempDir {
    let test = env::current_exe().unwrap();
    tempfile::tempdir_in(test.parent().unwrap()).unwrap()
}

/// Runs a program that must succeed.
pub(crate) fn run(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
    output
}
