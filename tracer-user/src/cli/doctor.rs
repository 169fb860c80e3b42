//! `tracer doctor`.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::doctor::{Check, Roots, State, can_record, examine};
use crate::record::programs;

/// Check what this system supports and how to fix what is missing
///
/// Exits with failure if nothing can be recorded.
#[derive(clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_args: Args) -> anyhow::Result<ExitCode> {
    let checks = examine(&Roots::default(), programs::object().is_some());
    match print(&checks, &mut io::stdout().lock()) {
        // The exit status still matters if the output is not read.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error.into()),
        _ => {}
    }
    Ok(if can_record(&checks) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn print(checks: &[Check], out: &mut impl Write) -> io::Result<()> {
    let width = checks
        .iter()
        .map(|check| check.name.len())
        .max()
        .unwrap_or(0);
    for check in checks {
        let state = match check.state {
            State::Ok => "ok",
            State::Warn => "warn",
            State::Fail => "FAIL",
        };
        writeln!(out, "{state:<5} {:<width$}  {}", check.name, check.found)?;
        if let Some(way_out) = &check.way_out {
            writeln!(out, "      {:<width$}  -> {way_out}", "")?;
        }
    }
    let verdict = if can_record(checks) {
        "Tracepoints and system calls can be recorded."
    } else {
        "Recording is not possible: fix the failed checks first."
    };
    writeln!(out, "\n{verdict}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hint_follows_its_check() {
        let checks = [Check {
            name: "tracefs",
            state: State::Fail,
            found: "absent".into(),
            way_out: Some("mount it".into()),
        }];
        let mut out = Vec::new();
        print(&checks, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("FAIL  tracefs  absent\n"), "{text}");
        assert!(text.contains("-> mount it\n"), "{text}");
    }
}
