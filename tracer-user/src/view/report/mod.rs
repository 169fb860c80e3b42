//! Prints events: as text in the format of `trace-cmd report`, or as one JSON object per event.

mod json;
mod stack;
pub(super) mod text;

use std::io::{self, Write};

use thiserror::Error;

use self::json::Json;
use self::stack::Stacks;
use self::text::Text;
use crate::trace::ctf::{Event, Loss, ReadError, Tail};
use crate::trace::folder::{Record, Trace};
use crate::view::line::Line;
use crate::view::select::{Filter, SelectError, Selection};

/// Output is written in batches of about this many bytes.
const BATCH_LEN: usize = 64 * 1024;

/// Output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One line of text per event.
    Text {
        /// Print timestamps with nine decimal places instead of six.
        nanoseconds: bool,
    },
    /// One JSON object per event.
    Json,
}

/// Why a report ended early.
#[derive(Debug, Error)]
pub enum ReportError {
    /// The selection does not fit this trace.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// The trace cannot be read, or not further.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Writing the output failed; `BrokenPipe` if its reader has closed it.
    #[error("cannot write the report")]
    Write(#[source] io::Error),
}

/// Remarks at the end of a report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Incomplete packets at the ends of streams.
    pub tails: Vec<Tail>,
    /// Why addresses in stacks have no symbols, for people.
    pub notes: Vec<String>,
}

/// Writes the selected events of `trace` to `out`.
///
/// # Errors
/// Events before the error have been written.
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

    fn loss(&self, line: &mut Line, loss: &Loss) {
        match self {
            Self::Text(text) => text.loss(line, loss),
            Self::Json(json) => json.loss(line, loss),
        }
    }
}
