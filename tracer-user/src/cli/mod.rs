//! The command line: what was typed, and which part of the library it means.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod doctor;
mod list;
mod record;
mod repair;
mod report;
mod scoped;
mod sessions;
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
    Record(Box<record::Args>),
    Sessions(sessions::Args),
    Snapshot(snapshot::Args),
    List(list::Args),
    Report(report::Args),
    Repair(repair::Args),
    Doctor(doctor::Args),
}

/// Runs the command that the arguments of this process name.
///
/// # Errors
/// Whatever ended the command; the caller prints it.
pub fn run() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Record(args) => record::run(*args),
        Command::Sessions(args) => sessions::run(args),
        Command::Snapshot(args) => snapshot::run(args),
        Command::List(args) => list::run(args),
        Command::Report(args) => report::run(args),
        Command::Repair(args) => repair::run(args),
        Command::Doctor(args) => doctor::run(args),
    }
}
