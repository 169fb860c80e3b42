//! The `tracer` command.
#![deny(clippy::print_stderr, clippy::print_stdout)]

use std::process::ExitCode;

use tracer::sys::stderr;

fn main() -> ExitCode {
    tracer::cli::run().unwrap_or_else(|error| {
        stderr::line(format_args!("tracer: error: {error:#}"));
        ExitCode::FAILURE
    })
}
