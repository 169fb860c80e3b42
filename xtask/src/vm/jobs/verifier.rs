//! The instructions that the verifier processes before it accepts each program.
//!
//! It follows every path through a program, so a harmless change can multiply its work:
//! loading then takes long, and beyond a million instructions the kernel refuses. The
//! numbers are kept in `verifier.txt`, and growth fails a test long before a load does.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::{fs, process};

use anyhow::{Context, Result, bail, ensure};

mod recordings;

use self::recordings::{RECORDINGS, Recording};
use crate::build::{self, Profile, Show};
use crate::vm::jobs::kept::Kept;
use crate::vm::jobs::{Check, Command};
use crate::vm::{self, KERNELS, Kernel, Outcome};
use crate::{privilege, workspace};

pub(super) const CHECKS: &[Check] = &[Check {
    name: "the verifier walks no more than is on record",
    verify: |kernel, outcome| {
        let table = Table::read()?;
        compare(&table, kernel.name, &walked(kernel, outcome)?)
    },
}];

impl Recording {
    /// The names of its shapes in the table, each with the name of the program.
    fn programs(&self) -> impl Iterator<Item = (String, &'static str)> {
        self.shapes.iter().map(|shape| {
            let variant = self.variant.map(|variant| format!(", {variant}"));
            let name = shape.name.to_owned() + &variant.unwrap_or_default();
            (name, shape.program)
        })
    }

    /// The words that record the shapes whose probes are `wanted`, to the folder `trace`.
    fn words(&self, wanted: impl Fn(&str) -> bool) -> Vec<&'static str> {
        let mut probes: Vec<&str> = self.shapes.iter().map(|shape| shape.probe).collect();
        probes.dedup();
        probes.retain(|probe| wanted(probe));
        let probes = probes.into_iter().flat_map(|probe| ["-e", probe]);
        let options = self.options.iter().copied();
        ["record", "--quiet", "-o", "trace"]
            .into_iter()
            .chain(options)
            .chain(probes)
            .chain(["--"])
            .collect()
    }

    /// Parses the output of `work programs`: lines with the name of a program and its number.
    fn parse(&self, text: &str) -> Walked {
        let number = |wanted: &str| {
            text.lines().find_map(|line| {
                let (name, number) = line.split_once(' ')?;
                (name == wanted).then(|| number.parse().ok())?
            })
        };
        self.programs()
            .filter_map(|(name, program)| Some((name, number(program)?)))
            .collect()
    }
}

/// In the table: the kernel has no such program.
const NO_NUMBER: &str = "-";

/// Columns that the table has for names.
const NAME_WIDTH: usize = 48;

/// Numbers may be off by a tenth: the compiler's version shows in them.
const TOLERANCE_PERCENT: u64 = 10;

pub(super) fn commands() -> Vec<Command> {
    let command = |recording: &Recording| {
        let mut command = Command::new(recording.name, "tracer");
        for word in recording.words(|_| true) {
            command = command.word(word);
        }
        command.then("work programs")
    };
    RECORDINGS.iter().map(command).collect()
}

/// Instructions by shape.
type Walked = BTreeMap<String, u64>;

fn walked(kernel: Kernel, outcome: &Outcome) -> Result<Walked> {
    let mut all = Walked::new();
    let recordings = RECORDINGS.iter();
    for recording in
        recordings.filter(|recording| recording.needs.is_none_or(|feature| kernel.has(feature)))
    {
        let kept = Kept::succeeded(outcome, recording.name)?;
        let walked = recording.parse(&kept.stdout);
        ensure!(
            walked.len() == recording.shapes.len(),
            "not every program of `{}` was loaded: {}{}",
            recording.name,
            kept.stdout,
            kept.stderr
        );
        all.extend(walked);
    }
    Ok(all)
}

/// The same on the running kernel, for as many shapes as it has probes for.
fn walked_here() -> Result<Walked> {
    let tracer = build::everything(Profile::Release, Show::Progress)?;
    let work = build::work(Show::Progress)?;
    let is_known = |probe: &str| {
        // Without what is fetched, and without the filter.
        let probe = probe.split(['{', ' ']).next().unwrap_or_default();
        let mut list = process::Command::new(&tracer);
        let listed = list.args(["list", probe]).output();
        listed.is_ok_and(|output| output.status.success())
    };
    let mut all = Walked::new();
    let has_known = |recording: &&Recording| {
        let mut shapes = recording.shapes.iter();
        shapes.any(|shape| is_known(shape.probe))
    };
    for recording in RECORDINGS.iter().filter(has_known) {
        let dir = tempfile::tempdir().context("cannot create a folder for the trace")?;
        let mut command = process::Command::new(&tracer);
        command
            .args(recording.words(is_known))
            .arg(&work)
            .arg("programs")
            .current_dir(dir.path());
        all.extend(recording.parse(&crate::process::output(&mut command)?));
    }
    Ok(all)
}

/// The numbers on record.
#[derive(Debug, Default)]
struct Table {
    /// By shape, then in the order of `kernels`; `None` if a kernel has no such program.
    rows: BTreeMap<String, Vec<Option<u64>>>,
    kernels: Vec<String>,
}

impl Table {
    fn path() -> PathBuf {
        workspace::root().join("xtask/src/vm/jobs/verifier.txt")
    }

    fn read() -> Result<Self> {
        let path = Self::path();
        let text = fs::read_to_string(&path)
            .with_context(|| format!("cannot read `{}`", path.display()))?;
        Self::parse(&text).with_context(|| format!("cannot use `{}`", path.display()))
    }

    /// Columns are kernels and apart by `|`; the first column names the program.
    fn parse(text: &str) -> Result<Self> {
        let mut table = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let mut columns = line.split('|').map(str::trim);
            let shape = columns.next().unwrap_or_default();
            if table.kernels.is_empty() {
                table.kernels = columns.map(ToOwned::to_owned).collect();
                continue;
            }
            let numbers = columns
                .map(|column| match column {
                    NO_NUMBER => Ok(None),
                    _ => (column.parse().map(Some))
                        .with_context(|| format!("`{column}` is not a number")),
                })
                .collect::<Result<_>>()?;
            table.rows.insert(shape.to_owned(), numbers);
        }
        Ok(table)
    }

    fn number(&self, shape: &str, kernel: &str) -> Option<u64> {
        let column = self.kernels.iter().position(|known| known == kernel)?;
        *self.rows.get(shape)?.get(column)?
    }
}

fn compare(table: &Table, kernel: &str, walked: &Walked) -> Result<()> {
    let mut complaints = String::new();
    for (shape, now) in walked {
        match table.number(shape, kernel) {
            Some(before) if now.abs_diff(before) * 100 <= before * TOLERANCE_PERCENT => {}
            Some(before) => write!(complaints, " {shape}: {now} instead of {before};")?,
            None => write!(complaints, " {shape}: {now}, and none on record;")?,
        }
    }
    if !complaints.is_empty() {
        bail!(
            "the verifier walks a different number of instructions:{complaints} if that is \
             meant, run `cargo xtask verifier --update`"
        );
    }
    Ok(())
}

/// The table as text; a shape that was not measured on a kernel has no number there.
fn render(columns: &[(&str, Walked)]) -> String {
    let mut text = String::from(
        "# Instructions that the verifier walks until it accepts each program, by kernel.\n\
         # Written by `cargo xtask verifier --update`; tier `vm` compares with it.\n",
    );
    let mut row = |name: &str, cells: &mut dyn Iterator<Item = String>| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{name:<NAME_WIDTH$}");
        for cell in cells {
            let _ = write!(text, " | {cell:>6}");
        }
        text.push('\n');
    };
    row(
        "program",
        &mut columns.iter().map(|(kernel, _)| (*kernel).to_owned()),
    );
    for (shape, _) in RECORDINGS.iter().flat_map(Recording::programs) {
        let cell = |(_, walked): &(&str, Walked)| {
            let number = walked.get(&shape);
            number.map_or_else(|| NO_NUMBER.to_owned(), u64::to_string)
        };
        row(&shape, &mut columns.iter().map(cell));
    }
    text
}

/// Loads every shape of program on every kernel, prints what the verifier walked, and with
/// `update` puts it on record. For root, the running kernel is shown beside them.
///
/// # Errors
/// If a machine does not run, a kernel refuses a program, or the file cannot be written.
pub fn measure(update: bool) -> Result<()> {
    let mut columns = Vec::new();
    for kernel in KERNELS {
        let outcome = vm::run(kernel, &super::job(commands()))?;
        columns.push((kernel.name, walked(kernel, &outcome)?));
    }
    let record = render(&columns);
    if privilege::is_root() {
        match walked_here() {
            Ok(walked) => columns.push(("here", walked)),
            Err(error) => eprintln!("xtask: warning: the running kernel is left out: {error:#}"),
        }
    }
    print!("{}", render(&columns));
    if update {
        let path = Table::path();
        fs::write(&path, record).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walked_by_all(number: u64) -> Walked {
        let programs = RECORDINGS.iter().flat_map(Recording::programs);
        programs.map(|(shape, _)| (shape, number)).collect()
    }

    fn table(number: u64) -> Table {
        Table::parse(&render(&[("6.1", walked_by_all(number))])).unwrap()
    }

    #[test]
    fn the_table_is_read_as_written() {
        assert_eq!(table(700).number("kprobe", "6.1"), Some(700));
    }

    #[test]
    fn a_kernel_without_a_program_has_no_number() {
        let without = render(&[("6.1", Walked::new()), ("6.12", walked_by_all(9))]);
        let table = Table::parse(&without).unwrap();
        let number = |kernel| table.number("kprobe", kernel);
        assert_eq!((number("6.1"), number("6.12")), (None, Some(9)));
    }

    #[test]
    fn every_shape_has_its_own_name() {
        let shapes = RECORDINGS.iter().flat_map(Recording::programs).count();
        assert_eq!(walked_by_all(1).len(), shapes);
    }

    #[test]
    fn a_program_is_found_by_its_whole_name() {
        let walked = RECORDINGS[0].parse("on_sys_enter_x 8\non_sys_enter 7\n");
        assert_eq!(walked, Walked::from([("system call, entry".to_owned(), 7)]));
    }

    #[test]
    fn a_small_difference_is_tolerated() {
        assert!(compare(&table(100), "6.1", &walked_by_all(110)).is_ok());
    }

    #[test]
    fn growth_is_an_error() {
        let error = compare(&table(100), "6.1", &walked_by_all(111)).unwrap_err();
        assert!(error.to_string().contains("kprobe: 111 instead of 100"));
    }

    #[test]
    fn a_kernel_that_is_not_on_record_is_an_error() {
        assert!(compare(&table(100), "6.12", &walked_by_all(100)).is_err());
    }
}
