//! `tracer record`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser as _};

use crate::cli::scoped::ProbeArgs;
use crate::record::control::SessionName;
use crate::record::session::{self, Options, RotateOptions, Size};
use crate::record::sink::SinkKind;
use crate::record::subbuf::Mode;
use crate::trace::lttng::Naming;

/// Record events into a trace.
///
/// Records the whole system until the command ends, the duration is over, or Ctrl-C.
/// The exit status is that of the command.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    probes: ProbeArgs,

    /// Name of the session, for `tracer sessions` [default: record-PID]
    #[arg(long, value_name = "NAME")]
    session: Option<SessionName>,

    /// How events are called in the trace: `lttng` gives those that readers of LTTng's kernel
    /// traces look at the names and fields that they have there, `tracefs` keeps the kernel's
    #[arg(long, value_name = "NAMES", default_value = "lttng",
          value_parser = PossibleValuesParser::new(["lttng", "tracefs"])
              .map(|name| if name == "tracefs" { Naming::Tracefs } else { Naming::Lttng }))]
    names: Naming,

    /// Do not begin the trace with the threads and open files that are there then, as
    /// otherwise with `--names lttng` and `--mode discard`
    #[arg(long)]
    no_state_dump: bool,

    /// Folder for the trace, or `-` or a FIFO for the next program, such as
    /// `tracer report -`, or `tcp://HOST:PORT` for that of another machine, where
    /// `nc -l -p PORT | tracer report -` waits [default: a new folder named by date and time]
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,

    /// Replace the trace in DIR
    #[arg(long)]
    force: bool,

    /// What happens when the buffers are full: `discard` the newest events, or `overwrite`
    /// the oldest. `overwrite` records into memory alone, for `tracer snapshot`
    #[arg(long, value_name = "MODE", default_value = "discard",
          value_parser = PossibleValuesParser::new(["discard", "overwrite"])
              .map(|name| if name == "overwrite" { Mode::Overwrite } else { Mode::Discard }))]
    mode: Mode,

    /// With `--mode overwrite`: have a snapshot taken when this event comes, such as
    /// `syscall:openat if ret == -2`; it is recorded, too
    #[arg(long, value_name = "PROBE if FILTER")]
    snapshot_on: Option<String>,

    /// How many snapshots such events have taken at most
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    snapshot_count: u32,

    /// Size of the buffer of each CPU: with `--mode discard` of the ring between kernel and
    /// recorder, with `--mode overwrite` of what is kept
    #[arg(long, value_name = "SIZE", default_value = "8M")]
    buffer_size: Size,

    /// Size of a sub-buffer, which is a packet of the trace [default: 1M, or an eighth of
    /// what is kept]
    #[arg(long, value_name = "SIZE")]
    subbuf_size: Option<Size>,

    /// Number of sub-buffers of each CPU that wait for the output
    #[arg(long, value_name = "NUMBER", default_value = "4",
          value_parser = clap::value_parser!(u16).range(1..=4096))]
    subbuf_count: u16,

    /// Tell about sub-buffers, their pages, and how long attaching took
    #[arg(long)]
    stats: bool,

    /// Use fresh pages for each packet, to see what reusing them is worth
    #[arg(long, hide = true)]
    no_page_reuse: bool,

    /// How packets get into files: `direct` past the page cache, `splice` through it, `copy`
    /// by write; `auto` is direct where the file system allows it, and goes through the page
    /// cache as long as events come faster than the disk takes them
    #[arg(long, value_name = "WAY", default_value = "auto",
          value_parser = PossibleValuesParser::new(SinkKind::NAMES)
              .try_map(|name| name.parse::<SinkKind>()))]
    sink: SinkKind,

    /// Write the trace in chunks: folders in DIR, each a trace of at most this size, which
    /// readers merge
    #[arg(long, value_name = "SIZE")]
    rotate_size: Option<Size>,

    /// Begin a new chunk after this time, such as `10s` or `5m`
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    rotate_time: Option<Duration>,

    /// Keep the newest chunks only, of this size together; without --rotate-size a chunk is
    /// an eighth of it
    #[arg(long, value_name = "SIZE")]
    max_size: Option<Size>,

    /// Stop after this time, such as `5s` or `200ms`
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,

    /// Record these processes or threads only
    #[arg(short, long = "pid", value_name = "PID", value_delimiter = ',')]
    pids: Vec<u32>,

    /// Record also the threads and processes that those of -p start from now on, and what they
    /// start
    #[arg(long)]
    follow: bool,

    /// Record the COMMAND alone, with all that it starts, from its exec on
    #[arg(long)]
    only_command: bool,

    /// How many threads and processes can be followed at a time
    #[arg(long, value_name = "NUMBER", default_value_t = 65536,
          value_parser = clap::value_parser!(u32).range(1..=1 << 24))]
    max_followed: u32,

    /// Record these CPUs only, such as `0,2-3`
    #[arg(short = 'C', long = "cpu", value_name = "CPU-LIST", value_parser = CpuList::parse)]
    cpus: Option<CpuList>,

    /// Record threads with this name only; may be a pattern, as in `kworker/*`
    #[arg(long, value_name = "NAME")]
    comm: Option<String>,

    /// Record threads of this user only, by name or number
    #[arg(long, value_name = "USER", value_parser = user_of)]
    uid: Option<u32>,

    /// Record threads in this cgroup or below it only: a folder of the cgroup file system, or
    /// a path in `/sys/fs/cgroup`
    #[arg(long, value_name = "PATH")]
    cgroup: Option<PathBuf>,

    /// What to record with each event about its thread: `comm`, `uid`, `euid`, `suid`, `gid`, `egid`,
    /// `sgid`, `prio`, `nice`, `cgroup`, `ppid`; `vpid`, `vtid`, `vppid` as its namespace has them;
    /// `cgroup_ns`, `ipc_ns`, `mnt_ns`, `net_ns`, `pid_ns`, `time_ns`, `user_ns`, `uts_ns`
    #[arg(long = "context", value_name = "NAME", value_delimiter = ',')]
    contexts: Vec<String>,

    /// Record the recorder itself, too
    #[arg(long)]
    include_self: bool,

    /// Show the messages of the eBPF programs
    #[arg(long)]
    debug_ebpf: bool,

    /// Print neither progress nor summary
    #[arg(short, long)]
    quiet: bool,

    /// Command to run and record
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    if args.debug_ebpf {
        // Only one logger can be set, and this is the one place that does.
        let _ = env_logger::Builder::new()
            .filter_level(log::LevelFilter::Debug)
            .try_init();
    }
    session::record(&Options {
        session: args.session,
        probes: args.probes.0,
        names: args.names,
        state_dump: !args.no_state_dump,
        output: args.output,
        force: args.force,
        mode: args.mode,
        snapshot_on: args.snapshot_on,
        snapshot_count: args.snapshot_count,
        buffer_size: args.buffer_size,
        subbuf_size: args.subbuf_size,
        subbuf_count: args.subbuf_count,
        no_page_reuse: args.no_page_reuse,
        stats: args.stats,
        sink: args.sink,
        rotate: RotateOptions {
            size: args.rotate_size,
            time: args.rotate_time,
            max_size: args.max_size,
        },
        duration: args.duration,
        pids: args.pids,
        follow: args.follow,
        only_command: args.only_command,
        max_followed: args.max_followed,
        cpus: args.cpus.map(|list| list.0),
        contexts: args.contexts,
        comm: args.comm,
        uid: args.uid,
        cgroup: args.cgroup.map(cgroup_folder),
        include_self: args.include_self,
        debug_ebpf: args.debug_ebpf,
        quiet: args.quiet,
        command: args.command,
    })
}

/// A user's number, or a name of `/etc/passwd`.
fn user_of(text: &str) -> Result<u32, String> {
    if let Ok(uid) = text.parse() {
        return Ok(uid);
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    users
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| *name == text)
        .and_then(|(_, rest)| rest.split(':').nth(1)?.parse().ok())
        .ok_or_else(|| {
            format!("there is no user `{text}`; give a number, or a name of /etc/passwd")
        })
}

/// A cgroup may be named as the kernel does in `/proc/PID/cgroup`, from its root.
fn cgroup_folder(path: PathBuf) -> PathBuf {
    if path.exists() {
        return path;
    }
    let below = path.strip_prefix("/").unwrap_or(&path);
    let folder = Path::new("/sys/fs/cgroup").join(below);
    if folder.exists() { folder } else { path }
}

/// CPU numbers and ranges, as the kernel writes them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct CpuList(Vec<u32>);

impl CpuList {
    fn parse(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            text.trim()
                .parse::<u32>()
                .ok()
                .filter(|cpu| *cpu < 1 << 16)
                .ok_or_else(|| format!("`{text}` is not a CPU number; write a list as `0,2-3`"))
        };
        let mut cpus = Vec::new();
        for part in text.split(',') {
            match part.split_once('-') {
                Some((first, last)) => cpus.extend(number(first)?..=number(last)?),
                None => cpus.push(number(part)?),
            }
        }
        if cpus.is_empty() {
            return Err(format!("`{text}` names no CPU; write a list as `0,2-3`"));
        }
        Ok(Self(cpus))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_lists_are_numbers_and_ranges() {
        assert_eq!(CpuList::parse("0,2-4"), Ok(CpuList(vec![0, 2, 3, 4])));
        assert!(CpuList::parse("4-2").is_err());
        assert!(CpuList::parse("x").is_err());
        assert!(CpuList::parse("").is_err());
    }
}
