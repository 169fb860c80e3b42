//! The `cargo xtask` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    xtask::cli::run().unwrap_or_else(|error| {
        eprintln!("xtask: error: {error:#}");
        ExitCode::FAILURE
    })
}
