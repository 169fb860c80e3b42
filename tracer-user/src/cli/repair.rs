//! `tracer repair`.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::trace::ctf::ReadError;
use crate::trace::folder::repair;

/// Make the trace of a recorder that was killed readable.
///
/// Cuts every stream file behind its last whole packet, and completes the chunk that was
/// being written when the recorder rotated. Nothing else is changed, and nothing at all
/// where the trace is whole.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Folder of the trace
    dir: PathBuf,
}

pub(super) fn run(Args { dir }: Args) -> anyhow::Result<ExitCode> {
    let summary = repair(&dir)?;
    for cut in &summary.cuts {
        let path = cut.path.display();
        match &cut.damage {
            None => println!("cut {} bytes of half a packet off `{path}`", cut.cut_bytes),
            // the error as a whole would advise what is being done
            Some(ReadError::Packet { offset, source, .. }) => println!(
                "cut {} bytes off `{path}`, corrupt from byte {offset} on: {source}",
                cut.cut_bytes
            ),
            Some(damage) => println!("cut {} bytes off `{path}`: {damage}", cut.cut_bytes),
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
        "`{}`: {} whole packets in {} streams{nothing}",
        dir.display(),
        summary.packets,
        summary.streams,
    );
    Ok(ExitCode::SUCCESS)
}
