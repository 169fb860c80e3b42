//! The compiler in use.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{process, workspace};

/// The folder that the compiler's own libraries are in.
pub(super) fn sysroot() -> Result<PathBuf> {
    let sysroot = process::output(rustc().args(["--print", "sysroot"]))?;
    Ok(PathBuf::from(sysroot.trim()))
}

/// The compiler's version, as in `1.95.0`.
pub(super) fn version() -> Result<String> {
    let text = process::output(rustc().arg("-vV"))?;
    parse_release(&text)
        .map(str::to_owned)
        .with_context(|| format!("`rustc -vV` names no release: {text}"))
}

fn rustc() -> Command {
    let mut command = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    command.current_dir(workspace::root());
    command
}

fn parse_release(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("release: "))
}

#[cfg(test)]
mod tests {
    use crate::setup::rustc::parse_release;

    #[test]
    fn the_release_has_its_own_line() {
        let text = "rustc 1.95.0 (59807616e 2026-04-14)\nbinary: rustc\nrelease: 1.95.0\n";
        assert_eq!(parse_release(text), Some("1.95.0"));
    }
}
