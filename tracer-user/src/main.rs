//! The `tracer` command.
#![deny(clippy::print_stderr, clippy::print_stdout)]

use std::process::ExitCode;

use tracer::sys::stderr;

fn main() -> ExitCode {
    tracer::cli::run().unwrap_or_else(|error| {
        stderr::line(format_args!("tracer: error: {}", message(&error)));
        ExitCode::FAILURE
    })
}

/// The error and its causes, each printed once: some errors quote their cause themselves.
fn message(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |mut message, cause| {
        let cause = cause.to_string();
        if !message.contains(&cause) {
            if !message.is_empty() {
                message.push_str(": ");
            }
            message.push_str(&cause);
        }
        message
    })
}
