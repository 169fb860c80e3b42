//! What the verifier has to walk through before it accepts each program.
//!
//! It follows every path through a program, so a harmless change can multiply its work:
//! loading then takes long, and beyond a million instructions the kernel refuses. The
//! numbers are kept in `verifier.txt`, and growth fails a test long before a load does.

use std::{collections::BTreeMap, fmt::Write, fs, path::PathBuf, process};

use anyhow::{Context, Result, bail, ensure};

use super::{Check, Command, kept::Kept};
use crate::{
    build::{self, Profile, Show},
    privilege,
    vm::{self, Kernel, Outcome},
    workspace,
};

pub(super) const CHECKS: &[Check] = &[Check {
    name: "the verifier walks no more than is on record",
    verify: |kernel, outcome| {
        let table = Table::read()?;
        compare(&table, kernel.name(), &walked(outcome)?)
    },
}];

/// Shapes of programs: how the table calls them, the probe whose program has the shape,
/// and the name that the kernel has for that program.
const SHAPES: [(&str, &str, &str); 9] = [
    ("tracepoint, fixed", "sched:sched_switch", "sched_sched_swi"),
    (
        "tracepoint, a string",
        "sched:sched_process_exec",
        "sched_sched_pro",
    ),
    (
        "tracepoint, four strings",
        "power:device_pm_callback_start",
        "power_device_pm",
    ),
    ("kprobe", "kprobe:vfs_read", "kprobe_vfs_read"),
    ("kretprobe", "kretprobe:vfs_read", "kretprobe_vfs_r"),
    ("system call, entry", "syscall:openat", "on_sys_enter"),
    ("system call, exit", "syscall:openat", "on_sys_exit"),
    (
        "raw system call, entry",
        "raw_syscalls:sys_enter",
        "on_raw_sys_ente",
    ),
    (
        "raw system call, exit",
        "raw_syscalls:sys_exit",
        "on_raw_sys_exit",
    ),
];

/// Numbers may be off by a tenth: the compiler's version shows in them.
const TOLERANCE_PERCENT: u64 = 10;

pub(super) fn command() -> Command {
    let probes = SHAPES.map(|(_, probe, _)| probe).join(",");
    Command::new(
        "programs",
        format!("tracer record -o /tmp/programs -e {probes} -- work programs"),
    )
}

/// Instructions by shape.
type Walked = BTreeMap<&'static str, u64>;

fn walked(outcome: &Outcome) -> Result<Walked> {
    let kept = Kept::succeeded(outcome, "programs")?;
    let walked = parse(&kept.stdout);
    ensure!(
        walked.len() == SHAPES.len(),
        "not every program was loaded: {}{}",
        kept.stdout,
        kept.stderr
    );
    Ok(walked)
}

/// Reads the lines of `work programs`: the name of a program, and its number.
fn parse(text: &str) -> Walked {
    let number = |wanted: &str| {
        text.lines().find_map(|line| {
            let (name, number) = line.split_once(' ')?;
            (name == wanted).then(|| number.parse().ok())?
        })
    };
    let shapes = SHAPES.into_iter();
    shapes
        .filter_map(|(shape, _, name)| Some((shape, number(name)?)))
        .collect()
}

/// The same on the running kernel, for as many shapes as it has probes for.
fn walked_here() -> Result<Walked> {
    let tracer = build::everything(Profile::Release, Show::Progress)?;
    let work = build::work(Show::Progress)?;
    let is_known = |probe: &&str| {
        let mut list = process::Command::new(&tracer);
        let listed = list.args(["list", probe]).output();
        listed.is_ok_and(|output| output.status.success())
    };
    let probes: Vec<&str> = SHAPES
        .map(|(_, probe, _)| probe)
        .into_iter()
        .filter(is_known)
        .collect();
    let dir = tempfile::tempdir().context("cannot create a folder for the trace")?;
    let mut command = process::Command::new(&tracer);
    command
        .args(["record", "--quiet", "-e", &probes.join(","), "-o"])
        .arg(dir.path().join("trace"))
        .arg("--")
        .arg(work)
        .arg("programs");
    Ok(parse(&crate::process::output(&mut command)?))
}

/// The numbers on record.
#[derive(Debug, Default)]
struct Table {
    /// By shape, then in the order of `kernels`.
    rows: BTreeMap<String, Vec<u64>>,
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
                .map(|column| {
                    column
                        .parse()
                        .with_context(|| format!("`{column}` is no number"))
                })
                .collect::<Result<_>>()?;
            table.rows.insert(shape.to_owned(), numbers);
        }
        Ok(table)
    }

    fn number(&self, shape: &str, kernel: &str) -> Option<u64> {
        let column = self.kernels.iter().position(|known| known == kernel)?;
        self.rows.get(shape)?.get(column).copied()
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
        let _ = write!(text, "{name:<24}");
        for cell in cells {
            let _ = write!(text, " | {cell:>6}");
        }
        text.push('\n');
    };
    row(
        "program",
        &mut columns.iter().map(|(kernel, _)| (*kernel).to_owned()),
    );
    for (shape, _, _) in SHAPES {
        let cell = |(_, walked): &(&str, Walked)| {
            let number = walked.get(shape);
            number.map_or_else(|| "-".to_owned(), u64::to_string)
        };
        row(shape, &mut columns.iter().map(cell));
    }
    text
}

/// Loads every shape of program on every kernel, prints what the verifier walked, and with
/// `update` puts it on record. For root, the running kernel is shown beside them.
///
/// # Errors
/// When a machine does not run, a kernel refuses a program, or the file cannot be written.
pub fn measure(update: bool) -> Result<()> {
    let mut columns = Vec::new();
    for kernel in Kernel::ALL {
        let outcome = vm::run(kernel, &super::job(vec![command()]))?;
        columns.push((kernel.name(), walked(&outcome)?));
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
        SHAPES.map(|(shape, _, _)| (shape, number)).into()
    }

    fn table(number: u64) -> Table {
        Table::parse(&render(&[("6.1", walked_by_all(number))])).unwrap()
    }

    #[test]
    fn what_is_written_is_read_back() {
        assert_eq!(table(700).number("kprobe", "6.1"), Some(700));
    }

    #[test]
    fn a_program_is_found_by_its_whole_name() {
        let walked = parse("on_sys_enter 7\non_sys_enter_x 8\n");
        assert_eq!(walked, Walked::from([("system call, entry", 7)]));
    }

    #[test]
    fn a_small_difference_is_none() {
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
