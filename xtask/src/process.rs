//! Running other programs: with their whole command line in every error, and with a
//! deadline, or a line of progress if it can take long.

use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// The command line as a person would type it, for messages.
#[must_use]
pub fn display(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().replace('\x1f', " "))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Runs `command` with this process's own output.
///
/// # Errors
/// If it cannot be started or does not succeed.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start `{}`", display(command)))?;
    check(command, status)
}

/// Runs `command` and returns its standard output.
///
/// # Errors
/// If it cannot be started, does not succeed (with what it wrote to standard error), or
/// writes something other than UTF-8.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot start `{}`", display(command)))?;
    check_output(command, &output)?;
    String::from_utf8(output.stdout)
        .with_context(|| format!("`{}` did not write UTF-8", display(command)))
}

/// Runs `command` and shows its output only if it fails. If it takes long, a line on standard
/// error shows what is being done: `what`, as in "building the programs".
///
/// # Errors
/// If it cannot be started or does not succeed.
pub fn run_quietly(command: &mut Command, what: &str) -> Result<()> {
    let output = with_progress(what, || command.stdin(Stdio::null()).output())
        .with_context(|| format!("cannot start `{}`", display(command)))?;
    if !output.status.success() {
        let mut stderr = io::stderr().lock();
        // The error below is what counts when standard error itself is gone.
        let _ = stderr
            .write_all(&output.stdout)
            .and_then(|()| stderr.write_all(&output.stderr));
    }
    check(command, output.status)
}

/// Runs `command` for at most `limit`, then ends it.
///
/// # Errors
/// If it cannot be started, does not succeed, or does not end in time.
pub fn run_within(command: &mut Command, limit: Duration) -> Result<()> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{}`", display(command)))?;
    let stderr = child.stderr.take().map(collect);
    let status = wait_within(&mut child, limit)
        .with_context(|| format!("cannot wait for `{}`", display(command)))?;
    let stderr = stderr
        .and_then(|thread| thread.join().ok())
        .unwrap_or_default();
    match status {
        Some(status) => check_output(
            command,
            &Output {
                status,
                stdout: Vec::new(),
                stderr,
            },
        ),
        None => bail!(
            "`{}` did not end within {} s",
            display(command),
            limit.as_secs()
        ),
    }
}

/// Waits for `child` for at most `limit`; then asks it to end and returns `None`.
///
/// # Errors
/// If the child cannot be waited for.
pub fn wait_within(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    const GRACE: Duration = Duration::from_secs(3);
    let pid = Pid::from_child(child);
    let (ended, expired) = mpsc::channel::<()>();
    let watch = thread::spawn(move || {
        if expired.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
            // A failure means that the child is gone already, which is what is wanted.
            let _ = kill_process(pid, Signal::TERM);
            if expired.recv_timeout(GRACE) == Err(mpsc::RecvTimeoutError::Timeout) {
                let _ = kill_process(pid, Signal::KILL);
            }
            return true;
        }
        false
    });
    let status = child.wait();
    drop(ended);
    let was_late = watch.join().unwrap_or(false);
    status.map(|status| (!was_late).then_some(status))
}

/// Does `work`. If it takes long, standard error shows that: a line with the elapsed time on a
/// terminal, a single line elsewhere.
pub fn with_progress<T>(what: &str, work: impl FnOnce() -> T) -> T {
    const FIRST: Duration = Duration::from_secs(2);
    const NEXT: Duration = Duration::from_secs(1);
    let (ended, over) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            let start = Instant::now();
            let is_terminal = io::stderr().is_terminal();
            let mut wait = FIRST;
            let mut shown = false;
            while over.recv_timeout(wait) == Err(mpsc::RecvTimeoutError::Timeout) {
                if is_terminal {
                    eprint!("\r\x1b[Kxtask: {what}, {} s", start.elapsed().as_secs());
                } else if !shown {
                    eprintln!("xtask: {what}, this can take a minute the first time");
                }
                shown = true;
                wait = NEXT;
            }
            if shown && is_terminal {
                eprint!("\r\x1b[K");
            }
        });
        let value = work();
        drop(ended);
        value
    })
}

/// The path of `program`, as found in `PATH`.
#[must_use]
pub fn find_program(program: &str) -> Option<PathBuf> {
    // System folders are searched too: a user's PATH often lacks them, and the tools in
    // them are fine for users.
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn collect(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // Show what could be read.
        let _ = pipe.read_to_end(&mut bytes);
        bytes
    })
}

fn check(command: &Command, status: ExitStatus) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    bail!("`{}` {}", display(command), describe(status))
}

fn check_output(command: &Command, output: &Output) -> Result<()> {
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    bail!(
        "`{}` {}: {}",
        display(command),
        describe(output.status),
        stderr.trim()
    )
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit status {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => format!("ended with {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_command_is_killed_at_its_deadline() {
        let mut command = Command::new("sleep");
        let error = run_within(command.arg("60"), Duration::from_millis(10)).unwrap_err();
        assert!(error.to_string().contains("did not end within"));
    }

    #[test]
    fn an_error_shows_the_standard_error_of_the_command() {
        let error = output(&mut shell("echo no such thing >&2; exit 3")).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("ended with exit status 3: no such thing")
        );
    }

    #[test]
    fn an_error_names_the_signal() {
        let error = output(&mut shell("kill -9 $$")).unwrap_err();
        assert!(error.to_string().contains("was ended by signal 9"));
    }

    #[test]
    fn an_absent_program_is_not_found() {
        assert_eq!(find_program("no-such-program-anywhere"), None);
    }
}
