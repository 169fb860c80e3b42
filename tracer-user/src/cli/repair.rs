//! `tracer repair`.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::trace::ctf::ReadError;
use crate::trace::folder::repair;

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
    for cut in &summary.cuts {
        let path = cut.path.display();
        match &cut.damage {
            None => println!(
                "removed {} bytes of an incomplete packet from `{path}`",
                cut.cut_bytes
            ),
            // the whole error would recommend `tracer repair`
            Some(ReadError::Packet { offset, cause, .. }) => println!(
                "removed {} bytes from `{path}`, corrupt from byte {offset} on: {cause}",
                cut.cut_bytes
            ),
            Some(damage) => println!("removed {} bytes from `{path}`: {damage}", cut.cut_bytes),
        }
    }
    for chunk in &summary.completed {
        println!("completed the chunk `{}`", chunk.display());
    }
    let nothing = if summary.cuts.is_empty() && summary.completed.is_empty() {
        "; nothing to repair"
    } else {
        ""
    };
    println!(
        "`{}`: {} complete packets in {} streams{nothing}",
        dir.display(),
        summary.packets,
        summary.streams,
    );
    Ok(ExitCode::SUCCESS)
}
