//! The virtual machine itself.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{io, thread};

use anyhow::{Context, Result, bail};

use crate::apt::Program;
use crate::vm::Arch;
use crate::vm::job::{Clock, Job};
use crate::{process, wire};

/// Creates the file system of a guest's disk.
pub(super) const MKFS: Program = Program {
    name: "mke2fs",
    package: "e2fsprogs",
};

/// Results may grow up to this; the file takes only as much as is written.
const RESULTS_LEN: u64 = 8 << 30;
/// Size of the disk with a file system; the same holds for it.
const DISK_LEN: u64 = 1 << 30;
/// A panic must end the machine at once, which -no-reboot makes of a restart.
const APPEND: &str = "panic=-1 quiet";
const CONSOLE_TAIL_LINES: usize = 25;
/// A machine that has not booted after this long is stuck.
const BOOT_LIMIT: Duration = Duration::from_mins(3);
const BOOT_INTERVAL: Duration = Duration::from_millis(100);

/// The files of one machine.
#[derive(Debug)]
pub(super) struct Machine {
    /// The guest's file system, to be written before booting.
    pub(super) initrd: PathBuf,
    /// The raw disk that takes the results.
    pub(super) results: PathBuf,
    /// The disk with a file system, for jobs that want one.
    pub(super) disk: PathBuf,
    /// The output of the machine's serial line.
    pub(super) console: PathBuf,
}

impl Machine {
    pub(super) fn in_dir(dir: &Path) -> Self {
        Self {
            initrd: dir.join("initrd"),
            results: dir.join("results.img"),
            disk: dir.join("disk.img"),
            console: dir.join("console.log"),
        }
    }

    /// Boots and waits for the end.
    ///
    /// # Errors
    /// If it ends in another way than by writing its results, or not in time.
    pub(super) fn boot(&self, arch: Arch, kernel: &Path, job: &Job) -> Result<()> {
        // Another boot may have written there.
        create_empty(&self.console, 0)?;
        create_empty(&self.results, RESULTS_LEN)?;
        if job.guest.disk {
            create_empty(&self.disk, DISK_LEN)?;
            make_file_system(&self.disk)?;
        }
        let mut command = self.command(arch, kernel, job);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start `{}`", process::display(&command)))?;
        let status = self
            .wait(&mut child, job.timeout)
            .context("cannot wait for the virtual machine")?;
        let Some(status) = status else {
            let (what, limit) = if self.has_begun() {
                ("end", job.timeout)
            } else {
                ("come up", BOOT_LIMIT)
            };
            bail!(
                "the machine did not {what} within {} s; {}",
                limit.as_secs(),
                self.console_tail()
            );
        };
        if status.code() == Some(wire::exit_status(0)) {
            return Ok(());
        }
        let mut complaint = String::new();
        if let Some(mut stderr) = child.stderr.take() {
            // The console matters more than this message.
            let _ = io::Read::read_to_string(&mut stderr, &mut complaint);
        }
        let cause = match status.code() {
            Some(0) => "the guest's kernel stopped".to_owned(),
            Some(code) if code == wire::exit_status(1) => "guest-init failed".to_owned(),
            _ => format!("qemu ended with {status}: {}", complaint.trim()),
        };
        bail!("{cause}; {}", self.console_tail());
    }

    /// Waits for the end within `limit`; ends the machine, and returns `None`, after that or
    /// when the guest does not begin.
    fn wait(&self, child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
        let start = Instant::now();
        while !self.has_begun() && start.elapsed() < BOOT_LIMIT.min(limit) {
            if let Some(status) = child.try_wait()? {
                return Ok(Some(status));
            }
            thread::sleep(BOOT_INTERVAL);
        }
        let left = if self.has_begun() {
            limit.saturating_sub(start.elapsed())
        } else {
            Duration::ZERO
        };
        process::wait_within(child, left)
    }

    /// Whether the guest did not reach its job, or its kernel died of a breakpoint that
    /// it set itself. It patches its code with the help of breakpoints and synchronises all CPUs
    /// after each step; qemu before 8.1 can translate the previous code (fixed by `accel/tcg:
    /// Always lock pages before translation`), which crashes kernels from 7.2.
    pub(super) fn was_failed_by_emulation(&self) -> bool {
        !self.has_begun() || self.has_said("Oops: int3:")
    }

    fn has_begun(&self) -> bool {
        self.has_said(wire::BEGIN)
    }

    fn has_said(&self, text: &str) -> bool {
        let console = fs::read(&self.console).unwrap_or_default();
        String::from_utf8_lossy(&console).contains(text)
    }

    fn command(&self, arch: Arch, kernel: &Path, job: &Job) -> Command {
        let mut qemu = Command::new(arch.emulator().name);
        let append = format!("console={} {APPEND}", arch.console());
        let append = match job.clock {
            Clock::Real => {
                qemu.args(["-accel", "tcg,thread=multi"]);
                append
            }
            Clock::Instructions => {
                qemu.args(["-accel", "tcg,thread=single"])
                    .args(["-icount", "shift=0,sleep=off"]);
                format!("{append} nokaslr norandmaps")
            }
        };
        qemu.args(["-cpu", "max"])
            .args(["-m", &format!("{}M", job.memory_mib)])
            .args(["-smp", &job.cpus.to_string()])
            .args(["-nographic", "-nodefaults", "-monitor", "none"])
            .args(["-no-reboot", "-serial"])
            .arg(format!("file:{}", escape(&self.console)))
            .arg("-kernel")
            .arg(kernel)
            .arg("-initrd")
            .arg(&self.initrd)
            .args(["-append", &append])
            .args(["-device"])
            .arg(arch.exit_device())
            .args(nvme(&self.results, wire::RESULTS_SERIAL));
        if job.guest.disk {
            qemu.args(nvme(&self.disk, wire::DISK_SERIAL));
        }
        qemu
    }

    fn console_tail(&self) -> String {
        let bytes = fs::read(&self.console).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<String> = text
            .lines()
            .map(|line| line.chars().filter(|letter| !letter.is_control()).collect())
            .filter(|line: &String| !line.trim().is_empty())
            .collect();
        if lines.is_empty() {
            return "its console stayed empty".to_owned();
        }
        let tail = &lines[lines.len().saturating_sub(CONSOLE_TAIL_LINES)..];
        format!("the end of its console:\n  {}", tail.join("\n  "))
    }
}

/// Creates a sparse file.
fn create_empty(path: &Path, len: u64) -> Result<()> {
    File::create(path)
        .and_then(|file| file.set_len(len))
        .with_context(|| format!("cannot create `{}`", path.display()))
}

fn make_file_system(disk: &Path) -> Result<()> {
    // A user's PATH often lacks the folder that has it.
    let program = process::find_program(MKFS.name);
    let mut command = Command::new(program.unwrap_or_else(|| MKFS.name.into()));
    // Blocks of a page, as on disks of a usual size.
    command.args(["-q", "-t", wire::DISK_FILE_SYSTEM, "-b", "4096"]);
    process::output(command.arg(disk)).map(drop)
}

/// Options for a disk with this serial number.
fn nvme(image: &Path, serial: &str) -> [String; 4] {
    [
        "-drive".to_owned(),
        format!(
            "file={},if=none,id={serial},format=raw,cache=unsafe",
            escape(image)
        ),
        "-device".to_owned(),
        format!("nvme,serial={serial},drive={serial}"),
    ]
}

/// A path within qemu's comma-separated options.
fn escape(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}
