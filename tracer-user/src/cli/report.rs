//! `tracer report`.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

use anyhow::Context as _;

use crate::sys::signals::ignoring_interrupts;
use crate::trace::folder::Trace;
use crate::trace::folder::frames::unpack;
use crate::view::report::{CpuSet, Format, ReportError, Selection, Time, report};

/// Print the events of a trace in time order.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Folder of the trace, or `-` for what `tracer record -o -` writes: it is read to its
    /// end first, into a temporary folder (TMPDIR says where)
    dir: PathBuf,

    /// Only events of these names: `sched:*`, `sched_switch`, `syscall:openat`
    #[arg(short, long = "event", value_name = "PATTERN,…", value_delimiter = ',')]
    events: Vec<String>,

    /// Only from this time on, in seconds as printed, or `+1.5` from the trace's start
    #[arg(long, value_name = "SECONDS")]
    from: Option<Time>,

    /// Only up to this time, in seconds as printed, or `+1.5` from the trace's start
    #[arg(long, value_name = "SECONDS")]
    to: Option<Time>,

    /// Only these CPUs, as `0,2-3`
    #[arg(short = 'C', long = "cpus", value_name = "CPU-LIST")]
    cpus: Option<CpuSet>,

    /// Only these processes and threads
    #[arg(short, long = "pid", value_name = "PID,…", value_delimiter = ',')]
    pids: Vec<u32>,

    /// Print nanoseconds instead of microseconds
    #[arg(long, conflicts_with = "json")]
    ns: bool,

    /// Print one JSON object per event
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

/// Reads a trace from standard input. Ctrl-C at the terminal is for the recorder before the
/// pipe, whose last packets are still to come.
fn unpack_stdin(dir: &Path) -> anyhow::Result<()> {
    let unpacked = ignoring_interrupts(|| unpack(&mut io::stdin().lock(), dir))
        .context("cannot read a trace from standard input")?;
    if !unpacked.complete {
        eprintln!(
            "tracer: note: the recorder did not come to its end; the {} packets up to there \
             are shown",
            unpacked.packets
        );
    }
    Ok(())
}

/// A folder that goes with its value.
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
            eprintln!(
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
                eprintln!("tracer: note: {note}");
            }
            for tail in ended.tails {
                eprintln!(
                    "tracer: note: {} bytes at the end of `{}` are not a whole packet and were \
                     ignored; `tracer repair {}` cuts them",
                    tail.bytes,
                    tail.path.display(),
                    dir.display(),
                );
            }
            Ok(ExitCode::SUCCESS)
        }
        // whoever read the report has seen enough
        Err(ReportError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => Err(error.into()),
    }
}
