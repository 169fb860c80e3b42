//! The command line: parses arguments, runs the library, and prints results.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::sys::signals::fail_beyond_file_size_limit;

#[cfg(feature = "record")]
use crate::record::detach::COMMAND as DETACH;

mod calls;
#[cfg(feature = "record")]
mod detach;
#[cfg(feature = "record")]
mod doctor;
mod input;
#[cfg(feature = "record")]
mod list;
mod output;
#[cfg(feature = "record")]
mod record;
mod repair;
mod report;
#[cfg(feature = "record")]
mod scoped;
#[cfg(feature = "record")]
mod sessions;
#[cfg(feature = "record")]
mod snapshot;
mod stats;

/// Record kernel events with eBPF into CTF traces, and report them
#[derive(Parser)]
#[command(name = "tracer", version, max_term_width = 100)]
#[command(after_help = HINT)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[cfg(feature = "record")]
const HINT: &str = "\
Start with `tracer doctor`, which checks this system. `tracer record -- COMMAND` records a trace,
and `tracer report DIR` prints it.";

#[cfg(not(feature = "record"))]
const HINT: &str = "This build only reads traces: it was compiled without the feature `record`.";

#[derive(Subcommand)]
enum Command {
    #[cfg(feature = "record")]
    Record(Box<record::Args>),
    #[cfg(feature = "record")]
    Sessions(sessions::Args),
    #[cfg(feature = "record")]
    Snapshot(snapshot::Args),
    #[cfg(feature = "record")]
    List(list::Args),
    Report(report::Args),
    Stats(stats::Args),
    Calls(calls::Args),
    Repair(repair::Args),
    #[cfg(feature = "record")]
    Doctor(doctor::Args),
    #[cfg(feature = "record")]
    #[command(name = DETACH, hide = true)]
    Detach(detach::Args),
}

/// Runs the command given by the arguments of this process.
///
/// # Errors
/// The error that ended the command, for the caller to print.
pub fn run() -> anyhow::Result<ExitCode> {
    fail_beyond_file_size_limit();
    match Cli::parse().command {
        #[cfg(feature = "record")]
        Command::Record(args) => record::run(*args),
        #[cfg(feature = "record")]
        Command::Sessions(args) => sessions::run(args),
        #[cfg(feature = "record")]
        Command::Snapshot(args) => snapshot::run(args),
        #[cfg(feature = "record")]
        Command::List(args) => list::run(&args),
        Command::Report(args) => report::run(args),
        Command::Stats(args) => stats::run(args),
        Command::Calls(args) => calls::run(args),
        Command::Repair(args) => repair::run(args),
        #[cfg(feature = "record")]
        Command::Doctor(args) => doctor::run(args),
        #[cfg(feature = "record")]
        Command::Detach(args) => detach::run(args),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// Help texts are doc comments of options, which start in the imperative: not with `The`,
    /// `How` or `What`.
    #[test]
    fn every_option_has_a_help_text() {
        for command in Cli::command().get_subcommands() {
            for argument in command.get_arguments() {
                let (command, name) = (command.get_name(), argument.get_id());
                let help = argument.get_help().map(ToString::to_string);
                let help = help.unwrap_or_else(|| panic!("{command} {name}: no help text"));
                let first = help.split_whitespace().next().unwrap_or_default();
                let is_noun = ["The", "A", "How", "What", "Only"].contains(&first);
                assert!(!is_noun, "{command} {name}: {help}");
            }
        }
    }
}
