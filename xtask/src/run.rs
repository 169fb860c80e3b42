//! `cargo xtask run`: builds everything as the user, then becomes `tracer`, with
//! privileges when its command needs them.

use std::convert::Infallible;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};

use crate::build::{self, Profile, Show};
use crate::{privilege, process};

/// Commands that only read what their caller can read.
const UNPRIVILEGED: [&str; 6] = ["report", "help", "--help", "-h", "--version", "-V"];

/// Builds and becomes `tracer ARGS`, so output, signals and exit status are its own.
/// Returns only when that fails.
///
/// # Errors
/// If the build fails, or `tracer` or `sudo` cannot be started.
pub fn run(args: &[OsString]) -> Result<Infallible> {
    let tracer = build::everything(Profile::Release, Show::Progress)?;
    let mut command = if privilege::is_root() || !needs_root(args) {
        Command::new(tracer)
    } else {
        let mut sudo = Command::new("sudo");
        sudo.arg("--").arg(tracer);
        sudo
    };
    command.args(args);
    let error = command.exec();
    Err(error).with_context(|| {
        format!(
            "cannot start `{}`; recording needs root, or sudo to become it",
            process::display(&command)
        )
    })
}

fn needs_root(args: &[OsString]) -> bool {
    let first = args.first().and_then(|arg| arg.to_str());
    first.is_some_and(|command| !UNPRIVILEGED.contains(&command))
}

#[cfg(test)]
mod tests {
    use crate::run::needs_root;

    #[test]
    fn recording_needs_root() {
        assert!(needs_root(&["record".into(), "--help".into()]));
    }

    #[test]
    fn reading_a_trace_needs_no_root() {
        assert!(!needs_root(&["report".into(), "trace".into()]));
    }

    #[test]
    fn showing_the_usage_needs_no_root() {
        assert!(!needs_root(&[]));
    }
}
