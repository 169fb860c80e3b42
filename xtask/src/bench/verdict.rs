//! The project's targets beside what was measured.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::bench::event::{Results, Row};
use crate::bench::recorder::{Probe, Recorder};
use crate::bench::stats::Sample;

/// Most that an event may cost the traced thread, as a multiple of trace-cmd's.
const MOST_OF_TRACE_CMD: f64 = 1.0;
/// Most CPU time of the recorder, from ring to disk, in nanoseconds per event.
const MOST_RECORDER_NS: f64 = 50.0;
/// Most of that as a multiple of a peer's.
const MOST_OF_PEERS_CPU: f64 = 0.3;
/// Most bytes of a raw system call with six arguments.
const MOST_RAW_BYTES: f64 = 80.0;
/// Most bytes of a call by name without arguments.
const MOST_TYPED_BYTES: f64 = 24.0;
/// Most resident memory beside the buffers, in MB.
const MOST_MEMORY_MB: f64 = 30.0;
/// Packets have headers and end on whole pages: that much per event is theirs.
const PACKET_SHARE: f64 = 0.005;

/// One target and what became of it.
#[derive(Debug)]
pub(super) struct Verdict {
    what: String,
    measured: Sample,
    digits: usize,
    most: f64,
    /// Why there is no measurement.
    missing: Option<String>,
}

impl Verdict {
    fn reached(&self) -> Option<bool> {
        (!self.measured.is_empty()).then(|| self.measured.median() <= self.most)
    }

    fn word(&self) -> &'static str {
        match self.reached() {
            Some(true) => "reached",
            Some(false) => "NOT REACHED",
            None => "not measured",
        }
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "target": self.what,
            "measured": self.measured.json(),
            "at_most": self.most,
            "reached": self.reached(),
        })
    }
}

/// All targets, in the order in which they are shown.
pub(super) fn of(results: &Results) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for probe in [Probe::RawEnter, Probe::TypedEnter] {
        let name = probe.name();
        let ours = results.row(Recorder::Tracer, probe);
        verdicts.push(ratio(
            results,
            probe,
            Recorder::TraceCmd,
            "added time",
            |row| &row.added_ns,
            MOST_OF_TRACE_CMD,
        ));
        for peer in [Recorder::TraceCmd, Recorder::Perf] {
            let cpu = "recorder's CPU";
            verdicts.push(ratio(
                results,
                probe,
                peer,
                cpu,
                |row| &row.recorder_ns,
                MOST_OF_PEERS_CPU,
            ));
        }
        let Some(ours) = ours else { continue };
        let (most, bytes) = match probe {
            Probe::RawEnter => (MOST_RAW_BYTES, "bytes per event with six arguments"),
            Probe::TypedEnter => (MOST_TYPED_BYTES, "bytes per event without arguments"),
        };
        let figures = [
            (
                "recorder's CPU, ns per event",
                ours.recorder_ns.clone(),
                0,
                MOST_RECORDER_NS,
            ),
            (
                bytes,
                ours.event_bytes.clone(),
                1,
                most * (1.0 + PACKET_SHARE),
            ),
            (
                "events lost in all rounds",
                [ours.lost as f64].into_iter().collect(),
                0,
                0.0,
            ),
        ];
        verdicts.extend(figures.map(|(what, measured, digits, most)| Verdict {
            what: format!("{name}: {what}"),
            measured,
            digits,
            most,
            missing: None,
        }));
    }
    verdicts.push(Verdict {
        what: "resident memory beside the buffers, MB".to_owned(),
        measured: results.memory.beside_buffers_mb(),
        digits: 1,
        most: MOST_MEMORY_MB,
        missing: results.memory.missing(),
    });
    verdicts
}

/// One of our figures as a multiple of a peer's in the same round.
fn ratio(
    results: &Results,
    probe: Probe,
    peer: Recorder,
    what: &str,
    figure: impl Fn(&Row) -> &Sample,
    most: f64,
) -> Verdict {
    let ours = results.row(Recorder::Tracer, probe);
    let both = ours.zip(results.row(peer, probe));
    let ratios = both.map(|(ours, theirs)| figure(ours).ratios(figure(theirs)).collect::<Sample>());
    Verdict {
        what: format!(
            "{}: {what}, as a multiple of {}'s",
            probe.name(),
            peer.name()
        ),
        missing: ratios
            .is_none()
            .then(|| "needs both contenders, see the table".to_owned()),
        measured: ratios.unwrap_or_default(),
        digits: 2,
        most,
    }
}

/// The verdicts as a table.
pub(super) fn text(verdicts: &[Verdict]) -> String {
    let mut text = format!(
        "\n{:66} {:>20} {:>8}  verdict\n",
        "target", "measured", "at most"
    );
    for verdict in verdicts {
        let Verdict {
            what,
            measured,
            digits,
            most,
            missing,
        } = verdict;
        let (measured, most) = (format!("{measured:.digits$}"), format!("{most:.digits$}"));
        let missing = missing.as_deref().map(|why| format!(": {why}"));
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{what:66} {measured:>20} {most:>8}  {}{}",
            verdict.word(),
            missing.unwrap_or_default()
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(measured: &[f64]) -> Verdict {
        Verdict {
            what: "x".to_owned(),
            measured: measured.iter().copied().collect(),
            digits: 1,
            most: 1.0,
            missing: None,
        }
    }

    #[test]
    fn the_median_is_judged() {
        assert_eq!(verdict(&[0.5, 0.9, 7.0]).reached(), Some(true));
        assert_eq!(verdict(&[0.5, 1.1, 1.2]).reached(), Some(false));
    }

    #[test]
    fn an_unmeasured_target_is_not_reached() {
        assert_eq!(verdict(&[]).word(), "not measured");
    }
}
