//! The `tracer` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    tracer::cli::run().unwrap_or_else(|error| {
        eprintln!("tracer: error: {error:#}");
        ExitCode::FAILURE
    })
}
