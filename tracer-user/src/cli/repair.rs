//! `tracer repair`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::trace::ctf::ReadError;
use crate::trace::folder::{RepairSummary, repair};

/// Make the trace of a recorder that was killed readable
///
/// Cuts each stream file after its last complete packet, and completes the chunk that was being
/// written. A trace that is intact is not changed.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Repair the trace in this folder
    dir: PathBuf,
}

pub(super) fn run(Args { dir }: Args) -> anyhow::Result<ExitCode> {
    let summary = repair(&dir)?;
    match print(&dir, &summary, &mut io::stdout().lock()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn print(dir: &Path, summary: &RepairSummary, out: &mut impl Write) -> io::Result<()> {
    for cut in &summary.cuts {
        let (path, bytes) = (cut.path.display(), cut.cut_bytes);
        match &cut.damage {
            None => writeln!(
                out,
                "removed {bytes} bytes of an incomplete packet from `{path}`"
            )?,
            // the whole error would recommend `tracer repair`
            Some(ReadError::Packet { offset, cause, .. }) => writeln!(
                out,
                "removed {bytes} bytes from `{path}`, corrupt from byte {offset} on: {cause}"
            )?,
            Some(damage) => writeln!(out, "removed {bytes} bytes from `{path}`: {damage}")?,
        }
    }
    for index in &summary.indexes {
        writeln!(out, "rewrote the index `{}`", index.display())?;
    }
    for chunk in &summary.completed {
        writeln!(out, "completed the chunk `{}`", chunk.display())?;
    }
    let nothing = if summary.changed_nothing() {
        "; nothing to repair"
    } else {
        ""
    };
    writeln!(
        out,
        "`{}`: {} complete packets in {} streams{nothing}",
        dir.display(),
        summary.packets,
        summary.streams,
    )
}
