//! Who runs this process, and what that allows.

use std::env;
use std::process::Command;

use anyhow::{Result, bail};

/// Whether this process may do everything.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Refuses to work under `sudo`, where a build would leave files of root in the target
/// folder of a user, who could then build no more. Root without `sudo` (a container, CI)
/// owns its tree and is welcome.
///
/// # Errors
/// When this process is root by way of `sudo`.
pub fn refuse_sudo() -> Result<()> {
    if is_root() && env::var_os("SUDO_UID").is_some() {
        bail!(
            "`cargo xtask` was started through sudo, which would build as root in a user's tree; \
             run it without sudo: it asks for privileges where it needs them"
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
