//! A workload whose kernel events are known exactly: the tests count them, and the
//! benchmarks divide by them.
//!
//! Each command pins itself to a CPU if asked to, does its work, and prints one line of
//! `name value` pairs: what was done, how often, by which process, and the time per round.

use std::ffi::CString;
use std::fmt::Display;
use std::io::{self, Write};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::process::{self, Pid, Signal};
use rustix::{system, thread as this_thread};

use self::measured::measured;

// The folder of binaries has one file for each; the modules of this one are in theirs.
#[path = "work/empty.rs"]
mod empty;
#[path = "work/entries.rs"]
mod entries;
#[path = "work/family.rs"]
mod family;
#[path = "work/keep.rs"]
mod keep;
#[path = "work/measured.rs"]
mod measured;
#[path = "work/mix.rs"]
mod mix;
#[path = "work/nest.rs"]
mod nest;
#[path = "work/programs.rs"]
mod programs;
#[path = "work/sequence.rs"]
mod sequence;
#[path = "work/values.rs"]
mod values;

/// Cause kernel events in known numbers.
#[derive(Parser)]
#[command(name = "work")]
struct Cli {
    /// CPU to run on
    #[arg(long, global = true)]
    cpu: Option<usize>,
    /// Join this cgroup (version 2), created if missing
    #[arg(long, global = true)]
    cgroup: Option<PathBuf>,
    /// Name of the thread
    #[arg(long, global = true)]
    comm: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Call getppid(2)
    Getppid {
        /// Number of calls
        count: u64,
    },
    /// Call getppid(2) with other numbers of users and groups
    As {
        /// Real user, the next ones are effective and saved user, and those of the group
        first: u32,
        /// Number of calls
        count: u64,
    },
    /// Call getppid(2) in processes and threads that start each other
    Tree {
        /// Each process forks twice, for so many levels, and has two threads
        levels: u32,
        /// Number of calls of each thread
        count: u64,
    },
    /// Run a command, with the number of a process in place of `PID`, which calls getppid(2) as
    /// `tree` does when somebody has written to the pipe `begin` of the current folder, and has
    /// the pipe `done` open until it ends
    Held {
        /// As of `tree`
        levels: u32,
        /// As of `tree`
        count: u64,
        /// The command and its arguments
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Call getppid(2) in a process whose first thread has ended, and in a child of it
    Leaderless {
        /// Number of calls of each of the two
        count: u64,
    },
    /// Once the current folder has an entry `begin`, run another program that calls getppid(2),
    /// from the second thread of a process
    ThreadExec {
        /// Number of calls
        count: u64,
    },
    /// Call getppid(2) in a process of this number, which must be free
    Reborn {
        /// The number
        pid: u32,
        /// Number of calls
        count: u64,
    },
    /// Send itself a signal that it ignores
    Signal {
        /// Number of signals
        count: u64,
    },
    /// Call openat(2) and, when that succeeds, close(2)
    Open {
        /// File to open for reading
        path: PathBuf,
        /// Number of calls
        count: u64,
    },
    /// Call openat(2) with an address that cannot be read in place of a name
    OpenNowhere {
        /// Number of calls
        count: u64,
        /// The address of the name, in the first page, which is never mapped
        #[arg(default_value_t = 8, value_parser = clap::value_parser!(u16).range(..4096))]
        address: u16,
    },
    /// Call openat(2) with the content of a file as name, from memory into which it is mapped for
    /// each call
    OpenMapped {
        /// File that contains a name and a NUL
        path: PathBuf,
        /// Number of calls
        count: u64,
    },
    /// Call renameat(2), whether that succeeds or not
    Rename {
        /// Old name
        from: PathBuf,
        /// New name
        to: PathBuf,
        /// Number of calls
        count: u64,
    },
    /// Call pread64(2) for one byte at the start of a file
    Read {
        /// File to read
        path: PathBuf,
        /// Number of calls
        count: u64,
    },
    /// Make calls with numbers, strings and names of threads of many kinds, always the same
    Values,
    /// Execute this program again by each of these names in turn
    Chain {
        /// Files to execute
        paths: Vec<PathBuf>,
    },
    /// Call a function of this program, `work_probed`
    Function {
        /// Number of calls
        count: u64,
    },
    /// Run a command while an eBPF program that returns at once is attached
    EmptyProgram {
        /// Attach point: a raw tracepoint (`sys_enter`), or a tracepoint
        /// (`signal:signal_generate`)
        tracepoint: String,
        /// The command and its arguments
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Call getppid(2) in a function of this program, `work_asks_for_its_parent`
    Ask {
        /// Number of calls
        count: u64,
    },
    /// Switch between two threads through a pair of pipes
    Switch {
        /// Number of round trips: two switches each when pinned to a CPU
        count: u64,
    },
    /// Write to an eventfd that epoll instances watch, the first one it, each other one the
    /// one before
    Nest {
        /// Number of instances
        levels: u32,
        /// Number of writes
        count: u64,
    },
    /// Have many threads sleep at the same time
    Crowd {
        /// Number of threads
        count: u64,
        /// Time that each sleeps, in milliseconds
        ms: u64,
    },
    /// Make events of many kinds happen
    Mix {
        /// Duration in seconds
        seconds: u64,
        /// Folder for files
        #[arg(default_value = ".")]
        folder: PathBuf,
    },
    /// Sleep
    Sleep {
        /// For so many milliseconds
        ms: u64,
    },
    /// Print a file
    Cat {
        /// File to print
        path: PathBuf,
    },
    /// Write a text to a file that exists, as `echo TEXT > FILE` does
    Put {
        /// Text to write
        text: String,
        /// File to write to
        path: PathBuf,
    },
    /// Say what this kernel offers for tracing
    Facts,
    /// Print the eBPF programs of the process that started this one
    Programs,
    /// Run a command in this folder of /out and leave its status and output there
    Keep {
        /// Name of the folder
        name: String,
        /// The command and its arguments
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Run commands one after the other until one fails, with `;` between them
    Sequence {
        /// The commands and their arguments
        #[arg(last = true, required = true)]
        words: Vec<String>,
    },
    /// Write a list of this kernel's modules in which one exports a symbol, as depmod does
    Module {
        /// Its name
        name: String,
        /// The symbol
        symbol: String,
    },
    /// Wait for an entry of the current folder
    Await {
        /// Prefix of its name
        prefix: String,
    },
    /// Say which files have their first page in the page cache
    Cached {
        /// Files to look at
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// End with this exit status
    Exit {
        /// Exit status
        status: u8,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match work(&cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("work: error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn work(cli: &Cli) -> Result<ExitCode> {
    if let Some(cpu) = cli.cpu {
        pin_to(cpu)?;
    }
    if let Some(cgroup) = &cli.cgroup {
        entries::enter_cgroup(cgroup)?;
    }
    if let Some(name) = &cli.comm {
        this_thread::set_name(&CString::new(name.as_str())?).context("cannot name the thread")?;
    }
    match &cli.command {
        Command::Getppid { count } => getppid(*count)?,
        Command::As { first, count } => {
            family::become_others(*first)?;
            getppid(*count)?;
        }
        Command::Signal { count } => signal(*count)?,
        Command::Tree { levels, count } => family::tree(*levels, *count)?,
        Command::Held {
            levels,
            count,
            command,
        } => family::held(*levels, *count, command)?,
        Command::Leaderless { count } => family::leaderless(*count)?,
        Command::ThreadExec { count } => family::thread_exec(*count)?,
        Command::Reborn { pid, count } => family::reborn(*pid, *count)?,
        Command::Open { path, count } => open(path, *count)?,
        Command::OpenNowhere { count, address } => open_nowhere(*count, *address)?,
        Command::OpenMapped { path, count } => open_mapped(path, *count)?,
        Command::Rename { from, to, count } => rename(from, to, *count)?,
        Command::Read { path, count } => read(path, *count)?,
        Command::Values => {
            values::make_calls()?;
            report("values", 1, Duration::ZERO);
        }
        Command::Chain { paths } => values::chain(paths)?,
        Command::Function { count } => values::call_function(*count)?.report("function", *count),
        Command::EmptyProgram {
            tracepoint,
            command,
        } => return empty::run(tracepoint, command),
        Command::Ask { count } => {
            let start = Instant::now();
            values::ask(*count);
            report("ask", *count, start.elapsed());
        }
        Command::Switch { count } => switch(*count)?,
        Command::Nest { levels, count } => nest::nest(*levels, *count)?,
        Command::Crowd { count, ms } => crowd(*count, Duration::from_millis(*ms))?,
        Command::Mix { seconds, folder } => {
            let start = Instant::now();
            let rounds = mix::mix(Duration::from_secs(*seconds), folder)?;
            report("mix", rounds, start.elapsed());
        }
        Command::Sleep { ms } => thread::sleep(Duration::from_millis(*ms)),
        Command::Cat { path } => {
            let content = fs::read(path).with_context(|| cannot("read", path))?;
            io::stdout().write_all(&content)?;
        }
        Command::Put { text, path } => fs::OpenOptions::new()
            .write(true)
            .open(path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| cannot("write", path))?,
        Command::Facts => facts(),
        Command::Programs => programs::print()?,
        Command::Keep { name, command } => keep::keep(name, command)?,
        Command::Sequence { words } => return sequence::run(words),
        Command::Module { name, symbol } => entries::note_module(name, symbol)?,
        Command::Await { prefix } => entries::wait_for(prefix)?,
        Command::Cached { paths } => entries::print_cached(paths)?,
        Command::Exit { status } => return Ok(ExitCode::from(*status)),
    }
    Ok(ExitCode::SUCCESS)
}

fn pin_to(cpu: usize) -> Result<()> {
    let mut set = this_thread::CpuSet::new();
    set.set(cpu);
    this_thread::sched_setaffinity(None, &set).with_context(|| format!("cannot run on CPU {cpu}"))
}

fn getppid(count: u64) -> Result<()> {
    let times = measured(count, || {
        // Only the call matters.
        let _ = process::getppid();
        Ok(())
    })?;
    times.report("getppid", count);
    Ok(())
}

/// A file that cannot be opened is not an error: failing calls are events, too.
fn open(path: &Path, count: u64) -> Result<()> {
    let name = c_string(path)?;
    let mut opened = 0_u64;
    let times = measured(count, || {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(CWD, &*name, flags, Mode::empty());
        opened += u64::from(file.is_ok());
        Ok(())
    })?;
    times.print("open", count);
    println!(" opened {opened}");
    Ok(())
}

fn signal(count: u64) -> Result<()> {
    let own = process::getpid();
    let times = measured(count, || Ok(process::kill_process(own, Signal::URG)?))?;
    times.report("signal", count);
    Ok(())
}

#[allow(unsafe_code)]
fn open_nowhere(count: u64, address: u16) -> Result<()> {
    let nowhere = std::ptr::without_provenance::<libc::c_char>(address.into());
    let time = repeat(count, || {
        // SAFETY: the kernel checks the address, and refuses this one.
        let result = unsafe { libc::openat(libc::AT_FDCWD, nowhere, libc::O_RDONLY) };
        ensure!(result == -1, "a file without a name was opened");
        Ok(())
    })?;
    report("open-nowhere", count, time);
    Ok(())
}

#[allow(unsafe_code)]
fn open_mapped(path: &Path, count: u64) -> Result<()> {
    let file = fs::File::open(path).with_context(|| cannot("open", path))?;
    let (len, null, fd) = (4096, std::ptr::null_mut(), file.as_raw_fd());
    let time = repeat(count, || {
        // SAFETY: a new mapping, which nothing else uses; the kernel reads the name from it.
        unsafe {
            let name = libc::mmap(null, len, libc::PROT_READ, libc::MAP_PRIVATE, fd, 0);
            ensure!(name != libc::MAP_FAILED, "{}", io::Error::last_os_error());
            libc::openat(libc::AT_FDCWD, name.cast(), libc::O_RDONLY);
            libc::munmap(name, len);
        }
        Ok(())
    })?;
    report("open-mapped", count, time);
    Ok(())
}

fn rename(from: &Path, to: &Path, count: u64) -> Result<()> {
    let (from, to) = (c_string(from)?, c_string(to)?);
    let time = repeat(count, || {
        // Failing calls are events too.
        let _ = rustix::fs::renameat(CWD, &*from, CWD, &*to);
        Ok(())
    })?;
    report("rename", count, time);
    Ok(())
}

fn read(path: &Path, count: u64) -> Result<()> {
    let file = fs::File::open(path).with_context(|| cannot("open", path))?;
    let mut byte = [0];
    let times = measured(count, || {
        // At a position, so that each round is this one call.
        rustix::io::pread(&file, &mut byte, 0)?;
        Ok(())
    })
    .with_context(|| cannot("read", path))?;
    times.report("read", count);
    Ok(())
}

fn switch(count: u64) -> Result<()> {
    let (there_out, there_in) = rustix::pipe::pipe().context("cannot make a pipe")?;
    let (back_out, back_in) = rustix::pipe::pipe().context("cannot make a pipe")?;
    let echo = thread::spawn(move || -> rustix::io::Result<Pid> {
        let mut byte = [0];
        while rustix::io::read(&there_out, &mut byte)? == 1 {
            rustix::io::write(&back_in, &byte)?;
        }
        Ok(this_thread::gettid())
    });
    let mut byte = [0];
    let time = repeat(count, || {
        rustix::io::write(&there_in, &byte)?;
        rustix::io::read(&back_out, &mut byte)?;
        Ok(())
    })?;
    drop(there_in);
    let other = echo
        .join()
        .expect("the other thread only reads and writes")?;
    report("switch", count, time);
    println!("other {other}");
    Ok(())
}

/// Each thread sleeps once.
fn crowd(count: u64, time: Duration) -> Result<()> {
    let start = Instant::now();
    let threads = (0..count)
        .map(|_| thread::Builder::new().spawn(move || thread::sleep(time)))
        .collect::<io::Result<Vec<_>>>()
        .context("cannot start a thread")?;
    for thread in threads {
        thread.join().expect("the threads only sleep");
    }
    report("crowd", count, start.elapsed());
    Ok(())
}

fn repeat(count: u64, mut round: impl FnMut() -> Result<()>) -> Result<Duration> {
    let start = Instant::now();
    for _ in 0..count {
        round()?;
    }
    Ok(start.elapsed())
}

fn report(name: &str, count: u64, time: Duration) {
    println!("{}", line(name, count, time));
}

fn line(name: &str, count: u64, time: Duration) -> String {
    let pid = process::getpid();
    let tid = this_thread::gettid();
    let ns = time.as_nanos() as f64 / count.max(1) as f64;
    format!("{name} {count} pid {pid} tid {tid} ns {ns:.1}")
}

fn facts() {
    fact("release", system::uname().release().to_string_lossy());
    for (name, path) in [
        ("tracefs", "/sys/kernel/tracing/events"),
        ("btf", "/sys/kernel/btf/vmlinux"),
        ("kprobes", "/sys/bus/event_source/devices/kprobe/type"),
    ] {
        let is_there = Path::new(path).exists();
        fact(name, if is_there { "yes" } else { "no" });
    }
}

fn fact(name: &str, value: impl Display) {
    println!("{name} {value}");
}

fn c_string(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_encoded_bytes()).context("a NUL in the path")
}

fn cannot(verb: &str, path: &Path) -> String {
    format!("cannot {verb} `{}`", path.display())
}
