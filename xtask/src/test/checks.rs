//! Runs a tier's checks, shows and counts them.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::process;
use crate::test::tally::{self, Tally};
use crate::vm::Kernel;

/// A tier that prints nothing for this long prints a sign of life.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// The checks of one tier.
pub(super) struct Checks {
    tally: Tally,
    start: Instant,
    /// Kernels of virtual machines.
    pub(super) kernels: &'static [Kernel],
}

impl Checks {
    pub(super) fn new(kernels: &'static [Kernel]) -> Self {
        Self {
            tally: Tally::default(),
            start: Instant::now(),
            kernels,
        }
    }

    pub(super) fn into_tally(self) -> Tally {
        self.tally
    }

    /// Runs a command that is one check: it passes when the command succeeds.
    pub(super) fn command(&mut self, name: &str, command: &mut Command) {
        self.check(name, || process::run(command));
    }

    /// Runs a function that is one check.
    pub(super) fn check(&mut self, name: &str, check: impl FnOnce() -> Result<()>) {
        let start = Instant::now();
        let result = check();
        let seconds = start.elapsed().as_secs_f64();
        match result {
            Ok(()) => {
                self.tally.passed += 1;
                println!("   {name} ... ok, {seconds:.1} s");
            }
            Err(error) => {
                self.tally.failed += 1;
                println!("   {name} ... FAILED, {seconds:.1} s\n      {error:#}");
            }
        }
    }

    /// Prepares something for the checks; counted only if it fails.
    pub(super) fn prepare<T>(
        &mut self,
        name: &str,
        prepare: impl FnOnce() -> Result<T>,
    ) -> Option<T> {
        prepare()
            .inspect_err(|error| {
                self.tally.failed += 1;
                println!("   {name} ... FAILED\n      {error:#}");
            })
            .ok()
    }

    /// Runs a `cargo test` command and counts the tests that its harnesses report.
    pub(super) fn cargo_test(&mut self, command: &mut Command) {
        let counted = self.count_tests(command);
        let counted = self.prepare("cargo test", || counted);
        self.tally += counted.unwrap_or_default();
    }

    fn count_tests(&self, command: &mut Command) -> Result<Tally> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start `{}`", process::display(command)))?;
        let stdout = child.stdout.take().context("the output is not a pipe")?;
        let mut counted = Tally::default();
        self.show(BufReader::new(stdout), |line| {
            if let Some(counts) = tally::parse_result(line) {
                counted += counts;
            }
        });
        let status = child
            .wait()
            .with_context(|| format!("cannot wait for `{}`", process::display(command)))?;
        if !status.success() && counted.failed == 0 {
            // It did not compile, or a harness died before it could report.
            println!("   `{}` ended with {status}", process::display(command));
            counted.failed = 1;
        }
        Ok(counted)
    }

    /// Passes lines on to standard output as they come, and to `see`.
    fn show(&self, lines: impl BufRead + Send, mut see: impl FnMut(&str)) {
        let (sender, receiver) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(move || {
                for line in lines.split(b'\n').map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        break;
                    }
                }
            });
            loop {
                match receiver.recv_timeout(HEARTBEAT) {
                    Ok(line) => {
                        let line = String::from_utf8_lossy(&line);
                        println!("{line}");
                        see(&line);
                    }
                    Err(mpsc::RecvTimeoutError::Timeout) => {
                        println!("   … {} s", self.start.elapsed().as_secs());
                    }
                    Err(mpsc::RecvTimeoutError::Disconnected) => break,
                }
            }
        });
    }
}
