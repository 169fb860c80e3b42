//! The first process of a virtual machine: mounts what tracing needs, runs the job,
//! writes the results to the raw disk that is theirs, and ends the machine.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::mount::{MountFlags, mount};
use xtask::wire::{self, GuestJob};

const STDOUT: &str = "/dev/shm/stdout";
const STDERR: &str = "/dev/shm/stderr";
const NOT_STARTED: i32 = 127;
/// Drivers look for their devices while the first process runs already.
const DISK_LIMIT: Duration = Duration::from_secs(20);
const DISK_INTERVAL: Duration = Duration::from_millis(5);

fn main() -> ! {
    let value = match work() {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("guest-init: error: {error:#}");
            1
        }
    };
    machine::exit(value)
}

fn work() -> Result<()> {
    let job = fs::read(Path::new("/").join(wire::JOB_PATH))
        .and_then(|bytes| GuestJob::decode(&bytes))
        .context("cannot read the job")?;
    mount_all(&job)?;
    eprintln!("{}", wire::BEGIN);
    let status = run(&job)?;
    let disk = disk(wire::RESULTS_SERIAL)?;
    write_results(&disk, status)
        .with_context(|| format!("cannot write the results to `{}`", disk.display()))
}

fn mount_all(job: &GuestJob) -> Result<()> {
    mount_at("/proc", "proc")?;
    mount_at("/sys", "sysfs")?;
    mount_at("/dev", "devtmpfs")?;
    for (path, kind) in [
        ("/dev/shm", "tmpfs"),
        ("/tmp", "tmpfs"),
        ("/run", "tmpfs"),
        (wire::OUT_DIR, "tmpfs"),
        ("/sys/fs/bpf", "bpf"),
        ("/sys/fs/cgroup", "cgroup2"),
        ("/sys/kernel/security", "securityfs"),
    ] {
        mount_at(path, kind)?;
    }
    if job.tracefs {
        mount_at("/sys/kernel/tracing", "tracefs")?;
        mount_at("/sys/kernel/debug", "debugfs")?;
    }
    if job.disk {
        let disk = disk(wire::DISK_SERIAL)?;
        mount_from(&disk, wire::DISK_DIR, wire::DISK_FILE_SYSTEM)?;
    }
    Ok(())
}

fn mount_at(path: &str, kind: &str) -> Result<()> {
    // A file system without a disk is named by its kind.
    mount_from(Path::new(kind), path, kind)
}

fn mount_from(source: &Path, path: &str, kind: &str) -> Result<()> {
    // The kernel's own file systems already have their mount points and refuse others.
    if !Path::new(path).exists() {
        fs::create_dir_all(path).with_context(|| format!("cannot create `{path}`"))?;
    }
    mount(source, path, kind, MountFlags::empty(), None)
        .with_context(|| format!("cannot mount {kind} on `{path}`"))
}

/// Runs the commands until one fails and returns the last one's status.
fn run(job: &GuestJob) -> Result<i32> {
    let stdout = File::create(STDOUT).with_context(|| format!("cannot create `{STDOUT}`"))?;
    let mut stderr = File::create(STDERR).with_context(|| format!("cannot create `{STDERR}`"))?;
    let mut status = 0;
    for words in &job.commands {
        let ended = Command::new(&words[0])
            .args(&words[1..])
            .env("PATH", "/bin")
            .env("HOME", "/root")
            .env("RUST_BACKTRACE", "1")
            .current_dir("/tmp")
            .stdin(Stdio::null())
            .stdout(stdout.try_clone()?)
            .stderr(stderr.try_clone()?)
            .status();
        status = match ended {
            Ok(ended) => code_of(ended),
            Err(error) => {
                writeln!(stderr, "guest-init: cannot start `{}`: {error}", words[0])?;
                NOT_STARTED
            }
        };
        if status != 0 {
            break;
        }
    }
    Ok(status)
}

/// A status as shells give it.
fn code_of(status: ExitStatus) -> i32 {
    let by_signal = || status.signal().map(|signal| 128 + signal);
    status.code().or_else(by_signal).unwrap_or(1)
}

/// Waits for the disk with this serial number.
fn disk(serial: &str) -> Result<PathBuf> {
    let start = Instant::now();
    loop {
        if let Some(disk) = find_disk(serial) {
            return Ok(disk);
        }
        if start.elapsed() > DISK_LIMIT {
            bail!("no disk with serial number `{serial}`");
        }
        thread::sleep(DISK_INTERVAL);
    }
}

fn find_disk(serial: &str) -> Option<PathBuf> {
    let controllers = fs::read_dir("/sys/class/nvme").ok()?;
    controllers.flatten().find_map(|controller| {
        let found = fs::read_to_string(controller.path().join("serial")).ok()?;
        if found.trim() != serial {
            return None;
        }
        let disk = Path::new("/dev").join(format!("{}n1", controller.file_name().to_str()?));
        disk.exists().then_some(disk)
    })
}

fn write_results(disk: &Path, status: i32) -> io::Result<()> {
    let disk = File::options().write(true).open(disk)?;
    let mut archive = tar::Builder::new(BufWriter::with_capacity(1 << 20, &disk));
    archive.follow_symlinks(false);
    let status = status.to_string();
    let mut header = tar::Header::new_gnu();
    header.set_size(status.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, wire::STATUS_ENTRY, status.as_bytes())?;
    archive.append_path_with_name(STDOUT, wire::STDOUT_ENTRY)?;
    archive.append_path_with_name(STDERR, wire::STDERR_ENTRY)?;
    archive.append_dir_all(wire::OUT_ENTRY, wire::OUT_DIR)?;
    archive.into_inner()?.flush()?;
    disk.sync_all()
}

/// The one thing here that needs the machine and not the kernel.
#[allow(unsafe_code)]
mod machine {
    use std::arch::asm;

    use rustix::system::{RebootCommand, reboot};
    use xtask::wire;

    /// Ends the virtual machine; `value` becomes part of qemu's exit status.
    pub(super) fn exit(value: u8) -> ! {
        // SAFETY: takes numbers only. It allows this process to use I/O ports; the block
        // below uses one.
        if unsafe { libc::iopl(3) } == 0 {
            // SAFETY: the port belongs to qemu's exit device, which touches no memory;
            // without the device, the write has no effect.
            unsafe {
                asm!(
                    "out dx, al",
                    in("dx") wire::EXIT_PORT,
                    in("al") value,
                    options(nomem, nostack, preserves_flags)
                );
            }
        }
        eprintln!("guest-init: error: the machine has no exit device");
        // The first process must not end; without the device, a restart ends the machine.
        let _ = reboot(RebootCommand::Restart);
        loop {
            std::thread::park();
        }
    }
}
