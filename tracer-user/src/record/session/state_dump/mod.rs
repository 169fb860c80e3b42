//! What was there when a recording began, as events before all others: readers of LTTng's
//! traces learn from them the names and the open files of threads that existed before.

mod process;

use std::fs;
use std::path::{Path, PathBuf};

use self::process::Process;
use crate::record::clock::monotonic_ns;
use crate::trace::lttng::state_dump::{Entry, Events};

/// Events for the first stream of a recording, and how much they describe.
#[derive(Debug)]
pub(super) struct StateDump {
    pub(super) events: Events,
    pub(super) contents: Contents,
}

/// How much a state dump describes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) threads: u64,
    pub(super) files: u64,
}

/// The roots of what is read.
#[derive(Clone, Debug)]
struct Roots {
    proc: PathBuf,
    sys: PathBuf,
}

/// Takes events down while it looks at the machine.
struct Taker<'a> {
    roots: &'a Roots,
    dump: StateDump,
    /// The only processes and threads; empty: all.
    pids: &'a [u32],
}

impl StateDump {
    /// Looks at the machine now; of processes and threads only at `pids`, or at all if that
    /// is empty. Event classes are numbered from `first_id`. What ends or cannot be read
    /// meanwhile is left out.
    pub(super) fn take(first_id: u32, pids: &[u32]) -> Self {
        let roots = Roots {
            proc: "/proc".into(),
            sys: "/sys".into(),
        };
        let events = Events::new(first_id, std::process::id());
        take(&roots, events, pids)
    }
}

/// Whether `/proc` has the ids that events have: those of the first namespace of processes.
pub(super) fn has_global_ids() -> bool {
    /// Inode of the first namespace (`PROC_PID_INIT_INO`, `include/linux/proc_ns.h`).
    const FIRST: u32 = 0xeffffffc;
    process::namespace(Path::new("/proc/self")) == Some(FIRST)
}

fn take(roots: &Roots, events: Events, pids: &[u32]) -> StateDump {
    let mut taker = Taker {
        roots,
        dump: StateDump {
            events,
            contents: Contents::default(),
        },
        pids,
    };
    taker.push(&Entry::Start);
    taker.processes();
    taker.interrupts();
    taker.disks();
    taker.push(&Entry::End);
    taker.dump
}

impl Taker<'_> {
    fn push(&mut self, entry: &Entry<'_>) {
        let contents = &mut self.dump.contents;
        match entry {
            Entry::Thread(_) => contents.threads += 1,
            Entry::File(_) => contents.files += 1,
            _ => {}
        }
        self.dump.events.push(monotonic_ns(), entry);
    }

    fn wants(&self, pid: u32, tid: u32) -> bool {
        self.pids.is_empty() || self.pids.contains(&pid) || self.pids.contains(&tid)
    }

    fn processes(&mut self) {
        let own = process::namespace(&self.roots.proc.join("self"));
        for pid in numbers(&self.roots.proc) {
            let process = Process::new(&self.roots.proc, pid, own);
            let mut wanted = false;
            for tid in process.threads() {
                if self.wants(pid, tid) {
                    wanted |= self.thread(&process, tid).is_some();
                }
            }
            if wanted {
                process.files(|file| self.push(&Entry::File(file)));
            }
        }
    }

    /// None if it has ended.
    fn thread(&mut self, process: &Process<'_>, tid: u32) -> Option<()> {
        let stat = process.stat(tid)?;
        let thread = process::parse_stat(&stat, process.pid, tid)?;
        let namespace = process.namespace_of(&thread);
        self.push(&Entry::Thread(&thread));
        if let Some(namespace) = namespace {
            self.push(&Entry::Namespace(&namespace));
        }
        Some(())
    }

    fn interrupts(&mut self) {
        let all = self.roots.sys.join("kernel/irq");
        for irq in numbers(&all) {
            let folder = all.join(irq.to_string());
            let read = |name| fs::read(folder.join(name)).unwrap_or_default();
            let (chip, actions) = (read("chip_name"), read("actions"));
            let name = chip.trim_ascii();
            let actions = actions.trim_ascii().split(|byte| *byte == b',');
            for action in actions.filter(|action| !action.is_empty()) {
                self.push(&Entry::Interrupt { irq, name, action });
            }
        }
    }

    fn disks(&mut self) {
        for (path, name) in entries(&self.roots.sys.join("block")) {
            let number = fs::read_to_string(path.join("dev"));
            if let Some(dev) = number.ok().as_deref().and_then(parse_dev) {
                let name = name.as_bytes();
                self.push(&Entry::Disk { dev, name });
            }
        }
    }
}

/// `259:1` as the kernel has it in events.
fn parse_dev(text: &str) -> Option<u32> {
    let (major, minor) = text.trim_ascii().split_once(':')?;
    Some(major.parse::<u32>().ok()? << 20 | minor.parse::<u32>().ok()?)
}

/// What is in a folder, with its names; nothing if it cannot be read.
fn entries(folder: &Path) -> impl Iterator<Item = (PathBuf, String)> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.path(), entry.file_name().into_string().ok()?)))
}

/// The names in a folder that are numbers.
fn numbers(folder: &Path) -> impl Iterator<Item = u32> + use<> {
    entries(folder).filter_map(|(_, name)| name.parse().ok())
}

#[cfg(test)]
mod tests;
