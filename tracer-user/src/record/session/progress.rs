//! The progress line, on terminals only.

use std::io::{IsTerminal, Write, stderr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::record::stream::shared::{StreamCounter, StreamLink};

/// Attaching and detaching this many probes may take seconds; fewer are not worth a line.
const PROBE_LINE_FROM: usize = 50;

/// Shows how many probes are attached or detached.
pub(super) struct ProbeProgress {
    what: &'static str,
    total: Option<usize>,
}

impl ProbeProgress {
    pub(super) fn new(what: &'static str, total: usize) -> Self {
        let shown = total >= PROBE_LINE_FROM && stderr().is_terminal();
        Self {
            what,
            total: shown.then_some(total),
        }
    }

    pub(super) fn show(&self, done: usize) {
        if let Some(total) = self.total
            && done.is_multiple_of(10)
        {
            line(&format!("{} probes: {done} of {total}", self.what));
        }
    }
}

impl Drop for ProbeProgress {
    fn drop(&mut self) {
        if self.total.is_some() {
            line("");
        }
    }
}

/// Shows elapsed time, events, rate, size and loss.
pub(super) struct ProgressLine {
    links: Vec<Arc<StreamLink>>,
    started: Instant,
    last: (Instant, u64),
    shown: bool,
}

impl ProgressLine {
    pub(super) fn new(links: Vec<Arc<StreamLink>>, quiet: bool) -> Self {
        let now = Instant::now();
        Self {
            links,
            started: now,
            last: (now, 0),
            shown: !quiet && stderr().is_terminal(),
        }
    }

    pub(super) fn show(&mut self) {
        if !self.shown {
            return;
        }
        let sum = |field: fn(&StreamCounter) -> u64| -> u64 {
            self.links.iter().map(|link| field(&link.counter)).sum()
        };
        // Relaxed: numbers to show.
        let events = sum(|counter| counter.events.load(Ordering::Relaxed));
        let bytes = sum(|counter| counter.bytes.load(Ordering::Relaxed));
        let lost = sum(|counter| counter.lost.load(Ordering::Relaxed));
        let (then, events_then) = self.last;
        let seconds = then.elapsed().as_secs_f64().max(0.001);
        let rate = events.saturating_sub(events_then) as f64 / seconds;
        self.last = (Instant::now(), events);
        line(&format!(
            "recording {} s, {} events, {}/s, {}B, {} lost (Ctrl-C to stop)",
            self.started.elapsed().as_secs(),
            short(events as f64),
            short(rate),
            short(bytes as f64),
            grouped(lost)
        ));
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        if self.shown {
            line("");
        }
    }
}

/// Replaces the terminal's current line.
pub(super) fn line(text: &str) {
    // If the terminal is gone, there is nothing to show.
    let _ = write!(stderr(), "\r\x1b[K{text}");
}

/// A number in three digits or so: `999`, `12.3 k`, `4.5 M`.
pub(crate) fn short(number: f64) -> String {
    for (unit, suffix) in [(1e9, "G"), (1e6, "M"), (1e3, "k")] {
        if number >= unit {
            return format!("{:.1} {suffix}", number / unit);
        }
    }
    format!("{number:.0} ")
}

/// A whole number with grouped thousands: `1,204`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_made_for_people() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(1204), "1,204");
        assert_eq!(grouped(1234567), "1,234,567");
        assert_eq!(short(999.0), "999 ");
        assert_eq!(short(2_100_000.0), "2.1 M");
    }
}
