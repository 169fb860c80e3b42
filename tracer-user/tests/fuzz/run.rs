//! Running a parser on inputs, and what is told about it.

use std::any::Any;
use std::io::{self, Write as _};
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{env, process};

use rustix::time::{ClockId, clock_gettime};

use crate::corpus::{self, Input};
use crate::mutate::mutate;
use crate::random::Random;
use crate::subjects::{Outcome, Subject};

/// What one input may take of the processor, however busy the machine is.
const LIMIT: Duration = Duration::from_millis(100);

/// An input that takes this long has no end.
const ENDLESS: Duration = Duration::from_secs(20);

/// Failures of one parser that are looked for.
const ENOUGH: usize = 10;

const DEFAULT_SEED: u64 = 20_261_121;

/// The inputs whose names say what becomes of them.
pub(crate) fn check_outcomes(subject: &Subject, inputs: &[Input]) {
    for input in inputs {
        let outcome = (subject.run)(&input.bytes);
        let expected = match input.name.split('-').next() {
            Some("accepted") => Outcome::Accepted,
            Some("refused") => Outcome::Refused,
            Some("failed") => continue,
            _ => panic!("`{}` must begin `accepted-` or `refused-`", input.name),
        };
        assert_eq!(outcome, expected, "{}/{}", subject.name, input.name);
    }
}

/// As many mutations as were asked for.
pub(crate) fn mutations(subject: &Subject, inputs: &[Input]) {
    let asked = number("TRACER_FUZZ_RUNS");
    let seed = number("TRACER_FUZZ_SEED").unwrap_or(DEFAULT_SEED);
    let runs = asked.unwrap_or(subject.default_runs);
    let seeds: Vec<&[u8]> = inputs.iter().map(|input| &*input.bytes).collect();
    let mut random = Random::new(seed);
    let mut progress = Progress::new(subject.name, runs, asked.is_some());
    let watch = Watch::new(subject.name);
    let mut failures = Vec::new();
    let mut accepted = 0_u64;
    for run in 0..runs {
        progress.show(run);
        let bytes = mutate(&seeds, subject.tokens, &mut random);
        watch.begin(&bytes);
        match try_one(subject, &bytes) {
            Ok(Outcome::Accepted) => accepted += 1,
            Ok(Outcome::Refused) => {}
            Err(failure) => {
                let path = corpus::keep(subject.name, failure.kind, &bytes);
                failures.push(format!("{}: {}", path.display(), failure.what));
                if failures.len() == ENOUGH {
                    break;
                }
            }
        }
    }
    drop(watch);
    progress.summary(accepted, failures.len(), seed);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    // Where all or none are refused, half of the parser has not been looked at.
    assert!(
        runs < 1000 || (1..runs).contains(&accepted),
        "{accepted} of {runs} mutations were accepted"
    );
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable} is no number: `{text}`")))
}

struct Failure {
    kind: &'static str,
    what: String,
}

fn try_one(subject: &Subject, bytes: &[u8]) -> Result<Outcome, Failure> {
    let start = processor_time();
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| (subject.run)(bytes)));
    let taken = processor_time().saturating_sub(start);
    let outcome = outcome.map_err(|payload| Failure {
        kind: "panic",
        what: message(&*payload).to_owned(),
    })?;
    if taken > LIMIT {
        return Err(Failure {
            kind: "slow",
            what: format!("it took {} ms", taken.as_millis()),
        });
    }
    Ok(outcome)
}

fn message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a message")
}

/// Of this thread, so that what else the machine does counts nothing.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Keeps the input that a parser never gets done with, and ends the process.
struct Watch {
    /// The number of the run, and its input.
    current: Arc<Mutex<(u64, Vec<u8>)>>,
    end: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    fn new(parser: &'static str) -> Self {
        let current = Arc::new(Mutex::new((0, Vec::new())));
        let seen = Arc::clone(&current);
        let (end, ended) = mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            let mut last = 0;
            while ended.recv_timeout(ENDLESS) == Err(mpsc::RecvTimeoutError::Timeout) {
                let current = seen.lock().unwrap_or_else(PoisonError::into_inner);
                if current.0 == last {
                    let path = corpus::keep(parser, "endless", &current.1);
                    let _ = writeln!(io::stderr(), "{parser} hangs: {}", path.display());
                    process::abort();
                }
                last = current.0;
            }
        });
        Self {
            current,
            end: Some(end),
            thread: Some(thread),
        }
    }

    fn begin(&self, bytes: &[u8]) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.0 += 1;
        current.1.clear();
        current.1.extend_from_slice(bytes);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What is told on standard error, past the test harness, which keeps what is printed.
struct Progress {
    name: &'static str,
    runs: u64,
    begun: Instant,
    told: Instant,
    wanted: bool,
    done: u64,
}

impl Progress {
    fn new(name: &'static str, runs: u64, wanted: bool) -> Self {
        let now = Instant::now();
        Self {
            name,
            runs,
            begun: now,
            told: now,
            wanted,
            done: 0,
        }
    }

    /// Before each run.
    fn show(&mut self, run: u64) {
        const EVERY: Duration = Duration::from_secs(10);
        self.done = run + 1;
        if self.wanted && run.is_multiple_of(1024) && self.told.elapsed() > EVERY {
            self.told = Instant::now();
            let percent = run * 100 / self.runs;
            self.tell(&format!("{} runs, {percent} %", grouped(run)));
        }
    }

    fn summary(&self, accepted: u64, failures: usize, seed: u64) {
        if self.wanted {
            self.tell(&format!(
                "{} runs, {failures} failures, {} accepted, {:.1} s, seed {seed}",
                grouped(self.done),
                grouped(accepted),
                self.begun.elapsed().as_secs_f64()
            ));
        }
    }

    fn tell(&self, what: &str) {
        // Nobody who would listen: nothing is lost.
        let _ = writeln!(io::stderr(), "{}: {what}", self.name);
    }
}

/// `5,000,000`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
