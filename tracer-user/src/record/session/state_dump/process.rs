//! A process as `/proc` shows it.

use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::record::session::state_dump::numbers;
use crate::trace::lttng::state_dump::{File, Namespace, Status, Thread};

/// Flag of a thread of the kernel's own (`PF_KTHREAD`, `include/linux/sched.h`).
const KERNEL_THREAD: u32 = 0x0020_0000;

/// The lines of `fdinfo` that are looked at are at its start; those of some kinds of files
/// go on for long.
const FDINFO_HEAD: usize = 128;

/// A process that may end at any time.
pub(super) struct Process<'a> {
    proc: &'a Path,
    folder: PathBuf,
    pub(super) pid: u32,
    /// Its namespace of processes and that of `proc`.
    namespaces: [Option<u32>; 2],
}

impl<'a> Process<'a> {
    /// `own` is the namespace of processes that `proc` shows.
    pub(super) fn new(proc: &'a Path, pid: u32, own: Option<u32>) -> Self {
        let folder = proc.join(pid.to_string());
        Self {
            proc,
            namespaces: [namespace(&folder), own],
            folder,
            pid,
        }
    }

    pub(super) fn threads(&self) -> impl Iterator<Item = u32> + use<> {
        numbers(&self.folder.join("task"))
    }

    /// The line of a thread that [`parse_stat`] takes apart.
    pub(super) fn stat(&self, tid: u32) -> Option<Vec<u8>> {
        fs::read(self.folder.join(format!("task/{tid}/stat"))).ok()
    }

    /// How a thread of this process is called in its own namespace; none if that cannot be
    /// seen, or not any more.
    pub(super) fn namespace_of(&self, thread: &Thread<'_>) -> Option<Namespace> {
        let [Some(inode), own] = self.namespaces else {
            return None;
        };
        if Some(inode) == own {
            return Some(Namespace {
                tid: thread.tid,
                vtid: thread.tid,
                vpid: thread.pid,
                vppid: thread.ppid,
                level: 0,
                inode,
            });
        }
        let status = self.folder.join(format!("task/{}/status", thread.tid));
        let status = fs::read_to_string(status).ok()?;
        let (tids, pids) = (ids(&status, "NSpid:")?, ids(&status, "NStgid:")?);
        let level = tids.len().checked_sub(1)?;
        let parent = self.proc.join(thread.ppid.to_string()).join("status");
        let parent = fs::read_to_string(parent).ok();
        let parents = parent.and_then(|status| ids(&status, "NStgid:"));
        Some(Namespace {
            tid: thread.tid,
            vtid: *tids.last()?,
            vpid: *pids.last()?,
            vppid: parents.and_then(|ids| ids.get(level).copied()).unwrap_or(0),
            level: level as u32,
            inode,
        })
    }

    /// Shows each open file, once for all threads: they share them.
    pub(super) fn files(&self, mut show: impl FnMut(&File<'_>)) {
        let folder = self.folder.join("fd");
        for fd in numbers(&folder) {
            let name = fs::read_link(folder.join(fd.to_string()));
            let flags = flags(&self.folder.join(format!("fdinfo/{fd}")));
            if let (Ok(name), Some(flags)) = (name, flags) {
                show(&File {
                    pid: self.pid,
                    fd,
                    flags,
                    name: name.as_os_str().as_bytes(),
                });
            }
        }
    }
}

/// The inode of the namespace of processes that a process is in: its link says
/// `pid:[4026531836]`.
pub(super) fn namespace(process: &Path) -> Option<u32> {
    let link = fs::read_link(process.join("ns/pid")).ok()?;
    let inode = link.to_str()?.strip_prefix("pid:[")?.strip_suffix(']')?;
    inode.parse().ok()
}

/// Takes the line of `stat` apart, see `proc_pid_stat(5)`.
pub(super) fn parse_stat(line: &[u8], pid: u32, tid: u32) -> Option<Thread<'_>> {
    // A name may have brackets and blanks.
    let begin = line.iter().position(|byte| *byte == b'(')? + 1;
    let end = line.iter().rposition(|byte| *byte == b')')?;
    let name = line.get(begin..end)?;
    let rest = str::from_utf8(line.get(end + 1..)?).ok()?;
    // The first of them is the third of the line.
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).copied();
    let flags: u32 = field(9)?.parse().ok()?;
    Some(Thread {
        tid,
        pid,
        ppid: field(4)?.parse().ok()?,
        name,
        is_kernel: flags & KERNEL_THREAD != 0,
        status: match field(3)? {
            "R" => Status::WaitsForCpu,
            "S" | "D" | "I" => Status::Waits,
            "Z" => Status::Zombie,
            "X" => Status::Dead,
            _ => Status::Other,
        },
        cpu: field(39)?.parse().ok()?,
    })
}

/// The numbers in a line of `status`, from the outermost namespace inwards.
fn ids(status: &str, name: &str) -> Option<Vec<u32>> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let ids = line.split_ascii_whitespace().map(str::parse);
    ids.collect::<Result<_, _>>().ok()
}

/// The flags of open(2) in a file of `fdinfo`.
fn flags(path: &Path) -> Option<u32> {
    let mut head = [0; FDINFO_HEAD];
    let len = fs::File::open(path).ok()?.read(&mut head).ok()?;
    let head = str::from_utf8(&head[..len]).ok()?;
    let octal = head.lines().find_map(|line| line.strip_prefix("flags:"))?;
    u32::from_str_radix(octal.trim(), 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_stat_is_taken_apart() {
        let line =
            b"7 (a (b) c) S 1 7 7 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 9 10 11 12 13 14 15 \
                     16 17 18 19 20 21 22 0 0 17 3 0 0 0 0 0 0 0 0 0 0 0 0 0\n";
        let thread = parse_stat(line, 7, 7).unwrap();
        assert_eq!(thread.name, b"a (b) c");
        assert_eq!((thread.ppid, thread.cpu), (1, 3));
        assert_eq!((thread.is_kernel, thread.status), (false, Status::Waits));
        assert_eq!(parse_stat(b"7 (x) S 1", 7, 7), None);
    }

    #[test]
    fn ids_are_read_from_the_outside_inwards() {
        let status = "Name:\tx\nNStgid:\t4711\t12\t1\nNSpid:\t4712\t13\t2\n";
        assert_eq!(ids(status, "NSpid:"), Some(vec![4712, 13, 2]));
        assert_eq!(ids(status, "NSsid:"), None);
    }
}
