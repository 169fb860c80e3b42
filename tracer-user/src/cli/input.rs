//! The trace that a command reads: a folder, or standard input.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::Context as _;

use crate::names::shell::quoted;
use crate::sys::signals::ignoring_interrupts;
use crate::sys::stderr::message;
use crate::trace::ctf::Tail;
use crate::trace::folder::frames::unpack;
use crate::view::select::{CpuSet, Selection, Time};

/// The trace and the events that are read of it.
#[derive(clap::Args)]
pub(super) struct Input {
    /// Read the trace in this folder, or `-` for the output of `tracer record -o -`, which is
    /// first read to its end into a temporary folder in TMPDIR
    dir: PathBuf,

    /// Select events with these names, such as `sched:*`, `sched_switch` or `syscall:openat`
    #[arg(short, long = "event", value_name = "PATTERN,…")]
    events: Vec<String>,

    /// Select events from this time on: a printed timestamp such as `12345.678901`, or `+1.5`
    /// seconds after the start of the trace
    #[arg(long, value_name = "SECONDS")]
    from: Option<Time>,

    /// Select events up to this time, given as for --from
    #[arg(long, value_name = "SECONDS")]
    to: Option<Time>,

    /// Select events on these CPUs, such as `0,2-3`
    #[arg(short = 'C', long = "cpu", alias = "cpus", value_name = "CPU-LIST")]
    cpus: Option<CpuSet>,

    /// Select events of these processes and threads, such as `1234,5678`
    #[arg(short, long = "pid", value_name = "PID,…", value_delimiter = ',')]
    pids: Vec<u32>,
}

impl Input {
    /// Runs `read` with the folder of the trace and the selection.
    pub(super) fn read<T>(
        self,
        read: impl FnOnce(&Path, &Selection) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let selection = Selection {
            events: self.events,
            from: self.from,
            to: self.to,
            cpus: self.cpus,
            pids: self.pids,
        };
        if self.dir == Path::new("-") {
            let folder = TemporaryFolder::create()?;
            unpack_stdin(&folder.0)?;
            return read(&folder.0, &selection);
        }
        read(&self.dir, &selection)
    }
}

/// Notes what was not read at the ends of streams.
pub(super) fn note_tails<'a>(dir: &Path, tails: impl IntoIterator<Item = &'a Tail>) {
    for tail in tails {
        message!(
            "tracer: note: ignored {} bytes at the end of `{}`: not a complete packet; `tracer \
             repair {}` removes them",
            tail.bytes,
            tail.path.display(),
            quoted(dir.as_os_str()),
        );
    }
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
