//! `tracer detach-rest`, which only `tracer record` runs.

use std::process::ExitCode;

use crate::record::detach;

/// Detach what `tracer record` has left attached
///
/// Not for use by hand.
#[derive(clap::Args)]
pub(super) struct Args {}

pub(super) fn run(Args {}: Args) -> anyhow::Result<ExitCode> {
    detach::run().map(|()| ExitCode::SUCCESS)
}
