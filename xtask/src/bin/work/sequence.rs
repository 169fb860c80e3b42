//! Runs several commands without a shell.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

/// The separator of commands.
const END: &str = ";";

/// Runs the commands in `words` until one fails, and ends with its status or the last one's.
pub(super) fn run(words: &[String]) -> Result<ExitCode> {
    for command in words.split(|word| word == END) {
        let (program, args) = command.split_first().context("an empty command")?;
        let status = Command::new(program)
            .args(args)
            .status()
            .with_context(|| format!("cannot start `{program}`"))?;
        if !status.success() {
            let code = status.code().and_then(|code| u8::try_from(code).ok());
            return Ok(code.map_or(ExitCode::FAILURE, ExitCode::from));
        }
    }
    Ok(ExitCode::SUCCESS)
}
