//! The user of this process, and sudo.

use std::env;
use std::process::Command;

use anyhow::{Result, bail};

/// Whether this process may do everything.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Refuses to run under `sudo`: the build would leave root's files in a user's target folder,
/// and the user could no longer build. Root without `sudo` (a container, CI) owns its tree.
///
/// # Errors
/// If this process is root by way of `sudo`.
pub fn refuse_sudo() -> Result<()> {
    if is_root() && env::var_os("SUDO_UID").is_some() {
        bail!(
            "`cargo xtask` refuses to build as root in a user's tree; run it without sudo: it asks \
             for privileges when it needs them"
        );
    }
    Ok(())
}

/// Whether `sudo` starts a command without asking for a password.
#[must_use]
pub fn has_silent_sudo() -> bool {
    Command::new("sudo")
        .args(["-n", "true"])
        .output()
        .is_ok_and(|output| output.status.success())
}
