//! `tracer record`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser as _};

use crate::cli::scoped::ProbeArgs;
use crate::probe::recipes::TracepointMethod;
use crate::record::control::SessionName;
use crate::record::session::{self, Options, RotateOptions, Size};
use crate::record::sink::SinkKind;
use crate::record::subbuf::Mode;
use crate::trace::lttng::Naming;

/// Record events into a trace
///
/// Records the whole system until COMMAND exits, --duration has passed, or Ctrl-C is pressed.
/// The exit status is that of COMMAND.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Run this command and record until it exits
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,

    /// Stop after this time, such as `5s` or `200ms`
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,

    /// Name the session, for `tracer sessions` and `tracer snapshot` [default: record-PID]
    #[arg(long, value_name = "NAME")]
    session: Option<SessionName>,

    /// Print statistics about sub-buffers, memory pages, and the time taken to attach
    #[arg(long)]
    stats: bool,

    /// Print log messages of the eBPF programs
    #[arg(long)]
    debug_ebpf: bool,

    /// Print neither progress nor the summary
    #[arg(short, long)]
    quiet: bool,

    #[command(flatten)]
    probes: ProbeArgs,

    #[command(flatten)]
    events: EventArgs,

    #[command(flatten)]
    scope: ScopeArgs,

    #[command(flatten)]
    output: OutputArgs,

    #[command(flatten)]
    buffers: BufferArgs,

    #[command(flatten)]
    snapshots: SnapshotArgs,
}

const EXAMPLES: &str = "\
Examples:
  tracer record -- ls                              record while `ls` runs
  tracer record -e 'sched:*' --duration 5s         record scheduler events for 5 seconds
  tracer record -e call:openat -f 'ret < 0'        record calls of openat(2) that fail
  tracer record -e kprobe:vfs_read -T -p 1234      record calls with stacks in one process
  tracer record --mode overwrite --session flight  keep the newest events in memory

`tracer list` lists probes; `tracer report DIR` prints a trace.";

#[derive(clap::Args)]
#[command(next_help_heading = "Events")]
struct EventArgs {
    /// Attach tracepoints by raw tracepoints if there is a `certified` recipe, all by `perf`, or
    /// `both` ways, to compare them
    #[arg(id = "tracepoints", long = "tracepoints", hide = true, default_value = "certified",
          value_parser = PossibleValuesParser::new(["certified", "perf", "both"])
              .map(|name| match name.as_str() {
                  "perf" => TracepointMethod::Perf,
                  "both" => TracepointMethod::Both,
                  _ => TracepointMethod::Certified,
              }))]
    way: TracepointMethod,

    /// Record properties of the current thread with each event: `comm`, `uid`, `euid`, `suid`,
    /// `gid`, `egid`, `sgid`, `prio`, `nice`, `cgroup`, `ppid`; ids in its own namespaces: `vpid`,
    /// `vtid`, `vppid`; inodes of its namespaces: `cgroup_ns`, `ipc_ns`, `mnt_ns`, `net_ns`,
    /// `pid_ns`, `time_ns`, `user_ns`, `uts_ns`
    #[arg(long = "context", value_name = "NAME,…", value_delimiter = ',')]
    contexts: Vec<String>,

    /// Event naming scheme: `lttng` (for Trace Compass and lttng-analyses) or `tracefs` (the
    /// kernel's own names)
    #[arg(long, value_name = "SCHEME", default_value = "lttng",
          value_parser = PossibleValuesParser::new(["lttng", "tracefs"])
              .map(|name| if name == "tracefs" { Naming::Tracefs } else { Naming::Lttng }))]
    names: Naming,

    /// Omit the state dump: the threads and open files at the start of the trace, which are
    /// recorded with `--names lttng` and `--mode discard`
    #[arg(long)]
    no_state_dump: bool,
}

#[derive(clap::Args)]
#[command(next_help_heading = "Scope")]
struct ScopeArgs {
    /// Record only these processes or threads, such as `1234,5678`; without COMMAND, until the last
    /// of them ends
    #[arg(short, long = "pid", value_name = "PID,…", value_delimiter = ',')]
    pids: Vec<u32>,

    /// Also record the threads and processes that those of --pid create from now on, and their
    /// descendants
    #[arg(long)]
    follow: bool,

    /// Record only COMMAND and its descendants, from its exec on
    #[arg(long)]
    only_command: bool,

    /// Follow at most this many threads and processes at a time
    #[arg(long, value_name = "NUMBER", default_value_t = 65536,
          value_parser = clap::value_parser!(u32).range(1..=1 << 24))]
    max_followed: u32,

    /// Record only on these CPUs, such as `0,2-3`
    #[arg(short = 'C', long = "cpu", value_name = "CPU-LIST", value_parser = CpuList::parse)]
    cpus: Option<CpuList>,

    /// Record only threads with this name, which can be a pattern, such as `kworker/*`
    #[arg(long, value_name = "NAME")]
    comm: Option<String>,

    /// Record only threads of this user, a name or number such as `www-data` or `1000`
    #[arg(long, value_name = "USER", value_parser = user_of)]
    uid: Option<u32>,

    /// Record only threads in this cgroup and its descendants: a folder of the cgroup file
    /// system, or a path below `/sys/fs/cgroup`, such as `user.slice`
    #[arg(long, value_name = "PATH")]
    cgroup: Option<PathBuf>,

    /// Also record the recorder itself
    #[arg(long)]
    include_self: bool,
}

#[derive(clap::Args)]
#[command(next_help_heading = "Output")]
struct OutputArgs {
    /// Write the trace to this folder; to standard output (`-`) or a FIFO, for `tracer report -`;
    /// or to `tcp://HOST:PORT`, where `nc -l -p PORT | tracer report -` reads it [default: a new
    /// folder named by date and time]
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,

    /// Replace the trace in DIR
    #[arg(long)]
    force: bool,

    /// Write the trace in chunks: folders in DIR of at most this size, such as `100M`. Each is a
    /// trace; `tracer report DIR` merges them
    #[arg(long, value_name = "SIZE")]
    rotate_size: Option<Size>,

    /// Start a new chunk after this time, such as `10s` or `5m`
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    rotate_time: Option<Duration>,

    /// Delete the oldest chunks so that the trace is at most this size, such as `1G`; without
    /// --rotate-size a chunk is an eighth of it
    #[arg(long, value_name = "SIZE")]
    max_size: Option<Size>,

    /// Write packets with this method: `direct` bypasses the page cache, `splice` moves pages
    /// through it, `copy` uses write(2); `auto` is `direct` if the file system supports it, and
    /// uses the page cache while events come faster than the disk takes them
    #[arg(long, value_name = "METHOD", default_value = "auto",
          value_parser = PossibleValuesParser::new(SinkKind::NAMES)
              .try_map(|name| name.parse::<SinkKind>()))]
    sink: SinkKind,
}

#[derive(clap::Args)]
#[command(next_help_heading = "Buffers")]
struct BufferArgs {
    /// Use buffers of this size per CPU: with `--mode discard` for the ring between kernel and
    /// recorder, with `--mode overwrite` for the events that are kept
    #[arg(long, value_name = "SIZE", default_value = "8M")]
    buffer_size: Size,

    /// Use sub-buffers of this size; each becomes a packet of the trace [default: 1M, or an
    /// eighth of --buffer-size with `--mode overwrite`]
    #[arg(long, value_name = "SIZE")]
    subbuf_size: Option<Size>,

    /// Let this many sub-buffers per CPU wait for the output
    #[arg(long, value_name = "NUMBER", default_value = "4",
          value_parser = clap::value_parser!(u16).range(1..=4096))]
    subbuf_count: u16,

    /// Use fresh pages for each packet, to measure the gain of reusing them
    #[arg(long, hide = true)]
    no_page_reuse: bool,
}

#[derive(clap::Args)]
#[command(next_help_heading = "Flight recorder")]
struct SnapshotArgs {
    /// When the buffers are full, `discard` the newest events, or `overwrite` the oldest:
    /// `overwrite` records to memory only, until `tracer snapshot` writes a trace
    #[arg(long, value_name = "MODE", default_value = "discard",
          value_parser = PossibleValuesParser::new(["discard", "overwrite"])
              .map(|name| if name == "overwrite" { Mode::Overwrite } else { Mode::Discard }))]
    mode: Mode,

    /// With `--mode overwrite`: take a snapshot when this event occurs, such as
    /// `syscall:openat if ret == -2`; the event is recorded too
    #[arg(long, value_name = "PROBE if FILTER")]
    snapshot_on: Option<String>,

    /// Take at most this many snapshots for --snapshot-on
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    snapshot_count: u32,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    if args.debug_ebpf {
        // Only one logger can be set, and this is the only place that sets one.
        let _ = env_logger::Builder::new()
            .filter_level(log::LevelFilter::Debug)
            .try_init();
    }
    let Args {
        events,
        scope,
        output,
        buffers,
        snapshots,
        ..
    } = args;
    session::record(&Options {
        session: args.session,
        probes: args.probes.0,
        names: events.names,
        way: events.way,
        state_dump: !events.no_state_dump,
        output: output.output,
        force: output.force,
        mode: snapshots.mode,
        snapshot_on: snapshots.snapshot_on,
        snapshot_count: snapshots.snapshot_count,
        buffer_size: buffers.buffer_size,
        subbuf_size: buffers.subbuf_size,
        subbuf_count: buffers.subbuf_count,
        no_page_reuse: buffers.no_page_reuse,
        stats: args.stats,
        sink: output.sink,
        rotate: RotateOptions {
            size: output.rotate_size,
            time: output.rotate_time,
            max_size: output.max_size,
        },
        duration: args.duration,
        pids: scope.pids,
        follow: scope.follow,
        only_command: scope.only_command,
        max_followed: scope.max_followed,
        cpus: scope.cpus.map(|list| list.0),
        contexts: events.contexts,
        comm: scope.comm,
        uid: scope.uid,
        cgroup: scope.cgroup.map(cgroup_folder),
        include_self: scope.include_self,
        debug_ebpf: args.debug_ebpf,
        quiet: args.quiet,
        command: args.command,
    })
}

/// The number of a user, given as such or as a name in `/etc/passwd`.
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
        .ok_or_else(|| format!("no such user `{text}`; give a number, or a name in /etc/passwd"))
}

/// Also finds a cgroup by its path as in `/proc/PID/cgroup`.
fn cgroup_folder(path: PathBuf) -> PathBuf {
    if path.exists() {
        return path;
    }
    let below = path.strip_prefix("/").unwrap_or(&path);
    let folder = Path::new("/sys/fs/cgroup").join(below);
    if folder.exists() { folder } else { path }
}

/// CPU numbers and ranges, in the kernel's list format.
#[derive(Clone, Debug, PartialEq, Eq)]
struct CpuList(Vec<u32>);

impl CpuList {
    fn parse(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            text.trim()
                .parse::<u32>()
                .ok()
                .filter(|cpu| *cpu < 1 << 16)
                .ok_or_else(|| format!("invalid CPU number `{text}` (example: 0,2-3)"))
        };
        let mut cpus = Vec::new();
        for part in text.split(',') {
            match part.split_once('-') {
                Some((first, last)) => cpus.extend(number(first)?..=number(last)?),
                None => cpus.push(number(part)?),
            }
        }
        if cpus.is_empty() {
            return Err(format!("empty CPU list `{text}` (example: 0,2-3)"));
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
