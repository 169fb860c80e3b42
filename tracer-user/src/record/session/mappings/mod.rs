//! Notes where the code of processes is whose user stacks are recorded: addresses mean
//! something only as long as the process lives.
//!
//! As for perf, the kernel reports each new process, each execution of a program and each
//! mapping of code, in a ring per CPU; a separate thread ([`Watcher`]) formats them as lines. They are written for processes of which a drain has seen a stack
//! ([`Watch::saw_stack`]), and remembered of others: most processes of a machine have none. What
//! was mapped before the recording is read from `/proc/PID/maps` when a stack is seen.
//!
//! Rings are not merged: each line has its time, and readers sort them.

mod pids;
mod proc;
mod records;
mod unseen;

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::{io, mem};

use rustix::event::{Timespec, epoll};
use tokio::sync::oneshot;
use tracer_common::EventHeader;

use self::pids::Pids;
use self::proc::Proc;
use self::records::{Record, What};
use self::unseen::Unseen;
use crate::record::clock::monotonic_ns;
use crate::record::output::Retention;
use crate::record::stream::observe::Observer;
use crate::sys::bell::Bell;
use crate::sys::perf;
use crate::sys::perf_ring::PerfRing;
use crate::trace::sidecar::mappings::{format_exec, format_fork, format_look};

/// Bytes of each ring: some 4,000 mappings. With its page of positions it is what the kernel
/// gives to each CPU without asking whose memory it is (`kernel.perf_event_mlock_kb`).
const RING_BYTES: usize = 512 << 10;

/// Rings are read this often even if none has much.
const INTERVAL: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 200_000_000,
};

/// The rings of all online CPUs. Everything after this is reported.
///
/// # Errors
/// If the kernel refuses them.
pub(super) fn open_rings() -> io::Result<Vec<PerfRing>> {
    let cpus = aya::util::online_cpus().map_err(|(_, error)| error)?;
    cpus.into_iter()
        .map(|cpu| {
            let event = perf::open_mappings(cpu, RING_BYTES as u32 / 2)?;
            PerfRing::new(event, RING_BYTES)
        })
        .collect()
}

#[derive(Debug)]
enum Request {
    /// A stack of this process was seen, for the first time.
    Stack(u32),
    /// To be answered when all requests before it are served.
    Answer(oneshot::Sender<u64>),
    /// The same, and the last one.
    End(oneshot::Sender<u64>),
}

/// A way to the thread that notes.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    /// Processes of which a stack was seen, or which made one of those.
    seen: Arc<Pids>,
    requests: Sender<Request>,
    bell: Arc<Bell>,
}

impl Watch {
    /// An event has a user stack of process `pid`.
    pub(super) fn saw_stack(&self, pid: u32) {
        if self.seen.insert(pid) {
            self.request(Request::Stack(pid));
        }
    }

    /// Completes when the mappings for all stacks seen so far are written, with the number of
    /// records that the kernel has lost; an error: the thread is gone.
    pub(super) fn noted(&self) -> oneshot::Receiver<u64> {
        let (reply, noted) = oneshot::channel();
        self.request(Request::Answer(reply));
        noted
    }

    /// As [`noted`](Self::noted), and ends the thread: nothing is written after the answer.
    pub(super) fn end(self) -> oneshot::Receiver<u64> {
        let (reply, noted) = oneshot::channel();
        self.request(Request::End(reply));
        noted
    }

    fn request(&self, request: Request) {
        // An error means that the thread is gone, which `noted` reports.
        let _ = self.requests.send(request);
        self.bell.ring();
    }
}

/// Shows the stacks in the events of a stream to the watch.
pub(super) struct StackObserver {
    watch: Watch,
    /// By class, whether its events have user stacks.
    user_stacks: Arc<[bool]>,
}

impl StackObserver {
    pub(super) fn new(watch: &Watch, user_stacks: &Arc<[bool]>) -> Self {
        Self {
            watch: watch.clone(),
            user_stacks: Arc::clone(user_stacks),
        }
    }
}

impl Observer for StackObserver {
    fn wants(&self, class: u32) -> bool {
        self.user_stacks.get(class as usize) == Some(&true)
    }

    fn see(&mut self, _event: &[u8], header: &EventHeader) {
        self.watch.saw_stack(header.pid);
    }
}

/// Formats what the kernel reports as lines.
pub(super) struct Watcher {
    rings: Vec<PerfRing>,
    seen: Arc<Pids>,
    requests: Receiver<Request>,
    bell: Arc<Bell>,
    poll: OwnedFd,
    proc: Proc,
    unseen: Unseen,
    /// To be written.
    lines: String,
    /// Records that found no room in a ring.
    lost: u64,
}

impl Watcher {
    /// Reads these `rings`, and what is mapped already from `proc`.
    ///
    /// # Errors
    /// If there are no file descriptors to wait with.
    pub(super) fn new(rings: Vec<PerfRing>, proc: &Path) -> io::Result<(Watch, Self)> {
        let bell = Arc::new(Bell::new()?);
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let level = epoll::EventFlags::IN;
        let none = epoll::EventData::new_u64(0);
        epoll::add(&poll, bell.as_fd(), none, level)?;
        for ring in &rings {
            // Edge-triggered: the event of a CPU that went offline is ready for ever.
            epoll::add(&poll, ring.as_fd(), none, level | epoll::EventFlags::ET)?;
        }
        let (sender, requests) = channel();
        let watch = Watch {
            seen: Arc::new(Pids::new()),
            requests: sender,
            bell: Arc::clone(&bell),
        };
        let watcher = Self {
            rings,
            seen: Arc::clone(&watch.seen),
            requests,
            bell,
            poll,
            proc: Proc::new(proc),
            unseen: Unseen::default(),
            lines: String::new(),
            lost: 0,
        };
        Ok((watch, watcher))
    }

    /// Serves requests until [`Watch::end`], or until the last [`Watch`] is gone; `write` gets whole lines of
    /// [`sidecar::mappings`](crate::trace::sidecar::mappings), and says whether earlier ones will be forgotten:
    /// processes of which more stacks are seen are noted anew then.
    pub(super) fn run(mut self, mut write: impl FnMut(&str) -> Retention) {
        let mut events = Vec::with_capacity(1);
        loop {
            self.bell.still();
            let ends = self.serve(&mut write);
            if ends {
                return;
            }
            events.clear();
            let room = rustix::buffer::spare_capacity(&mut events);
            match epoll::wait(&self.poll, room, Some(&INTERVAL)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => {
                    log::warn!("cannot wait for mappings of processes: {error}");
                    return;
                }
            }
        }
    }

    /// Does what there is to do; whether that was all.
    fn serve(&mut self, write: &mut impl FnMut(&str) -> Retention) -> bool {
        let mut stacks = Vec::new();
        let mut answers = Vec::new();
        let ends = loop {
            match self.requests.try_recv() {
                Ok(Request::Stack(pid)) => stacks.push(pid),
                Ok(Request::Answer(reply)) => answers.push(reply),
                Ok(Request::End(reply)) => {
                    answers.push(reply);
                    break true;
                }
                Err(TryRecvError::Empty) => break false,
                // The recording has failed.
                Err(TryRecvError::Disconnected) => return true,
            }
        };
        // After the requests: what was mapped before a stack was seen is in the rings now.
        self.read_rings();
        for pid in stacks {
            self.describe(pid);
        }
        let lines = mem::take(&mut self.lines);
        if !lines.is_empty() && write(&lines) == Retention::Aging {
            self.seen.clear();
        }
        for answer in answers {
            // An error means that nothing waits for the answer.
            let _ = answer.send(self.lost);
        }
        ends
    }

    fn read_rings(&mut self) {
        let mut rings = mem::take(&mut self.rings);
        let mut records = Vec::new();
        for ring in &mut rings {
            records.clear();
            if let Err(error) = ring.take(&mut records) {
                log::warn!("cannot read mappings of processes: {error}");
            }
            if let Err(error) = records::read(&records, |record| self.note(&record)) {
                log::warn!("cannot read mappings of processes: {error}");
            }
        }
        self.rings = rings;
    }

    fn note(&mut self, record: &Record<'_>) {
        let &Record {
            timestamp_ns,
            pid,
            ref what,
        } = record;
        let line = match what {
            What::Mapped(mapped) => {
                let mapping = self.proc.complete(pid, mapped);
                format_look(timestamp_ns, pid, &[mapping])
            }
            What::Executed => format_exec(timestamp_ns, pid),
            What::Made { parent } => format_fork(timestamp_ns, pid, *parent),
            What::Ended => return self.unseen.end(pid),
            What::Lost(records) => {
                self.lost += records;
                return;
            }
            What::Other => return,
        };
        if self.seen.contains(pid) {
            self.lines += &line;
            if let &What::Made { parent } = what
                && self.seen.insert(parent)
            {
                self.describe(parent);
            }
            return;
        }
        let history = self.unseen.keep(pid, &line);
        match *what {
            What::Executed => history.executed = true,
            What::Made { parent } => {
                history.executed = false;
                history.parents.push(parent);
            }
            _ => {}
        }
    }

    /// Writes what is known of a process, and of those that made it: it may have their code.
    fn describe(&mut self, pid: u32) {
        let mut pids = vec![pid];
        while let Some(pid) = pids.pop() {
            let history = self.unseen.take(pid);
            self.lines += &history.lines;
            let is_known = history.executed && self.lost == 0;
            if !is_known && let Ok((read_ns, mappings)) = self.proc.read(pid, monotonic_ns) {
                self.lines += &format_look(read_ns, pid, &mappings);
            }
            let parents = history.parents.into_iter();
            pids.extend(parents.filter(|parent| self.seen.insert(*parent)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, thread};

    use super::*;
    use crate::record::session::mappings::records::{File, Mapped};
    use crate::trace::sidecar::mappings::Mappings;

    const MAPS: &str = "1000-2000 r-xp 00000000 fe:00 5 /before\n";

    fn proc_with(pid: u32) -> tempfile::TempDir {
        let proc = tempfile::tempdir().unwrap();
        fs::create_dir(proc.path().join(pid.to_string())).unwrap();
        fs::write(proc.path().join(format!("{pid}/maps")), MAPS).unwrap();
        proc
    }

    fn record(timestamp_ns: u64, pid: u32, what: What<'_>) -> Record<'_> {
        Record {
            timestamp_ns,
            pid,
            what,
        }
    }

    fn mapped(start: u64, path: &str) -> What<'_> {
        What::Mapped(Mapped {
            range: start..start + 0x1000,
            file_offset: 0,
            file: File::BuildId(&[1]),
            path: path.as_bytes(),
        })
    }

    /// What is written when stacks of these processes were seen.
    fn written(watcher: &mut Watcher, watch: &Watch, pids: &[u32]) -> String {
        for pid in pids {
            watch.saw_stack(*pid);
        }
        let mut written = String::new();
        assert!(!watcher.serve(&mut |lines: &str| {
            written += lines;
            Retention::Kept
        }));
        written
    }

    #[test]
    fn what_was_mapped_before_is_looked_at_once() {
        let proc = proc_with(7);
        let (watch, mut watcher) = Watcher::new(Vec::new(), proc.path()).unwrap();
        let lines = written(&mut watcher, &watch, &[7, 8]);
        assert!(lines.ends_with(" 7 1000 2000 0 - /before\n"), "{lines}");
        assert_eq!(lines.lines().count(), 1);
        assert_eq!(written(&mut watcher, &watch, &[7, 8]), "");
    }

    #[test]
    fn of_processes_without_stacks_nothing_is_written() {
        let proc = proc_with(7);
        let (watch, mut watcher) = Watcher::new(Vec::new(), proc.path()).unwrap();
        watcher.note(&record(1, 7, What::Executed));
        watcher.note(&record(2, 7, mapped(0x5000, "/ls")));
        assert_eq!(written(&mut watcher, &watch, &[]), "");
        watcher.note(&record(3, 7, What::Ended));
        // All of it is known, so that nothing is read.
        let lines = written(&mut watcher, &watch, &[7]);
        assert_eq!(lines, "1 7 new\n2 7 5000 6000 0 01 /ls\n");
        // The next process of that number is written at once.
        watcher.note(&record(4, 7, What::Executed));
        assert_eq!(written(&mut watcher, &watch, &[]), "4 7 new\n");
    }

    #[test]
    fn a_process_brings_those_that_made_it() {
        let proc = proc_with(5);
        let (watch, mut watcher) = Watcher::new(Vec::new(), proc.path()).unwrap();
        watcher.note(&record(1, 6, What::Made { parent: 5 }));
        watcher.note(&record(2, 6, mapped(0x5000, "/lib")));
        watcher.note(&record(3, 7, What::Made { parent: 6 }));
        watcher.note(&record(4, 7, What::Ended));
        let lines = written(&mut watcher, &watch, &[7]);
        let mappings = Mappings::parse(lines.as_bytes());
        let path = |address| &*mappings.find(7, 3, address).unwrap().path;
        assert_eq!(path(0x5000), b"/lib");
        assert_eq!(path(0x1000), b"/before");
        // Later children of it add no other process.
        watcher.note(&record(8, 7, What::Made { parent: 6 }));
        assert_eq!(written(&mut watcher, &watch, &[]), "8 7 new 6\n");
    }

    #[test]
    fn after_a_loss_everything_is_read_from_proc() {
        let proc = proc_with(7);
        let (watch, mut watcher) = Watcher::new(Vec::new(), proc.path()).unwrap();
        watcher.note(&record(1, 7, What::Executed));
        watcher.note(&record(2, 0, What::Lost(3)));
        let noted = watch.noted();
        let lines = written(&mut watcher, &watch, &[7]);
        assert!(lines.contains("/before"), "{lines}");
        assert_eq!(noted.blocking_recv(), Ok(3));
    }

    #[test]
    fn what_will_be_forgotten_is_noted_anew() {
        let proc = proc_with(7);
        let (watch, mut watcher) = Watcher::new(Vec::new(), proc.path()).unwrap();
        watch.saw_stack(7);
        assert!(!watcher.serve(&mut |_: &str| Retention::Aging));
        assert!(written(&mut watcher, &watch, &[7]).contains("/before"));
    }

    #[test]
    fn everything_is_written_before_it_ends() {
        let proc = proc_with(7);
        let (watch, watcher) = Watcher::new(Vec::new(), proc.path()).unwrap();
        let mut written = Vec::new();
        thread::scope(|scope| {
            scope.spawn(|| {
                watcher.run(|lines| {
                    written.push(lines.to_owned());
                    Retention::Kept
                });
            });
            // One way stays open.
            let _other = watch.clone();
            watch.saw_stack(7);
            assert_eq!(watch.end().blocking_recv(), Ok(0));
        });
        assert_eq!(written.len(), 1);
    }

    #[test]
    fn it_ends_with_the_last_watch() {
        let proc = proc_with(7);
        let (watch, watcher) = Watcher::new(Vec::new(), proc.path()).unwrap();
        drop(watch);
        watcher.run(|_| unreachable!("nothing was asked for"));
    }
}
