//! `tracer stats`.

use std::path::Path;
use std::process::ExitCode;

use crate::cli::input::{Input, note_tails};
use crate::cli::output::print;
use crate::trace::folder::Trace;
use crate::view::pass::{Division, pass};
use crate::view::select::Selection;
use crate::view::stats::by::{Grouping, Groups, Plan};
use crate::view::stats::{Overview, Stats};
use crate::view::table::Format;

/// Count the events of a trace by class, process and CPU, or by any fields
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    input: Input,

    /// Group events by these fields: `event`, `comm` (or `procname`), `pid`, `tid`, `cpu`, or
    /// fields of the events, such as `next_comm`; `fields.pid` is a field named `pid`
    #[arg(long, value_name = "FIELD,…", value_delimiter = ',')]
    by: Vec<String>,

    /// Add up this field in each group, as in `-e syscall_exit_read --by comm --sum ret`
    #[arg(long, value_name = "FIELD")]
    sum: Option<String>,

    /// Print a histogram of this field for each group
    #[arg(long, value_name = "FIELD")]
    hist: Option<String>,

    /// Print the first N rows of each table
    #[arg(long, value_name = "N")]
    top: Option<usize>,

    /// Print as `text`, `json` or `csv`
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args {
        input,
        by,
        sum,
        hist,
        top,
        format,
    } = args;
    let grouping = Grouping { by, sum, hist };
    let is_grouped = grouping != Grouping::default();
    input.read(|dir, selection| {
        if is_grouped {
            return groups(dir, selection, grouping, top, format);
        }
        let trace = Trace::open(dir)?;
        let new = |_: &_| Overview::new(trace.classes().len());
        let passed = pass(&trace, selection, Division::default(), new)?;
        note_tails(dir, &passed.tails);
        let stats = Stats::new(&trace, passed, top);
        print(|out| stats.write(format, out))
    })
}

fn groups(
    dir: &Path,
    selection: &Selection,
    grouping: Grouping,
    top: Option<usize>,
    format: Format,
) -> anyhow::Result<ExitCode> {
    let trace = Trace::open(dir)?;
    let plan = Plan::new(grouping, &trace, selection)?;
    let new = |_: &_| Groups::new(&plan, &trace);
    let passed = pass(&trace, selection, Division::default(), new)?;
    note_tails(dir, &passed.tails);
    print(|out| passed.analysis.write(top, format, out))
}
