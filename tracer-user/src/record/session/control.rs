//! Waiting for the end of a recording.

use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;
use tokio::signal::unix::{self, SignalKind};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

use crate::record::session::command::{Command, Running, exit_code};
use crate::record::session::options::Options;
use crate::record::session::progress::ProgressLine;
use crate::record::session::requests::Requests;
use crate::record::stream::shared::Failure;
use crate::sys::signals::holding_signals;
use crate::sys::stderr::message;

/// Why a recording ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The command ended by itself.
    Command,
    /// The processes that are recorded have ended.
    Processes,
    /// The time that the user gave is over.
    Duration,
    /// A signal asked for it.
    Signal(Signal),
    /// The trace can no longer be written.
    Failure,
}

/// The signals that a recording listens to. From when this is made, they do not kill.
pub(super) struct Signals {
    ending: Ending,
    /// SIGUSR1 asks for a snapshot.
    snapshot: unix::Signal,
}

/// The signals that end a recording in order.
struct Ending {
    interrupt: unix::Signal,
    terminate: unix::Signal,
    hang_up: unix::Signal,
}

impl Signals {
    pub(super) fn catch() -> Result<Self> {
        let catch = |kind| unix::signal(kind).context("cannot catch signals");
        holding_signals(|| {
            Ok(Self {
                ending: Ending {
                    interrupt: catch(SignalKind::interrupt())?,
                    terminate: catch(SignalKind::terminate())?,
                    hang_up: catch(SignalKind::hangup())?,
                },
                snapshot: catch(SignalKind::user_defined1())?,
            })
        })
    }
}

impl Signals {
    /// The signal that has asked for the end already, if one has.
    pub(super) async fn pending(&mut self) -> Option<Signal> {
        tokio::select! {
            biased;
            signal = self.ending.next() => Some(signal),
            // Long enough to find out.
            () = sleep(Duration::from_millis(1)) => None,
        }
    }
}

/// A signal asked for the end before the recording began.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("ended by a signal before the recording began; nothing was recorded")]
pub(super) struct Interrupted(pub(super) Signal);

impl Interrupted {
    /// Prints it. Returns the status that a shell shows of a process that the signal ends.
    pub(super) fn report(self) -> ExitCode {
        message!("tracer: {self}");
        ExitCode::from(128 + self.0.as_raw() as u8)
    }
}

impl Ending {
    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::INT,
            _ = self.terminate.recv() => Signal::TERM,
            _ = self.hang_up.recv() => Signal::HUP,
        }
    }
}

/// The command of a recording that has ended.
#[derive(Debug)]
pub(super) enum Remainder {
    /// There was none.
    Nothing,
    /// It has ended.
    Ended(ExitStatus),
    /// It was sent this signal and still runs.
    Running(Running, Signal),
}

/// Starts the command and waits until the recording is to end: with the command, or when the
/// processes that are recorded have `ended`. A command that still runs then is
/// sent the signal that ended the recording, or SIGTERM when the time is over. Requests are
/// answered meanwhile.
pub(super) async fn until_end(
    options: &Options,
    command: Option<Command>,
    ended: impl Future<Output = Result<()>>,
    signals: &mut Signals,
    failure: &Failure,
    mut progress: ProgressLine,
    requests: &mut Requests,
) -> Result<(End, Remainder)> {
    let mut running = command.map(Command::start).transpose()?;
    tokio::pin!(ended);
    let deadline = options.duration.map(|duration| Instant::now() + duration);
    let mut tick = interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let end = loop {
        let triggered = requests.triggered();
        tokio::select! {
            status = wait_if_any(&mut running) => {
                return Ok((End::Command, Remainder::Ended(status?)));
            }
            result = &mut ended => {
                result?;
                break End::Processes;
            }
            () = sleep_if_any(deadline) => break End::Duration,
            signal = signals.ending.next() => break End::Signal(signal),
            () = failure.happened() => break End::Failure,
            _ = tick.tick() => progress.show(),
            call = requests.next() => requests.answer(call),
            _ = signals.snapshot.recv() => requests.snapshot_here(),
            () = triggered => requests.snapshot_here(),
        }
    };
    let Some(running) = running else {
        return Ok((end, Remainder::Nothing));
    };
    let signal = match end {
        End::Signal(signal) => signal,
        End::Command | End::Processes | End::Duration | End::Failure => Signal::TERM,
    };
    if !(signal == Signal::INT && in_foreground()) {
        running.signal(signal);
    }
    Ok((end, Remainder::Running(running, signal)))
}

/// The exit status that the command asks for, once it has ended. A second signal kills it.
pub(super) async fn command_status(
    remainder: Remainder,
    end: End,
    signals: &mut Signals,
) -> Result<ExitCode> {
    match remainder {
        Remainder::Nothing => Ok(ExitCode::SUCCESS),
        Remainder::Ended(status) => Ok(exit_code(status)),
        Remainder::Running(mut running, sent) => {
            let status = tokio::select! {
                status = running.wait() => status?,
                _ = signals.ending.next() => {
                    running.signal(Signal::KILL);
                    running.wait().await?
                }
            };
            // The command ended by the signal that it was sent when its time was over.
            let obeyed =
                std::os::unix::process::ExitStatusExt::signal(&status) == Some(sent.as_raw());
            Ok(if end == End::Duration && obeyed {
                ExitCode::SUCCESS
            } else {
                exit_code(status)
            })
        }
    }
}

async fn wait_if_any(running: &mut Option<Running>) -> Result<ExitStatus> {
    match running {
        Some(running) => running.wait().await,
        None => std::future::pending().await,
    }
}

async fn sleep_if_any(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// True if a Ctrl-C on the terminal reaches the command without us: it is in our process
/// group, and that group is the terminal's foreground.
fn in_foreground() -> bool {
    std::fs::File::open("/dev/tty")
        .ok()
        .and_then(|terminal| rustix::termios::tcgetpgrp(terminal).ok())
        .is_some_and(|group| group == rustix::process::getpgrp())
}
