//! The end of the processes that are recorded: `--pid`.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open, test_kill_process};
use tokio::time::sleep;

use crate::sys::readable::readable;

/// `PIDFD_THREAD` of Linux 6.9 and later (`include/uapi/linux/pidfd.h`): the id is that of a
/// thread.
const OF_THREAD: PidfdFlags = PidfdFlags::from_bits_retain(0x80);

/// How often is checked what the kernel does not report.
const INTERVAL: Duration = Duration::from_millis(100);

/// Between the moment at which the end of a process can be seen and its last event: it still
/// leaves its CPU.
const LAST_EVENT: Duration = Duration::from_millis(10);

/// A process or thread that exists.
#[derive(Debug)]
pub(super) struct Target {
    id: Pid,
    /// Readable after its end. `None`: the kernel has no such file for it.
    file: Option<OwnedFd>,
}

impl Target {
    /// The process or thread with this id.
    ///
    /// # Errors
    /// If there is none.
    pub(super) fn find(id: u32) -> Result<Self> {
        let pid = i32::try_from(id).ok().and_then(Pid::from_raw);
        let Some(pid) = pid.filter(|pid| test_kill_process(*pid) != Err(Errno::SRCH)) else {
            bail!("no process or thread {id}");
        };
        // Without a file, or in a sandbox that forbids it, its existence is checked.
        let file = pidfd_open(pid, PidfdFlags::empty());
        let file = file.or_else(|_| pidfd_open(pid, OF_THREAD)).ok();
        Ok(Self { id: pid, file })
    }

    pub(super) fn id(&self) -> u32 {
        self.id.as_raw_nonzero().get() as u32
    }

    /// Completes when it has ended.
    async fn ended(&self) {
        if let Some(file) = &self.file
            && readable(file.as_fd()).await.is_ok()
        {
            return;
        }
        while test_kill_process(self.id) != Err(Errno::SRCH) {
            sleep(INTERVAL).await;
        }
    }
}

/// Completes when all `targets` have ended and nothing that they have started is `followed`.
/// Never if there are none.
pub(super) async fn all(targets: &[Target], followed: impl Fn() -> io::Result<bool>) -> Result<()> {
    if targets.is_empty() {
        return std::future::pending().await;
    }
    for target in targets {
        target.ended().await;
    }
    while followed().context("cannot read which processes are followed")? {
        sleep(INTERVAL).await;
    }
    sleep(LAST_EVENT).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::process::{Command, Stdio};

    use super::*;

    fn run<T>(future: impl Future<Output = T>) -> T {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn a_process_that_does_not_exist_is_named() {
        // Larger than any id (`PID_MAX_LIMIT`).
        let error = Target::find(1 << 23).unwrap_err().to_string();
        assert_eq!(error, "no process or thread 8388608");
        assert!(Target::find(0).is_err());
        assert!(Target::find(u32::MAX).is_err());
    }

    #[test]
    fn threads_are_found() {
        let tid = rustix::thread::gettid().as_raw_nonzero().get();
        assert!(Target::find(tid as u32).is_ok());
    }

    #[test]
    fn it_waits_for_the_end_of_all_and_of_what_is_followed() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let target = Target::find(child.id()).unwrap();
        let without_file = Target {
            id: target.id,
            file: None,
        };
        let checks = Cell::new(0);
        let followed = || {
            checks.set(checks.get() + 1);
            Ok(checks.get() < 2)
        };
        run(async {
            let targets = [target];
            let ended = all(&targets, followed);
            tokio::pin!(ended);
            tokio::select! {
                biased;
                _ = &mut ended => panic!("it still runs"),
                () = std::future::ready(()) => {}
            }
            drop(child.stdin.take());
            ended.await.unwrap();
        });
        assert_eq!(checks.get(), 2);
        child.wait().unwrap();
        run(without_file.ended());
    }
}
