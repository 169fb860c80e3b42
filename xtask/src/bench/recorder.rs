//! The recorders that are compared, and the command line with which each does the same.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::apt::{self, Program};
use crate::privilege;

/// Buffer of each CPU, the same for all.
pub(super) const BUFFER_MIB: u64 = 8;

pub(super) const PERF: Program = Program {
    name: "perf",
    package: "linux-perf",
};
const TRACE_CMD: Program = Program {
    name: "trace-cmd",
    package: "trace-cmd",
};

/// Lets trace-cmd work if the kernel forbids access to function tracing, which it always
/// resets at start and end: it finds empty files in place of the
/// kernel's, in a mount namespace that ends with it. The list of the kernel's symbols is a
/// copy there: trace-cmd fails when the list changes while it is read, as it does whenever
/// somebody loads a BPF program.
const AROUND_FUNCTION_TRACING: &str = r#"mount --make-rprivate /
tracing=/sys/kernel/tracing
[ -e $tracing/set_event ] || mount -t tracefs tracefs $tracing
mount -t tmpfs tmpfs /mnt && : >/mnt/empty && echo 1 >/mnt/one
for file in set_ftrace_filter set_ftrace_notrace set_ftrace_pid set_ftrace_notrace_pid; do
    [ ! -e $tracing/$file ] || mount --bind /mnt/empty $tracing/$file
done
[ ! -e /proc/sys/kernel/ftrace_enabled ] || mount --bind /mnt/one /proc/sys/kernel/ftrace_enabled
mount --bind "$1" /proc/kallsyms
shift
exec "$@"
"#;

/// The file that holds it, beside the traces.
const SCRIPT: &str = "around-function-tracing";

/// The copy of the kernel's symbols, beside them, too.
const SYMBOLS: &str = "kernel-symbols";

/// Writes what the commands of the recorders need into `folder`.
pub(super) fn prepare(folder: &Path) -> Result<()> {
    let symbols = fs::read("/proc/kallsyms").context("cannot read `/proc/kallsyms`")?;
    for (name, content) in [
        (SCRIPT, AROUND_FUNCTION_TRACING.as_bytes()),
        (SYMBOLS, &symbols),
    ] {
        let path = folder.join(name);
        fs::write(&path, content).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(())
}

/// A program that records kernel events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recorder {
    Tracer,
    Perf,
    TraceCmd,
}

/// The task of a recorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted<'a> {
    /// The event as the recorder names it.
    pub(super) event: &'a str,
    /// Which of these events are recorded, decided in the kernel; none: all of them.
    pub(super) only: Option<Only<'a>>,
}

/// Some of the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Only<'a> {
    /// Those for which a condition holds, in the recorder's language.
    Filter(&'a str),
    /// Those of the process of this number.
    Process(&'a str),
}

/// The events of the loop to record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// Every call, with its number and six arguments.
    RawEnter,
    /// Only this call, by name; it has no arguments.
    TypedEnter,
}

impl Probe {
    /// The tracefs name, which all recorders take.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::RawEnter => "raw_syscalls:sys_enter",
            Self::TypedEnter => "syscalls:sys_enter_getppid",
        }
    }

    /// It, without a condition.
    pub(super) fn wanted(self) -> Wanted<'static> {
        Wanted {
            event: self.name(),
            only: None,
        }
    }
}

impl Recorder {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tracer => "tracer",
            Self::Perf => "perf",
            Self::TraceCmd => "trace-cmd",
        }
    }

    /// Makes sure that it can be started.
    pub(super) fn ensure(self) -> Result<()> {
        match self {
            Self::Tracer => Ok(()),
            Self::Perf => apt::ensure_installed(&[PERF]),
            Self::TraceCmd => apt::ensure_installed(&[TRACE_CMD]),
        }
    }

    /// The words of the command that records `wanted` system-wide into `output` while
    /// `workload` runs. The peers are spared what is not recording: perf the search for build
    /// ids, trace-cmd compressing.
    pub(super) fn words(
        self,
        tracer: &str,
        wanted: &Wanted<'_>,
        output: &Path,
        workload: &[String],
    ) -> Vec<String> {
        let of = |name: &str| output.with_file_name(name).to_string_lossy().into_owned();
        let (script, symbols) = (of(SCRIPT), of(SYMBOLS));
        let (mib, kib) = (format!("{BUFFER_MIB}M"), format!("{}", BUFFER_MIB * 1024));
        let output = output.to_string_lossy();
        let recorder: &[&str] = match self {
            Self::Tracer => &[tracer, "record", "--force", "--buffer-size", &mib],
            Self::Perf => &[
                PERF.name,
                "record",
                "--all-cpus",
                "--no-buildid",
                "--mmap-pages",
                &mib,
            ],
            Self::TraceCmd => &[
                "unshare",
                "--mount",
                "sh",
                "-e",
                &script,
                &symbols,
                TRACE_CMD.name,
                "record",
                "-q",
                "--compression",
                "none",
                "-b",
                &kib,
            ],
        };
        let only = wanted.only.into_iter().flat_map(|only| match (only, self) {
            (Only::Filter(text), Self::Tracer | Self::TraceCmd) => ["-f", text],
            (Only::Filter(text), Self::Perf) => ["--filter", text],
            (Only::Process(id), Self::Tracer | Self::Perf) => ["-p", id],
            (Only::Process(id), Self::TraceCmd) => ["-P", id],
        });
        let end: &[&str] = match self {
            // It takes the first word that is not an option for the command.
            Self::TraceCmd => &[],
            Self::Tracer | Self::Perf => &["--"],
        };
        let words = recorder.iter().copied().chain(["-e", wanted.event]);
        let words = words.chain(only).chain(["-o", &output]);
        let words = words.chain(end.iter().copied()).map(str::to_owned);
        words.chain(workload.iter().cloned()).collect()
    }

    /// That command, with the privileges that it needs.
    pub(super) fn record(
        self,
        tracer: &Path,
        wanted: &Wanted<'_>,
        output: &Path,
        workload: &[String],
    ) -> Command {
        let words = self.words(&tracer.to_string_lossy(), wanted, output, workload);
        let mut command = privileged(&words[0]);
        command.args(&words[1..]);
        command
    }

    /// The command that prints the events of `output`, one a line, by the tool's own reader.
    pub(super) fn report(self, tracer: &Path, output: &Path) -> Command {
        let mut command = match self {
            Self::Tracer => {
                let mut command = privileged(tracer);
                command.arg("report");
                command
            }
            Self::Perf => {
                let mut command = privileged(PERF.name);
                // Files from a virtual machine belong to the user who unpacked them.
                command.args(["script", "--force", "--show-lost-events"]);
                command.args(["-F", "comm,tid,event,trace", "-i"]);
                command
            }
            Self::TraceCmd => {
                let mut command = privileged(TRACE_CMD.name);
                command.args(["report", "-i"]);
                command
            }
        };
        command.arg(output);
        command
    }

    /// The command that prints what trace-cmd noted of the kernel's buffers.
    pub(super) fn statistics(output: &Path) -> Command {
        let mut command = privileged(TRACE_CMD.name);
        command.args(["report", "--stat", "-i"]).arg(output);
        command
    }

    /// Its output, below `folder`.
    pub(super) fn output(self, folder: &Path) -> PathBuf {
        folder.join(self.name())
    }

    /// The thread of an event, as its reader prints it.
    pub(super) fn thread(self, tid: u32) -> String {
        match self {
            Self::Tracer | Self::TraceCmd => format!("-{tid} "),
            Self::Perf => format!(" {tid} "),
        }
    }

    /// Text that its reader prints for events of the loop only.
    pub(super) fn mark(self, probe: Probe) -> String {
        let number = libc::SYS_getppid;
        match (self, probe) {
            (Self::Tracer, Probe::RawEnter) => format!("id={number} "),
            (_, Probe::RawEnter) => format!("NR {number} ("),
            (_, Probe::TypedEnter) => "getppid".to_owned(),
        }
    }
}

/// Bytes of a trace, be it a file or a folder.
pub(super) fn bytes_of(output: &Path) -> Result<u64> {
    let cannot = || format!("cannot read the size of `{}`", output.display());
    let data = fs::metadata(output).with_context(cannot)?;
    if data.is_file() {
        return Ok(data.len());
    }
    let mut bytes = 0;
    for entry in fs::read_dir(output).with_context(cannot)? {
        bytes += entry
            .and_then(|entry| entry.metadata())
            .with_context(cannot)?
            .len();
    }
    ensure!(bytes > 0, "the trace `{}` is empty", output.display());
    Ok(bytes)
}

/// A command with the privileges that recording needs.
pub(super) fn privileged(program: impl AsRef<std::ffi::OsStr>) -> Command {
    if privilege::is_root() {
        return Command::new(program);
    }
    let mut sudo = Command::new("sudo");
    sudo.args(["--non-interactive", "--"]).arg(program);
    sudo
}
