//! The inputs that are kept.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

/// An input, and the name of its file.
pub(crate) struct Input {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

fn folder(parser: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus")
        .join(parser)
}

/// All inputs of a parser, by name, so that runs repeat.
pub(crate) fn read(parser: &str) -> Vec<Input> {
    let folder = folder(parser);
    let entries = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("cannot read `{}`: {error}", folder.display()));
    let mut inputs: Vec<Input> = entries
        .map(|entry| entry.expect("an entry of the corpus").path())
        .map(|path| Input {
            name: path.file_name().unwrap().to_string_lossy().into_owned(),
            bytes: fs::read(&path).expect("a file of the corpus"),
        })
        .collect();
    assert!(!inputs.is_empty(), "`{}` is empty", folder.display());
    inputs.sort_by(|a, b| a.name.cmp(&b.name));
    inputs
}

/// Keeps an input that failed; returns its file.
pub(crate) fn keep(parser: &str, why: &str, bytes: &[u8]) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    let path = folder(parser).join(format!("failed-{why}-{:016x}", hasher.finish()));
    fs::write(&path, bytes).expect("the corpus can be written");
    path
}
