//! `tracer calls`.

use std::process::ExitCode;
use std::time::Duration;

use crate::cli::input::{Input, note_tails};
use crate::cli::output::print;
use crate::trace::folder::Trace;
use crate::view::calls::{Calls, Group, Roles, Singles, Summary};
use crate::view::pass::{Division, pass};
use crate::view::table::Format;

/// Sum up the system calls of a trace: counts, errors and times
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    input: Input,

    /// Sum up by `process`, `thread` or `call`
    #[arg(long, value_name = "WHAT", default_value = "process")]
    by: By,

    /// List single calls that took at least this long, such as `10ms`, with their arguments
    /// and results, instead of summing them up
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    slower: Option<Duration>,

    /// Print the first N rows or calls
    #[arg(long, value_name = "N")]
    top: Option<usize>,

    /// Print as `text`, `json` or `csv`
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum By {
    Process,
    Thread,
    Call,
}

impl From<By> for Group {
    fn from(by: By) -> Self {
        match by {
            By::Process => Self::Process,
            By::Thread => Self::Thread,
            By::Call => Self::Call,
        }
    }
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (group, top, format) = (args.by.into(), args.top, args.format);
    let slower_ns = args
        .slower
        .map(|slower| u64::try_from(slower.as_nanos()).unwrap_or(u64::MAX));
    args.input.read(|dir, selection| {
        let trace = Trace::open(dir)?;
        let roles = Roles::new(&trace, selection)?;
        let new = |losses: &_| Calls::new(&roles, group, slower_ns, losses);
        let passed = pass(&trace, selection, Division::default(), new)?;
        note_tails(dir, &passed.tails);
        if slower_ns.is_some() {
            let singles = Singles::new(&trace, passed.analysis, top);
            return print(|out| singles.write(format, out));
        }
        let summary = Summary::new(&trace, passed.analysis, group, top);
        print(|out| summary.write(format, out))
    })
}
