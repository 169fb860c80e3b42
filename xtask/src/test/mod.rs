//! `cargo xtask test`: tiers of checks from the fastest to the slowest, and a summary whose
//! last line is for programs.

use std::env;
use std::process::ExitCode;
use std::time::Instant;

use self::checks::Checks;
use self::tally::{Row, Tally};
use self::tiers::TIERS;
use crate::vm::Kernel;

mod checks;
mod host;
mod imports;
mod memory_model;
mod tally;
mod tiers;
mod virtual_machines;

/// The tiers of `cargo xtask check`.
pub const QUICK: [&str; 3] = ["fmt", "lint", "unit"];

/// A step of the whole test run.
struct Tier {
    name: &'static str,
    purpose: &'static str,
    /// Why the tier cannot run here, after an attempt to install what is missing.
    obstacle: fn() -> Option<String>,
    /// Runs the tier's checks.
    run: fn(&mut Checks),
}

/// Names that `--tier` takes.
#[must_use]
pub fn tier_names() -> Vec<&'static str> {
    TIERS.iter().map(|tier| tier.name).collect()
}

/// Prints the tiers.
pub fn list() {
    for tier in TIERS {
        println!("{:5} {}", tier.name, tier.purpose);
    }
}

/// Runs the named tiers, or all if none is named, and prints the summary. Tier `vm` boots
/// `kernels`. A tier that does not run to its end has failed.
#[must_use]
pub fn run(names: &[String], kernels: &'static [Kernel]) -> ExitCode {
    // In CI a tier that does not run must not look like one that passed.
    let must_run = env::var("CI").is_ok_and(|value| value == "true" || value == "1");
    let chosen = TIERS
        .iter()
        .filter(|tier| names.is_empty() || names.iter().any(|name| name == tier.name));
    let rows: Vec<_> = chosen
        .map(|tier| run_tier(tier, kernels, must_run))
        .collect();
    print!("\n{}", tally::summary(&rows));
    let failed: usize = rows.iter().map(|row| row.tally.failed).sum();
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn run_tier(tier: &'static Tier, kernels: &'static [Kernel], must_run: bool) -> Row {
    println!("\n== {}: {}", tier.name, tier.purpose);
    let start = Instant::now();
    let mut checks = Checks::new(kernels);
    if let Some(reason) = (tier.obstacle)() {
        let verdict = if must_run { "failed" } else { "skipped" };
        println!("   {verdict}: cannot run here: {reason}");
        return Row {
            tier: tier.name,
            seconds: start.elapsed().as_secs_f64(),
            tally: Tally {
                failed: usize::from(must_run),
                skipped: usize::from(!must_run),
                passed: 0,
            },
            reason: Some(reason),
        };
    }
    (tier.run)(&mut checks);
    let tally = checks.into_tally();
    let seconds = start.elapsed().as_secs_f64();
    println!("== {}: {}, {seconds:.1} s", tier.name, tally);
    Row {
        tier: tier.name,
        seconds,
        tally,
        reason: None,
    }
}
