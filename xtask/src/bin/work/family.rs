//! Processes and threads that start others; each calls getppid(2) a known number of times.
#![allow(unsafe_code)]

use std::fs::{self, OpenOptions};
use std::os::unix::process::CommandExt;
use std::process::{self, Command};
use std::time::Duration;
use std::{io, thread};

use anyhow::{Context, Result, ensure};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{getpid, getppid};
use rustix::thread::gettid;

use crate::entries;

/// How long to wait before looking again.
const INTERVAL: Duration = Duration::from_millis(1);

/// A process that forks twice, as its children do for `levels` levels, and starts a thread.
/// Every thread calls `calls` times.
pub(super) fn tree(levels: u32, calls: u64) -> Result<()> {
    let mut children = Vec::new();
    if levels > 0 {
        for _ in 0..2 {
            children.push(fork(|| tree(levels - 1, calls))?);
        }
    }
    let other = thread::spawn(move || call(calls));
    call(calls);
    other.join().expect("the thread only calls");
    children.into_iter().try_for_each(wait)
}

/// Runs `words`, with the number of a process in place of `PID`. That one waits for a writer of
/// the pipe `begin` and then calls as [`tree`] does; who reads the pipe `done` comes to its end
/// when all of it has ended.
pub(super) fn held(levels: u32, calls: u64, words: &[String]) -> Result<()> {
    for name in ["begin", "done"] {
        let mode = Mode::RUSR | Mode::WUSR;
        mknodat(CWD, name, FileType::Fifo, mode, 0)
            .with_context(|| format!("cannot make the pipe `{name}`"))?;
    }
    let child = fork(|| {
        fs::read("begin").context("cannot wait to begin")?;
        let done = OpenOptions::new().write(true).open("done");
        let _done = done.context("cannot open the pipe of the end")?;
        tree(levels, calls)
    })?;
    println!("held {child}");
    let number = child.to_string();
    let words = words
        .iter()
        .map(|word| if word == "PID" { &number } else { word });
    let mut words = words.cloned();
    let program = words.next().context("an empty command")?;
    let ran = Command::new(&program).args(words).status();
    if !matches!(&ran, Ok(status) if status.success()) {
        // Nobody will have it begin.
        // SAFETY: takes numbers; the child is there until it is waited for.
        unsafe { libc::kill(child, libc::SIGKILL) };
    }
    let ended = wait(child);
    let status = ran.with_context(|| format!("cannot start `{program}`"))?;
    ensure!(status.success(), "`{program}` ended with {status}");
    ended
}

/// Gives the process these users and groups, which it cannot go back from.
pub(super) fn become_others(first: u32) -> Result<()> {
    // SAFETY: these calls are handed numbers only; groups come first, while it is allowed.
    let result = unsafe {
        libc::setresgid(first + 3, first + 4, first + 5)
            | libc::setresuid(first, first + 1, first + 2)
    };
    ensure!(result == 0, "cannot have users and groups from {first} on");
    Ok(())
}

/// A process whose first thread ends. Another one then calls, and so does a child of its.
pub(super) fn leaderless(calls: u64) -> Result<()> {
    thread::spawn(move || {
        let code = match without_leader(calls) {
            Ok(()) => 0,
            Err(error) => {
                eprintln!("work: error: {error:#}");
                1
            }
        };
        process::exit(code);
    });
    // SAFETY: ends this thread; its stack stays.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
    unreachable!("the thread has ended")
}

fn without_leader(calls: u64) -> Result<()> {
    let leader = format!("/proc/self/task/{}/stat", getpid());
    loop {
        let stat = fs::read_to_string(&leader).context("cannot look at the first thread")?;
        // Behind the name, which has parentheses.
        if stat
            .rsplit(')')
            .next()
            .is_some_and(|rest| rest.starts_with(" Z"))
        {
            break;
        }
        thread::sleep(INTERVAL);
    }
    call(calls);
    wait(fork(|| {
        call(calls);
        Ok(())
    })?)
}

/// A process whose second thread, when the current folder has an entry `begin`, runs this
/// program anew to call.
pub(super) fn thread_exec(calls: u64) -> Result<()> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let other = thread::spawn(move || -> Result<()> {
        entries::wait_for("begin")?;
        let words = ["getppid".to_owned(), calls.to_string()];
        Err(Command::new(program).args(words).exec()).context("cannot run this program anew")
    });
    other.join().expect("the thread runs another program")
}

/// A process that is given the number `pid`, which must be free, and calls.
pub(super) fn reborn(pid: u32, calls: u64) -> Result<()> {
    let numbers = [pid as libc::pid_t];
    // SAFETY: plain numbers; zero is the default of each.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.exit_signal = libc::SIGCHLD as u64;
    args.set_tid = numbers.as_ptr() as u64;
    args.set_tid_size = 1;
    // SAFETY: as fork(2), in a process of one thread.
    let made = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of_val(&args)) };
    wait(in_child(made as libc::pid_t, || {
        call(calls);
        Ok(())
    })?)
}

/// Calls, and prints which thread did.
fn call(calls: u64) {
    for _ in 0..calls {
        // Only the call matters.
        let _ = getppid();
    }
    println!("called {calls} pid {} tid {}", getpid(), gettid());
}

/// Runs `work` in a child; gives its number. Only one thread may run.
fn fork(work: impl FnOnce() -> Result<()>) -> Result<libc::pid_t> {
    // SAFETY: no other thread runs that could hold a lock.
    in_child(unsafe { libc::fork() }, work)
}

/// The rest of what fork(2) and its like begin: `made` is what they returned.
fn in_child(made: libc::pid_t, work: impl FnOnce() -> Result<()>) -> Result<libc::pid_t> {
    if made < 0 {
        return Err(io::Error::last_os_error()).context("cannot make a process");
    }
    if made > 0 {
        return Ok(made);
    }
    process::exit(match work() {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("work: error: {error:#}");
            1
        }
    })
}

fn wait(child: libc::pid_t) -> Result<()> {
    let mut status = 0;
    // SAFETY: writes to a number.
    let ended = unsafe { libc::waitpid(child, &raw mut status, 0) };
    ensure!(ended == child, "cannot wait for process {child}");
    ensure!(status == 0, "process {child} ended with status {status}");
    Ok(())
}
