//! `tracer report`.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

use anyhow::Context as _;

use crate::names::shell::quoted;
use crate::sys::signals::ignoring_interrupts;
use crate::sys::stderr::message;
use crate::trace::folder::Trace;
use crate::trace::folder::frames::unpack;
use crate::view::report::{CpuSet, Format, ReportError, Selection, Time, report};

/// Print the events of a trace in time order
#[derive(clap::Args)]
pub(super) struct Args {
    /// Read the trace in this folder, or `-` for the output of `tracer record -o -`, which is
    /// first read to its end into a temporary folder in TMPDIR
    dir: PathBuf,

    /// Print only events with these names, such as `sched:*`, `sched_switch` or
    /// `syscall:openat`
    #[arg(short, long = "event", value_name = "PATTERN,…", value_delimiter = ',')]
    events: Vec<String>,

    /// Print only events from this time on: a printed timestamp such as `12345.678901`, or
    /// `+1.5` seconds after the start of the trace
    #[arg(long, value_name = "SECONDS")]
    from: Option<Time>,

    /// Print only events up to this time, given as for --from
    #[arg(long, value_name = "SECONDS")]
    to: Option<Time>,

    /// Print only events on these CPUs, such as `0,2-3`
    #[arg(short = 'C', long = "cpu", alias = "cpus", value_name = "CPU-LIST")]
    cpus: Option<CpuSet>,

    /// Print only events of these processes and threads, such as `1234,5678`
    #[arg(short, long = "pid", value_name = "PID,…", value_delimiter = ',')]
    pids: Vec<u32>,

    /// Print nanoseconds instead of microseconds
    #[arg(long, conflicts_with = "json")]
    ns: bool,

    /// Print one JSON object per line for each event
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    if args.dir == Path::new("-") {
        let folder = TemporaryFolder::create()?;
        unpack_stdin(&folder.0)?;
        return show(&folder.0, args);
    }
    let dir = args.dir.clone();
    show(&dir, args)
}

/// Reads a trace from standard input. Ignores Ctrl-C, which ends the recorder at the other end
/// of the pipe: its last packets are still to come.
fn unpack_stdin(dir: &Path) -> anyhow::Result<()> {
    let unpacked = ignoring_interrupts(|| unpack(&mut io::stdin().lock(), dir))
        .context("cannot read a trace from standard input")?;
    if !unpacked.complete {
        message!(
            "tracer: note: the trace is incomplete: the recorder did not finish; reporting the {} \
             packets received",
            unpacked.packets
        );
    }
    Ok(())
}

/// A folder that is removed when dropped.
struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    fn create() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("tracer-report-{}", std::process::id()));
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("cannot create the folder `{}`", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            message!(
                "tracer: warning: cannot remove `{}`: {error}",
                self.0.display()
            );
        }
    }
}

fn show(dir: &Path, args: Args) -> anyhow::Result<ExitCode> {
    let trace = Trace::open(dir)?;
    let selection = Selection {
        events: args.events,
        from: args.from,
        to: args.to,
        cpus: args.cpus,
        pids: args.pids,
    };
    let format = if args.json {
        Format::Json
    } else {
        Format::Text {
            nanoseconds: args.ns,
        }
    };
    match report(&trace, &selection, format, &mut io::stdout().lock()) {
        Ok(ended) => {
            for note in ended.notes {
                message!("tracer: note: {note}");
            }
            for tail in ended.tails {
                message!(
                    "tracer: note: ignored {} bytes at the end of `{}`: not a complete packet; \
                     `tracer repair {}` removes them",
                    tail.bytes,
                    tail.path.display(),
                    quoted(dir.as_os_str()),
                );
            }
            Ok(ExitCode::SUCCESS)
        }
        // the reader of the output has closed the pipe
        Err(ReportError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => Err(error.into()),
    }
}
