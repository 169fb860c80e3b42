//! Running one command to its end, with what it used of the machine.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{io, thread};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::process;

/// A run takes a second or two; one that takes this long hangs.
const LIMIT: Duration = Duration::from_mins(2);
/// Interval of polling for the end, long enough not to disturb the measured loop.
const INTERVAL: Duration = Duration::from_millis(10);

/// A command that has ended.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) status: ExitStatus,
    /// CPU time in user and system mode, of the command and of all its children that it
    /// waited for, in nanoseconds (the kernel counts in microseconds).
    pub(super) cpu_ns: u64,
    /// The largest resident memory of the command or one of those children, in bytes.
    pub(super) peak_bytes: u64,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Finished {
    /// Refuses a run that failed, with its messages.
    pub(super) fn checked(self, command: &Command) -> Result<Self> {
        if !self.status.success() {
            bail!(
                "`{}` ended with {}: {}",
                process::display(command),
                self.status,
                tail(&self.stderr)
            );
        }
        Ok(self)
    }
}

/// Runs `command`; `watch` is called with its process id again and again until it ends. What
/// it writes goes through files in `folder`, so that no thread of ours has to read meanwhile.
pub(super) fn run(
    command: &mut Command,
    folder: &Path,
    mut watch: impl FnMut(u32),
) -> Result<Finished> {
    let (stdout, stderr) = (folder.join("stdout"), folder.join("stderr"));
    let create = |path: &Path| {
        File::create(path).with_context(|| format!("cannot create `{}`", path.display()))
    };
    let child = command
        .stdin(Stdio::null())
        .stdout(create(&stdout)?)
        .stderr(create(&stderr)?)
        .spawn()
        .with_context(|| format!("cannot start `{}`", process::display(command)))?;
    let start = Instant::now();
    let (status, usage) = loop {
        let ended = wait(child.id())
            .with_context(|| format!("cannot wait for `{}`", process::display(command)))?;
        if let Some(ended) = ended {
            break ended;
        }
        if start.elapsed() > LIMIT {
            // It is gone already if this fails.
            let _ = kill_process(Pid::from_child(&child), Signal::TERM);
            bail!(
                "`{}` did not end within {} s",
                process::display(command),
                LIMIT.as_secs()
            );
        }
        watch(child.id());
        thread::sleep(INTERVAL);
    };
    let read = |path: &Path| -> Result<String> {
        let bytes =
            std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    Ok(Finished {
        status,
        cpu_ns: nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime),
        peak_bytes: usage.ru_maxrss as u64 * 1024,
        stdout: read(&stdout)?,
        stderr: read(&stderr)?,
    })
}

/// The end of a command's messages, in one line.
pub(super) fn tail(text: &str) -> String {
    let lines: Vec<_> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(3)..].join(" | ")
}

fn nanoseconds(time: libc::timeval) -> u64 {
    time.tv_sec as u64 * 1_000_000_000 + time.tv_usec as u64 * 1000
}

/// The status and usage of a child, if it has ended. The standard library waits without the
/// usage.
#[allow(unsafe_code)]
fn wait(pid: u32) -> io::Result<Option<(ExitStatus, libc::rusage)>> {
    let mut status = 0;
    // SAFETY: plain numbers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live values that the kernel fills.
    let found = unsafe { libc::wait4(pid as i32, &raw mut status, libc::WNOHANG, &raw mut usage) };
    match found {
        0 => Ok(None),
        ..0 => Err(io::Error::last_os_error()),
        _ => Ok(Some((ExitStatus::from_raw(status), usage))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_its_output_and_its_cpu_time() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo done",
        ]);
        let finished = run(&mut command, folder.path(), |_| {}).unwrap();
        assert_eq!(finished.stdout, "done\n");
        assert!(finished.cpu_ns > 1_000_000, "{}", finished.cpu_ns);
        assert!(finished.peak_bytes > 100_000, "{}", finished.peak_bytes);
    }
}
