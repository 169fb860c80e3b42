//! The measured figures as text.

use std::fmt::Write;

use crate::bench::event::{Results, Row};
use crate::bench::machine;
use crate::bench::recorder::{Probe, Recorder};

/// The header of each event now: timestamp (8), class (4), thread (4), process (4), and 4
/// that hold its size, where readers see padding.
const HEADER_BYTES: f64 = 24.0;
/// A compact one: class and the timestamp's low bits in one word of 32 bits, as LTTng writes
/// them (5 and 27 bits; a full timestamp after 134 ms without an event), and the thread. The
/// process follows from the thread by the names that are recorded anyway.
const COMPACT_HEADER_BYTES: f64 = 8.0;
/// The same with the process in it.
const COMPACT_HEADER_WITH_PID_BYTES: f64 = 12.0;

/// All rows.
pub(super) fn of(results: &Results) -> String {
    let mut text = format!(
        "untraced: {:.1} ns per call\nmedian (smallest..largest) of the rounds; added is the \
         looping thread's CPU time, in the median part of the loop and on average\n\n{:28} {:10} \
         {:>22} {:>22} {:>22} {:>20} {:>12} {:>9}\n",
        results.untraced_ns,
        "event",
        "recorder",
        "added ns per event",
        "on average",
        "by the clock",
        "its CPU ns per event",
        "bytes/event",
        "lost"
    );
    for row in &results.rows {
        let line = line(row);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{line}");
    }
    for recorder in [Recorder::Perf, Recorder::TraceCmd] {
        if results
            .rows
            .iter()
            .any(|row| row.contender.recorder == recorder && row.absent.is_none())
        {
            let _ = writeln!(
                text,
                "{}: {}",
                recorder.name(),
                machine::version(recorder.name())
            );
        }
    }
    text + &results.memory.text()
}

fn line(row: &Row) -> String {
    let head = format!(
        "{:28} {:10}",
        row.contender.probe.name(),
        row.contender.recorder.name()
    );
    if let Some(reason) = &row.absent {
        return format!("{head} absent: {reason}");
    }
    let twice = match row.surplus {
        0 => String::new(),
        surplus => format!(" ({surplus} events are in the trace twice)"),
    };
    format!(
        "{head} {:>22} {:>22} {:>22} {:>20} {:>12.1} {:>9}{twice}",
        format!("{:.1}", row.added_ns),
        format!("{:.1}", row.added_mean_ns),
        format!("{:.1}", row.added_wall_ns),
        format!("{:.0}", row.recorder_ns),
        row.event_bytes.median(),
        row.lost
    )
}

/// The savings of a smaller header.
pub(super) fn compact_header(results: &Results) -> String {
    let mut text = format!(
        "\na compact header ({COMPACT_HEADER_BYTES} bytes in place of {HEADER_BYTES}: 5 bits of \
         class, 27 bits of time, 32 bits of thread; {COMPACT_HEADER_WITH_PID_BYTES} with the \
         process; payload packed after it) would make of\n"
    );
    for probe in [Probe::RawEnter, Probe::TypedEnter] {
        let Some(row) = results.row(Recorder::Tracer, probe) else {
            continue;
        };
        let bytes = row.event_bytes.median();
        let with = |header: f64| {
            let less = bytes - HEADER_BYTES + header;
            format!("{less:.1} ({:.0} % less)", 100.0 * (1.0 - less / bytes))
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "  {:28} {bytes:.1} bytes: {}, {} with the process",
            probe.name(),
            with(COMPACT_HEADER_BYTES),
            with(COMPACT_HEADER_WITH_PID_BYTES)
        );
    }
    text
}
