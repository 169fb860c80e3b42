//! `tracer report`.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use crate::cli::input::{Input, note_tails};
use crate::sys::stderr::message;
use crate::trace::folder::Trace;
use crate::view::report::{Format, ReportError, report};
use crate::view::select::Selection;

/// Print the events of a trace in time order
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    input: Input,

    /// Print nanoseconds instead of microseconds
    #[arg(long, conflicts_with = "json")]
    ns: bool,

    /// Print one JSON object per line for each event
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let format = if args.json {
        Format::Json
    } else {
        Format::Text {
            nanoseconds: args.ns,
        }
    };
    args.input
        .read(|dir, selection| show(dir, selection, format))
}

fn show(dir: &Path, selection: &Selection, format: Format) -> anyhow::Result<ExitCode> {
    let trace = Trace::open(dir)?;
    match report(&trace, selection, format, &mut io::stdout().lock()) {
        Ok(ended) => {
            for note in ended.notes {
                message!("tracer: note: {note}");
            }
            note_tails(dir, &ended.tails);
            Ok(ExitCode::SUCCESS)
        }
        // the reader of the output has closed the pipe
        Err(ReportError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => Err(error.into()),
    }
}
