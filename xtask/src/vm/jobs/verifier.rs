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

/// A recording with programs whose numbers are on record.
struct Recording {
    /// Folder of its results.
    name: &'static str,
    /// What all its programs have, for the table.
    variant: Option<&'static str>,
    options: &'static [&'static str],
    shapes: &'static [Shape],
}

/// What a program looks like: the copies for other probes differ little from it.
struct Shape {
    /// How the table calls it, before the variant.
    name: &'static str,
    /// The probe whose program has it.
    probe: &'static str,
    /// The name that the kernel has for that program, of 15 bytes at most.
    program: &'static str,
}

impl Shape {
    const fn new(name: &'static str, probe: &'static str, program: &'static str) -> Self {
        Self {
            name,
            probe,
            program,
        }
    }
}

const RECORDINGS: [Recording; 7] = [
    Recording {
        name: "programs",
        variant: None,
        options: &[],
        shapes: &[
            Shape::new("tracepoint, fixed", "sched:sched_switch", "sched_switch"),
            Shape::new(
                "tracepoint, a string",
                "sched:sched_process_exec",
                "sched_process_e",
            ),
            Shape::new(
                "tracepoint, four strings",
                "power:device_pm_callback_start",
                "power_device_pm",
            ),
            Shape::new("kprobe", "kprobe:vfs_read", "kprobe_vfs_read"),
            Shape::new("kretprobe", READ_RETURNS, "kretprobe_vfs_r"),
            Shape::new("kretprobe, entry", READ_RETURNS, "entry_kretprobe"),
            Shape::new("fentry", "fentry:vfs_read", "fentry_vfs_read"),
            Shape::new("fexit", "fexit:vfs_read", "fexit_vfs_read"),
            Shape::new("fexit, entry", "fexit:vfs_read", "entry_fexit_vfs"),
            Shape::new(
                "raw tracepoint",
                "rawtp:sched_process_exec",
                "rawtp_sched_pro",
            ),
            Shape::new("system call, entry", "syscall:openat", "on_sys_enter"),
            Shape::new("system call, exit", "syscall:openat", "on_sys_exit"),
            Shape::new(
                "raw system call, entry",
                "raw_syscalls:sys_enter",
                "on_raw_sys_ente",
            ),
            Shape::new(
                "raw system call, exit",
                "raw_syscalls:sys_exit",
                "on_raw_sys_exit",
            ),
        ],
    },
    Recording {
        name: "programs-strings",
        variant: Some("fetched strings"),
        options: &[],
        shapes: &[
            Shape::new(
                "kprobe",
                "kprobe:vfs_open{file->f_flags,path->dentry->d_parent->d_name.name:str,\
                 path->dentry->d_name.name:str}",
                "kprobe_vfs_open",
            ),
            Shape::new("kretprobe", WRITE_RETURNS, "kretprobe_vfs_w"),
            Shape::new("kretprobe, entry", WRITE_RETURNS, "entry_kretprobe"),
            Shape::new(
                "fexit",
                "fexit:vfs_write{ret,count,file->f_path.dentry->d_name.name:str}",
                "fexit_vfs_write",
            ),
            Shape::new(
                "raw tracepoint",
                "rawtp:sched_process_exec{p->pid,bprm->filename:str,p->comm:str}",
                "rawtp_sched_pro",
            ),
        ],
    },
    Recording {
        name: "programs-filtered",
        variant: Some("filter"),
        options: &[],
        shapes: &[
            Shape::new(
                "tracepoint",
                "sched:sched_switch if prev_prio < 100 || !(prev_comm ~ \"kworker/*\")",
                "sched_switch",
            ),
            Shape::new(
                "kprobe",
                "kprobe:vfs_read if count >= 4096 && comm != \"work\"",
                "kprobe_vfs_read",
            ),
            Shape::new(
                "kprobe, a pattern",
                "kprobe:vfs_open{name=path->dentry->d_name.name:str} if name ~ \"*.so*\"",
                "kprobe_vfs_open",
            ),
            Shape::new(
                "kretprobe",
                "kretprobe:vfs_read{ret,count} if ret < 0 || duration > 1000000",
                "kretprobe_vfs_r",
            ),
            Shape::new(
                "system call, entry, a pattern",
                "syscalls:sys_enter_openat if filename ~ \"/etc/*\" && (flags & 3) == 0",
                "on_sys_enter",
            ),
            Shape::new(
                "system call, exit",
                "syscalls:sys_exit_openat if ret == -2",
                "on_sys_exit",
            ),
            Shape::new(
                "raw system call, entry",
                "raw_syscalls:sys_enter if id == 257",
                "on_raw_sys_ente",
            ),
        ],
    },
    Recording {
        name: "programs-contexts",
        variant: Some("contexts"),
        options: &[
            "--context",
            "comm,uid,gid,cgroup,prio,nice,ppid,euid,suid,egid,sgid,vtid,vpid,vppid",
            "--context",
            "cgroup_ns,ipc_ns,mnt_ns,net_ns,pid_ns,time_ns,user_ns,uts_ns",
        ],
        shapes: &EACH_KIND,
    },
    Recording {
        name: "programs-stacks",
        variant: Some("stacks"),
        options: &["-T=both"],
        shapes: &EACH_KIND,
    },
    Recording {
        name: "programs-throttled",
        variant: Some("throttled"),
        options: &["--every", "10", "--limit", "1000/s"],
        shapes: &EACH_KIND,
    },
    Recording {
        name: "programs-followed",
        variant: Some("followed"),
        options: &["--only-command"],
        shapes: &[
            Shape::new("new thread", EXEC, "on_newtask"),
            Shape::new("exec", EXEC, "on_exec"),
            Shape::new("thread that is gone", EXEC, "on_free"),
            Shape::new("tracepoint, exec", EXEC, "sched_process_e"),
            Shape::new("kprobe", "kprobe:vfs_read", "kprobe_vfs_read"),
        ],
    },
];

/// A program of each kind, for what can be asked of all.
const EACH_KIND: [Shape; 8] = [
    Shape::new("tracepoint", "sched:sched_switch", "sched_switch"),
    Shape::new("kprobe", "kprobe:vfs_read", "kprobe_vfs_read"),
    Shape::new("kretprobe", READ_RETURNS, "kretprobe_vfs_r"),
    Shape::new("fexit", "fexit:vfs_read", "fexit_vfs_read"),
    Shape::new("raw tracepoint", "rawtp:sched_switch", "rawtp_sched_swi"),
    Shape::new("system call, entry", "syscall:openat", "on_sys_enter"),
    Shape::new("system call, exit", "syscall:openat", "on_sys_exit"),
    Shape::new(
        "raw system call, entry",
        "raw_syscalls:sys_enter",
        "on_raw_sys_ente",
    ),
];

const READ_RETURNS: &str = "kretprobe:vfs_read{ret,count}";
const WRITE_RETURNS: &str = "kretprobe:vfs_write{ret,count,file->f_path.dentry->d_name.name:str}";
const EXEC: &str = "sched:sched_process_exec";

impl Recording {
    /// How the table calls its shapes, each with the name of the program.
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

    /// What `work programs` printed: lines of the name of a program, and its number.
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

fn walked(outcome: &Outcome) -> Result<Walked> {
    let mut all = Walked::new();
    for recording in &RECORDINGS {
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
    for recording in &RECORDINGS {
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
            number.map_or_else(|| "-".to_owned(), u64::to_string)
        };
        row(&shape, &mut columns.iter().map(cell));
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
        let outcome = vm::run(kernel, &super::job(commands()))?;
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
        let programs = RECORDINGS.iter().flat_map(Recording::programs);
        programs.map(|(shape, _)| (shape, number)).collect()
    }

    fn table(number: u64) -> Table {
        Table::parse(&render(&[("6.1", walked_by_all(number))])).unwrap()
    }

    #[test]
    fn what_is_written_is_read_back() {
        assert_eq!(table(700).number("kprobe", "6.1"), Some(700));
    }

    #[test]
    fn every_shape_has_a_name_of_its_own() {
        let shapes = RECORDINGS.iter().flat_map(Recording::programs).count();
        assert_eq!(walked_by_all(1).len(), shapes);
    }

    #[test]
    fn a_program_is_found_by_its_whole_name() {
        let walked = RECORDINGS[0].parse("on_sys_enter_x 8\non_sys_enter 7\n");
        assert_eq!(walked, Walked::from([("system call, entry".to_owned(), 7)]));
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
