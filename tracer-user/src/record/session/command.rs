//! The command that a recording is about.

use std::env;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{self, ExitCode, ExitStatus};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;

use crate::sys::limits;

/// A command that exists, not started yet.
#[derive(Debug)]
pub(super) struct Command(process::Command);

impl Command {
    /// Finds the program on `PATH`. No words: no command. It will run as it would without a
    /// recording: with the limits that hold now.
    pub(super) fn resolve(words: &[OsString]) -> Result<Option<Self>> {
        let Some((program, args)) = words.split_first() else {
            return Ok(None);
        };
        let path = find(Path::new(program))
            .with_context(|| format!("cannot run `{}`", program.display()))?;
        let mut command = process::Command::new(path);
        command.args(args);
        limits::keep_open_files(&mut command);
        Ok(Some(Self(command)))
    }

    /// What will be run.
    pub(super) fn process(&mut self) -> &mut process::Command {
        &mut self.0
    }

    pub(super) fn start(self) -> Result<Running> {
        let program = self.0.get_program().to_owned();
        let child = tokio::process::Command::from(self.0)
            .spawn()
            .with_context(|| format!("cannot run `{}`", program.display()))?;
        Ok(Running { child })
    }
}

fn find(program: &Path) -> Result<PathBuf> {
    let executable = |path: &Path| {
        path.metadata()
            .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    };
    if program.components().count() > 1 {
        if !program.exists() {
            bail!("no such file");
        }
        if !executable(program) {
            bail!("not an executable file");
        }
        return Ok(program.to_owned());
    }
    env::split_paths(&env::var_os("PATH").unwrap_or_default())
        .map(|folder| folder.join(program))
        .find(|path| executable(path))
        .context("no such command on PATH")
}

/// A command that runs.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
}

impl Running {
    pub(super) async fn wait(&mut self) -> Result<ExitStatus> {
        self.child
            .wait()
            .await
            .context("cannot wait for the command")
    }

    /// Passes a signal on, if the command still runs.
    pub(super) fn signal(&self, signal: Signal) {
        if let Some(pid) = self.child.id().and_then(|pid| Pid::from_raw(pid as i32)) {
            // An error means that it has just ended.
            let _ = kill_process(pid, signal);
        }
    }
}

/// The status that a shell would show: the command's own, or 128 and the signal's number.
pub(super) fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(1);
    ExitCode::from(code as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(words: &[&str]) -> String {
        let words: Vec<OsString> = words.iter().map(Into::into).collect();
        format!("{:#}", Command::resolve(&words).unwrap_err())
    }

    #[test]
    fn a_command_that_is_not_there_is_named() {
        assert_eq!(
            error(&["no-such-command-here"]),
            "cannot run `no-such-command-here`: no such command on PATH"
        );
        assert_eq!(error(&["/no/such"]), "cannot run `/no/such`: no such file");
        assert_eq!(
            error(&["/etc/passwd"]),
            "cannot run `/etc/passwd`: not an executable file"
        );
    }

    #[test]
    fn a_signal_becomes_the_status_that_a_shell_shows() {
        assert_eq!(exit_code(ExitStatus::from_raw(3 << 8)), ExitCode::from(3));
        assert_eq!(exit_code(ExitStatus::from_raw(15)), ExitCode::from(143));
    }
}
