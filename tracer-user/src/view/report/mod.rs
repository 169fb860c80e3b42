//! Events for people and programs to read: the text that users of `trace-cmd` know, or
//! one object of JSON for each event. Knows traces only as [`ctf`](crate::trace::ctf) gives them,
//! so that it runs unprivileged and anywhere.

mod json;
mod line;
mod names;
mod select;
mod stack;
mod text;

use std::io::{self, Write};

use thiserror::Error;

use self::json::Json;
use self::line::Line;
use self::select::Filter;
use self::stack::Stacks;
use self::text::Text;
use crate::trace::ctf::{Event, ReadError, Tail};
use crate::trace::folder::{Record, Trace};

pub use select::{CpuSet, SelectError, Selection, Time, matches};

/// Output is handed on in pieces of about this many bytes.
const BATCH_LEN: usize = 64 * 1024;

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One line of text for each.
    Text {
        /// Nine digits of a second instead of six.
        nanoseconds: bool,
    },
    /// One object for each.
    Json,
}

/// Why a report ended early.
#[derive(Debug, Error)]
pub enum ReportError {
    /// What was asked for has no meaning for this trace.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// The trace cannot be read, or not on.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The output takes no more. `BrokenPipe` says that nobody wants to see the rest.
    #[error("cannot write the report: {0}")]
    Write(#[source] io::Error),
}

/// What there is to say after a report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// What could not be read at the ends of the streams.
    pub tails: Vec<Tail>,
    /// What stacks lack, for people.
    pub notes: Vec<String>,
}

/// Writes the selected events of `trace` to `out`.
///
/// # Errors
/// What was read up to an error has been written.
pub fn report(
    trace: &Trace,
    selection: &Selection,
    format: Format,
    out: &mut impl Write,
) -> Result<Ended, ReportError> {
    let start_ns = trace.start_ns()?.unwrap_or(0);
    let filter = Filter::new(selection, trace.classes(), start_ns)?;
    let printer = Printer::new(trace, format);
    let mut stacks = Stacks::open(trace)?;
    let mut events = trace.events(filter.from_ns)?;
    let mut line = Line(Vec::with_capacity(BATCH_LEN * 2));
    let ended = loop {
        let record = match events.next() {
            Ok(Some(record)) => record,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        };
        match record {
            Record::Event(event) if event.timestamp_ns > filter.to_ns => break Ok(()),
            Record::Event(event) if filter.has(&event) => {
                printer.event(&mut line, &event, trace, &mut stacks);
            }
            Record::Loss(loss) if loss.timestamp_ns <= filter.to_ns && filter.has_cpu(loss.cpu) => {
                printer.loss(&mut line, &loss);
            }
            Record::Event(_) | Record::Loss(_) => {}
        }
        if line.0.len() >= BATCH_LEN {
            out.write_all(&line.0).map_err(ReportError::Write)?;
            line.0.clear();
        }
    };
    out.write_all(&line.0).map_err(ReportError::Write)?;
    out.flush().map_err(ReportError::Write)?;
    ended?;
    Ok(Ended {
        tails: events.tails().cloned().collect(),
        notes: stacks.notes(),
    })
}

enum Printer {
    Text(Text),
    Json(Json),
}

impl Printer {
    fn new(trace: &Trace, format: Format) -> Self {
        match format {
            Format::Text { nanoseconds } => Self::Text(Text::new(trace.classes(), nanoseconds)),
            Format::Json => Self::Json(Json::new(trace.classes())),
        }
    }

    fn event(&self, line: &mut Line, event: &Event<'_>, trace: &Trace, stacks: &mut Stacks) {
        match self {
            Self::Text(text) => text.event(line, event, trace.tasks(), stacks),
            Self::Json(json) => json.event(line, event, trace.tasks(), stacks),
        }
    }

    fn loss(&self, line: &mut Line, loss: &crate::trace::ctf::Loss) {
        match self {
            Self::Text(text) => text.loss(line, loss),
            Self::Json(json) => json.loss(line, loss),
        }
    }
}
