//! `bpf-linker`, which turns the compiler's output into an eBPF object.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{process, workspace};

/// The version to install. Later ones want a newer LLVM than that of the oldest compiler
/// that the workspace supports.
const VERSION: [u32; 3] = [0, 10, 3];

/// The linker on `PATH` or among the project's tools, when its version is suitable.
pub(super) fn find() -> Option<PathBuf> {
    let on_path = process::find_program("bpf-linker");
    on_path
        .into_iter()
        .chain([own_path()])
        .find(|linker| is_suitable(linker))
}

/// Finds the linker, or builds it into the project's tools.
pub(super) fn ensure() -> Result<PathBuf> {
    if let Some(linker) = find() {
        return Ok(linker);
    }
    let version = VERSION.map(|number| number.to_string()).join(".");
    eprintln!("xtask: setup: running `cargo install bpf-linker --version {version}`");
    let mut install = workspace::cargo();
    install
        .args(["install", "bpf-linker", "--locked", "--force", "--quiet"])
        .args(["--version", &version, "--root"])
        .arg(workspace::tools_dir())
        // Flags meant for the project's own code are not meant for its tools.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    process::run_quietly(&mut install, "building bpf-linker").with_context(|| {
        format!(
            "cannot get bpf-linker {version} for the eBPF build; \
             put a `bpf-linker` of version {}.{}.* on PATH, or make the crate registry reachable",
            VERSION[0], VERSION[1]
        )
    })?;
    find().with_context(|| {
        format!(
            "`{}` does not run though its installation succeeded",
            own_path().display()
        )
    })
}

fn own_path() -> PathBuf {
    workspace::tools_dir().join("bin/bpf-linker")
}

fn is_suitable(linker: &Path) -> bool {
    Command::new(linker)
        .arg("--version")
        .output()
        .is_ok_and(|output| is_suitable_version(&String::from_utf8_lossy(&output.stdout)))
}

fn is_suitable_version(text: &str) -> bool {
    let Some(version) = text.trim().strip_prefix("bpf-linker ") else {
        return false;
    };
    let mut numbers = version.split('.').map_while(|part| part.parse().ok());
    let found: [Option<u32>; 3] = std::array::from_fn(|_| numbers.next());
    let [major, minor, patch] = VERSION.map(Some);
    found[0] == major && found[1] == minor && found[2] >= patch
}

#[cfg(test)]
mod tests {
    use crate::setup::linker::is_suitable_version;

    #[test]
    fn the_wanted_version_is_suitable() {
        assert!(is_suitable_version("bpf-linker 0.10.3\n"));
    }

    #[test]
    fn a_version_for_another_llvm_is_not_suitable() {
        assert!(!is_suitable_version("bpf-linker 0.11.0\n"));
    }

    #[test]
    fn an_older_patch_is_not_suitable() {
        assert!(!is_suitable_version("bpf-linker 0.10.1\n"));
    }
}
