//! `cargo xtask fuzz`: the test `fuzz` of `tracer-user`, built to be fast, with many runs.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{process, workspace};

/// Which parsers to fuzz, and how often.
#[derive(clap::Args)]
pub struct Args {
    /// Mutations of the inputs of each parser
    #[arg(long, default_value_t = 5_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    runs: u64,
    /// Seed of the random numbers: the same seed makes the same inputs
    #[arg(long)]
    seed: Option<u64>,
    /// Only these: `filter`, `metadata` [default: all]
    #[arg(value_name = "PARSER")]
    parsers: Vec<String>,
}

/// Fuzzes the parsers one after the other; each prints a line when done.
///
/// # Errors
/// If the test cannot be built, a parser is unknown, or one has failed.
pub fn run(args: &Args) -> Result<()> {
    let known = parsers()?;
    for parser in &args.parsers {
        ensure!(
            known.contains(parser),
            "unknown parser `{parser}` (known: {})",
            known.join(", ")
        );
    }
    let mut test = harness();
    test.env("TRACER_FUZZ_RUNS", args.runs.to_string())
        .args(["--test-threads=1", "--exact"])
        .args(&args.parsers);
    if let Some(seed) = args.seed {
        test.env("TRACER_FUZZ_SEED", seed.to_string());
    }
    // The lines of the parsers are on standard error; what the harness says is of interest
    // only where one has failed.
    let output = test
        .stderr(std::process::Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{}`", process::display(&test)))?;
    if !output.status.success() {
        print!("{}", String::from_utf8_lossy(&output.stdout));
    }
    ensure!(
        output.status.success(),
        "a parser has failed; the inputs are in `tracer-user/tests/corpus/PARSER/failed-…`"
    );
    Ok(())
}

/// The names of the tests, which are those of the parsers. Builds the test first.
fn parsers() -> Result<Vec<String>> {
    let mut list = harness();
    list.args(["--list", "--format=terse"]);
    let listed = process::with_progress("building the parsers", || process::output(&mut list))?;
    Ok(names(&listed))
}

/// Lines are `NAME: test`.
fn names(listed: &str) -> Vec<String> {
    listed
        .lines()
        .filter_map(|line| line.strip_suffix(": test"))
        .map(ToOwned::to_owned)
        .collect()
}

/// Up to the arguments of the harness.
fn harness() -> Command {
    let mut cargo = workspace::cargo();
    cargo.args(["test", "--quiet", "--release", "--package", "tracer-user"]);
    cargo.args(["--test", "fuzz", "--target-dir"]);
    cargo.arg(workspace::target_dir().join("fuzz")).arg("--");
    cargo
}

#[cfg(test)]
mod tests {
    use crate::fuzz::names;

    #[test]
    fn the_tests_are_the_parsers() {
        assert_eq!(
            names("filter: test\nbtf: test\n\n2 tests\n"),
            ["filter", "btf"]
        );
    }
}
