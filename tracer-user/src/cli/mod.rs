//! The command line: what was typed, and which part of the library it means.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[cfg(feature = "record")]
mod doctor;
#[cfg(feature = "record")]
mod list;
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

/// Record kernel events with eBPF into a CTF trace.
#[derive(Parser)]
#[command(name = "tracer", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

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
    Repair(repair::Args),
    #[cfg(feature = "record")]
    Doctor(doctor::Args),
}

/// Runs the command that the arguments of this process name.
///
/// # Errors
/// Whatever ended the command; the caller prints it.
pub fn run() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        #[cfg(feature = "record")]
        Command::Record(args) => record::run(*args),
        #[cfg(feature = "record")]
        Command::Sessions(args) => sessions::run(args),
        #[cfg(feature = "record")]
        Command::Snapshot(args) => snapshot::run(args),
        #[cfg(feature = "record")]
        Command::List(args) => list::run(args),
        Command::Report(args) => report::run(args),
        Command::Repair(args) => repair::run(args),
        #[cfg(feature = "record")]
        Command::Doctor(args) => doctor::run(args),
    }
}
