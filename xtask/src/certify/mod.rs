//! `cargo xtask certify`: compares the events of recipes with those of perf's tracepoints.
//!
//! A recording has both ways of each tracepoint as classes of their own, while `work mix` makes
//! events of many kinds happen. The keys of the recipes whose events are equal are added to
//! `certified.txt`, which the recorder embeds.

mod compare;
mod table;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use self::compare::{Compared, compare};
use self::table::Table;
use crate::build::{self, Profile, Show};
use crate::{process, vm};

/// Events that must be equal.
const AT_LEAST: u64 = 5;

/// What is compared.
#[derive(clap::Args)]
pub struct Args {
    /// Compare on these kernels, in virtual machines [default: on the running kernel]
    #[arg(long, value_enum)]
    kernel: Option<vm::KernelChoice>,
    /// Compare only these tracepoints
    #[arg(value_name = "PATTERN,…", default_value = "*:*")]
    pattern: String,
    /// Run the workload for this time
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    seconds: u64,
    /// Fail if a recipe that is certified, or would be, is not equal; change nothing
    #[arg(long)]
    check: bool,
}

/// A recipe of a kernel: its key and whether it is certified.
struct Recipe {
    key: String,
    event: String,
    certified: bool,
}

/// Records and compares, and adds to the table what is equal.
///
/// # Errors
/// If recording fails, or with `--check` if events of a recipe differ.
pub fn run(args: &Args) -> Result<()> {
    let mut table = Table::read()?;
    let mut wrong = Vec::new();
    let mut verdict = |kernel: &str, found: Found| {
        wrong.extend(report(kernel, &found));
        if !args.check {
            table.extend(found.agreeing());
        }
    };
    match args.kernel {
        None => verdict("the running kernel", here(args)?),
        Some(choice) => {
            for kernel in choice.kernels() {
                verdict(kernel.name, in_guest(*kernel, args)?);
            }
        }
    }
    if args.check {
        ensure!(wrong.is_empty(), "events differ: {}", wrong.join(", "));
        return Ok(());
    }
    table.write()
}

/// Recipes of a kernel, and what came of their events.
struct Found {
    recipes: Vec<Recipe>,
    compared: BTreeMap<String, Compared>,
}

impl Found {
    /// Keys and events of the recipes that agree.
    fn agreeing(&self) -> impl Iterator<Item = (String, String)> {
        let agrees = |recipe: &&Recipe| {
            let compared = self.compared.get(&recipe.event);
            compared.is_some_and(|compared| compared.agrees(AT_LEAST))
        };
        let recipes = self.recipes.iter().filter(agrees);
        recipes.map(|recipe| (recipe.key.clone(), recipe.event.clone()))
    }
}

/// Prints what was found. Returns the events that differ.
fn report(kernel: &str, found: &Found) -> Vec<String> {
    let mut text = String::new();
    let mut wrong = Vec::new();
    let mut seldom = Vec::new();
    let mut agreeing = 0;
    for recipe in &found.recipes {
        let compared = found.compared.get(&recipe.event);
        let compared = compared.cloned().unwrap_or_default();
        if compared.agrees(AT_LEAST) {
            agreeing += 1;
        } else if compared.different == 0 && compared.only_perf <= 2 {
            seldom.push(recipe.event.as_str());
        } else {
            let certified = if recipe.certified { " (certified)" } else { "" };
            let _ = writeln!(
                text,
                "{}{certified}: {} equal, {} different, {} of perf alone, {} of the recipe alone",
                recipe.event,
                compared.equal,
                compared.different,
                compared.only_perf,
                compared.only_recipe
            );
            if let Some((recipe, perf)) = &compared.example {
                let _ = writeln!(text, "    recipe {recipe}\n    perf   {perf}");
            }
            wrong.push(format!("{} on {kernel}", recipe.event));
        }
    }
    eprint!("{text}");
    if !seldom.is_empty() {
        eprintln!("fewer than {AT_LEAST} events: {}", seldom.join(" "));
    }
    eprintln!(
        "{kernel}: {agreeing} of {} recipes agree",
        found.recipes.len()
    );
    wrong
}

/// The words of the command that records both ways.
fn record(args: &Args, trace: &str) -> Vec<String> {
    let mut words: Vec<String> = [
        "record",
        "--names",
        "tracefs",
        "--tracepoints",
        "both",
        "--buffer-size",
        "32M",
        "-e",
        &args.pattern,
        "-o",
        trace,
        "--",
        "work",
        "mix",
    ]
    .map(str::to_owned)
    .into();
    words.push(args.seconds.to_string());
    words
}

fn here(args: &Args) -> Result<Found> {
    let tracer = build::everything(Profile::Release, Show::Progress)?;
    let work = build::work(Show::Progress)?;
    let dir = tempfile::tempdir().context("cannot create a folder for the trace")?;
    let keys = process::output(Command::new(&tracer).args(["list", "--recipes"]))?;
    let trace = dir.path().join("trace");
    let words = record(args, &trace.display().to_string());
    let mut command = Command::new(&tracer);
    for word in words {
        if word == "work" {
            command.arg(&work);
        } else {
            command.arg(word);
        }
    }
    command.current_dir(dir.path());
    process::run(&mut command)?;
    found(&tracer, &keys, &trace, args)
}

fn in_guest(kernel: vm::Kernel, args: &Args) -> Result<Found> {
    let tracer = build::everything(Profile::Release, Show::Progress)?;
    let trace = "/out/trace";
    let mut words = vec!["tracer".to_owned()];
    words.extend(record(args, trace));
    words.push("/out/disk".to_owned());
    let job = vm::Job::new()
        .command(["tracer", "list", "--recipes"].map(str::to_owned))
        .command(words)
        .disk(true)
        .timeout(Duration::from_mins(20));
    let outcome = vm::run(kernel, &job)?;
    ensure!(
        outcome.status == 0,
        "recording on {} failed: {}",
        kernel.name,
        outcome.stderr
    );
    eprint!("{}", outcome.stderr);
    found(
        &tracer,
        &outcome.stdout,
        &outcome.out_dir().join("trace"),
        args,
    )
}

/// Compares the events of a trace.
fn found(tracer: &Path, keys: &str, trace: &Path, args: &Args) -> Result<Found> {
    let recipes = recipes(keys, &args.pattern);
    let mut child = Command::new(tracer)
        .args(["report", "--json"])
        .arg(trace)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the report")?;
    let out = child.stdout.take().context("the report has no output")?;
    let lines: Vec<String> = BufReader::new(out)
        .lines()
        .collect::<std::io::Result<_>>()
        .context("cannot read the report")?;
    ensure!(child.wait()?.success(), "the report failed");
    let compared = compare(lines.iter().map(String::as_str));
    Ok(Found { recipes, compared })
}

/// The lines of `tracer list --recipes` that the pattern matches.
fn recipes(text: &str, pattern: &str) -> Vec<Recipe> {
    let is_wanted = |event: &str| {
        pattern
            .split(',')
            .any(|pattern| match pattern.split_once('*') {
                Some((before, after)) => event.starts_with(before) && event.ends_with(after),
                None => pattern == event,
            })
    };
    text.lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let (key, event, state) = (words.next()?, words.next()?, words.next()?);
            (key != "-" && (pattern == "*:*" || is_wanted(event))).then(|| Recipe {
                key: key.to_owned(),
                event: event.to_owned(),
                certified: state == "certified",
            })
        })
        .collect()
}

/// The table that the recorder embeds.
fn table_path() -> PathBuf {
    crate::workspace::root().join("tracer-user/src/probe/recipes/certified.txt")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipes_are_those_that_the_pattern_matches() {
        let text = "00ff a:b certified\n- a:c its type is unknown\n0001 d:e new\n";
        let events = |pattern| -> Vec<String> {
            let found = recipes(text, pattern).into_iter();
            found.map(|recipe| recipe.event).collect()
        };
        assert_eq!(events("*:*"), ["a:b", "d:e"]);
        assert_eq!(events("x:y,d:*"), ["d:e"]);
        assert_eq!(events("a:b"), ["a:b"]);
        assert!(recipes(text, "a:b")[0].certified);
    }
}
