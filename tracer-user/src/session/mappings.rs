//! Notes where the code of processes is whose user stacks are recorded: addresses mean
//! something only as long as the process lives.
//!
//! A drain thread that sees an event with a user stack says so ([`Watch::saw_stack`]); a thread
//! of its own ([`watch`]) reads `/proc/PID/maps` then, at most once a second for a process and
//! drain, and writes what is new. A process that is gone by then keeps its bare addresses.
//! Nothing waits for it: where it is behind, looks are left out, and made up for by the next
//! event.

use std::{
    collections::{HashMap, VecDeque},
    fs, io,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
};

use crate::ctf::mappings::{Mapping, format_look, format_new};

/// The shortest time between two looks at a process.
const LOOK_NS: u64 = 1_000_000_000;

/// Requests that may wait.
const WAITING: usize = 1024;

/// Processes and files that are remembered; when there are more, all are forgotten.
const MAX_REMEMBERED: usize = 8192;

/// What a drain saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    /// A user stack of a process.
    Look(u32),
    /// At a time, that a process began, or executed another program.
    New(u64, u32),
}

/// One drain's way to the thread that looks.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    requests: SyncSender<Request>,
    /// Beginnings that found no room; without them, stacks of a new program would be taken for
    /// those of the old one.
    pending: VecDeque<Request>,
    /// When processes were looked at last.
    looked_ns: HashMap<u32, u64>,
}

/// Requests of all drains, to be given to [`watch`].
pub(super) struct Requests(Receiver<Request>);

/// A way for each drain to clone, and its other end.
pub(super) fn channel() -> (Watch, Requests) {
    let (requests, receiver) = sync_channel(WAITING);
    let watch = Watch {
        requests,
        pending: VecDeque::new(),
        looked_ns: HashMap::new(),
    };
    (watch, Requests(receiver))
}

impl Watch {
    /// An event at `timestamp_ns` has a user stack of process `pid`.
    pub(super) fn saw_stack(&mut self, pid: u32, timestamp_ns: u64) {
        let looked = self.looked_ns.get(&pid);
        if looked.is_some_and(|at| timestamp_ns.saturating_sub(*at) < LOOK_NS) {
            return;
        }
        self.send_pending();
        if self.requests.try_send(Request::Look(pid)).is_ok() {
            forget_if_many(&mut self.looked_ns);
            self.looked_ns.insert(pid, timestamp_ns);
        }
    }

    /// At `timestamp_ns` the process `pid` began, or got another name, as it does when it
    /// executes another program.
    pub(super) fn saw_beginning(&mut self, pid: u32, timestamp_ns: u64) {
        self.looked_ns.remove(&pid);
        if self.pending.len() == MAX_REMEMBERED {
            self.pending.pop_front();
        }
        self.pending.push_back(Request::New(timestamp_ns, pid));
        self.send_pending();
    }

    fn send_pending(&mut self) {
        while let Some(request) = self.pending.front() {
            if self.requests.try_send(*request).is_err() {
                break;
            }
            self.pending.pop_front();
        }
    }
}

/// Serves requests until all drains are gone. `write` gets whole lines of
/// [`ctf::mappings`](crate::ctf::mappings), `now_ns` is the trace's clock.
pub(super) fn watch(
    requests: Requests,
    proc: &Path,
    now_ns: impl Fn() -> u64,
    mut write: impl FnMut(&str),
) {
    let mut looker = Looker::new(proc);
    for request in requests.0 {
        let lines = match request {
            Request::Look(pid) => looker.look(pid, now_ns()),
            Request::New(at_ns, pid) => {
                let mut lines = looker.renew(pid, at_ns);
                if !lines.is_empty() {
                    lines += &looker.look(pid, now_ns());
                }
                lines
            }
        };
        if !lines.is_empty() {
            write(&lines);
        }
    }
}

/// Reads mappings of processes, and remembers what it has seen.
struct Looker {
    proc: PathBuf,
    seen: HashMap<u32, Vec<Mapping>>,
    /// By device and inode.
    build_ids: HashMap<Box<str>, Box<[u8]>>,
}

impl Looker {
    fn new(proc: &Path) -> Self {
        Self {
            proc: proc.to_owned(),
            seen: HashMap::new(),
            build_ids: HashMap::new(),
        }
    }

    /// The lines of what is mapped now; none where that is known already, or the process is
    /// gone.
    fn look(&mut self, pid: u32, now_ns: u64) -> String {
        let Ok(mappings) = self.read(pid) else {
            return String::new();
        };
        if self.seen.get(&pid) == Some(&mappings) {
            return String::new();
        }
        let lines = format_look(now_ns, pid, &mappings);
        forget_if_many(&mut self.seen);
        self.seen.insert(pid, mappings);
        lines
    }

    /// The line that ends what is known of a process; none where nothing is.
    fn renew(&mut self, pid: u32, at_ns: u64) -> String {
        match self.seen.remove(&pid) {
            Some(_) => format_new(at_ns, pid),
            None => String::new(),
        }
    }

    fn read(&mut self, pid: u32) -> io::Result<Vec<Mapping>> {
        let process = self.proc.join(pid.to_string());
        let maps = fs::read(process.join("maps"))?;
        let lines = maps
            .split(|&byte| byte == b'\n')
            .filter_map(MapsLine::parse);
        Ok(lines
            .map(|line| Mapping {
                build_id: self.build_id(&process, &line),
                range: line.start..line.end,
                file_offset: line.file_offset,
                path: line.path(),
            })
            .collect())
    }

    fn build_id(&mut self, process: &Path, line: &MapsLine<'_>) -> Box<[u8]> {
        if !line.path.starts_with(b"/") {
            return Box::default();
        }
        if let Some(known) = self.build_ids.get(line.file) {
            return known.clone();
        }
        // The file itself, whatever its path means by now.
        let file = process.join(format!("map_files/{:x}-{:x}", line.start, line.end));
        // opening a device would do something
        let is_file = fs::metadata(&file).is_ok_and(|metadata| metadata.is_file());
        let build_id: Box<[u8]> = is_file
            .then(|| blazesym::helper::read_elf_build_id(&file).ok().flatten())
            .flatten()
            .map_or_else(Box::default, |id| id.into_owned().into());
        forget_if_many(&mut self.build_ids);
        self.build_ids.insert(line.file.into(), build_id.clone());
        build_id
    }
}

fn forget_if_many<K, V>(remembered: &mut HashMap<K, V>) {
    if remembered.len() >= MAX_REMEMBERED {
        remembered.clear();
    }
}

/// Code in `/proc/PID/maps`: `START-END PERMISSIONS OFFSET DEVICE INODE PATH`.
struct MapsLine<'a> {
    start: u64,
    end: u64,
    file_offset: u64,
    /// Device and inode.
    file: &'a str,
    path: &'a [u8],
}

impl<'a> MapsLine<'a> {
    /// `None` for what is no code of a file or of the kernel.
    fn parse(line: &'a [u8]) -> Option<Self> {
        let path_at = line.iter().position(|byte| matches!(byte, b'/' | b'['))?;
        let (numbers, path) = line.split_at(path_at);
        let numbers = std::str::from_utf8(numbers).ok()?.trim_end();
        let mut columns = numbers.splitn(4, ' ');
        let (start, end) = columns.next()?.split_once('-')?;
        columns.next()?.contains('x').then_some(())?;
        let hexadecimal = |text: &str| u64::from_str_radix(text, 16).ok();
        Some(Self {
            start: hexadecimal(start)?,
            end: hexadecimal(end)?,
            file_offset: hexadecimal(columns.next()?)?,
            file: columns.next()?,
            path,
        })
    }

    /// Without what the kernel adds (`seq_file_path`, `fs/seq_file.c`).
    fn path(&self) -> Box<[u8]> {
        let path = self.path.strip_suffix(b" (deleted)").unwrap_or(self.path);
        if !path.contains(&b'\\') {
            return path.into();
        }
        String::from_utf8_lossy(path)
            .replace("\\012", "\n")
            .into_bytes()
            .into()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::ctf::mappings::Mappings;

    const MAPS: &str = "\
55f0c0a00000-55f0c0a02000 r--p 00000000 fe:00 1234                       /usr/bin/cat
55f0c0a02000-55f0c0a06000 r-xp 00002000 fe:00 1234                       /usr/bin/cat
7f0000000000-7f0000001000 r-xp 00000000 00:00 0 
7f0000002000-7f0000003000 r-xp 00001000 fe:00 99                         /a b/lib.so (deleted)
7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0                          [stack]
7ffd00022000-7ffd00024000 r-xp 00000000 00:00 0                          [vdso]
";

    fn proc_with(pid: u32, maps: &str) -> tempfile::TempDir {
        let proc = tempfile::tempdir().unwrap();
        write_maps(proc.path(), pid, maps);
        proc
    }

    fn write_maps(proc: &Path, pid: u32, maps: &str) {
        let process = proc.join(pid.to_string());
        fs::create_dir_all(&process).unwrap();
        fs::write(process.join("maps"), maps).unwrap();
    }

    fn paths(lines: &str, pid: u32, addresses: &[u64]) -> Vec<Option<String>> {
        let mappings = Mappings::parse(lines.as_bytes());
        let path = |address: &u64| {
            let mapping = mappings.find(pid, 0, *address)?;
            Some(String::from_utf8(mapping.path.to_vec()).unwrap())
        };
        addresses.iter().map(path).collect()
    }

    #[test]
    fn code_of_files_and_of_the_kernel_is_noted() {
        let proc = proc_with(7, MAPS);
        let lines = Looker::new(proc.path()).look(7, 5);
        let addresses = [
            0x55f0_c0a0_0000,
            0x55f0_c0a0_2000,
            0x7f00_0000_0000,
            0x7f00_0000_2000,
            0x7ffd_0000_0000,
            0x7ffd_0002_2000,
        ];
        let expected = [
            None,
            Some("/usr/bin/cat"),
            None,
            Some("/a b/lib.so"),
            None,
            Some("[vdso]"),
        ];
        assert_eq!(
            paths(&lines, 7, &addresses),
            expected.map(|path| path.map(str::to_owned))
        );
    }

    #[test]
    fn what_is_known_is_not_noted_again() {
        let proc = proc_with(7, MAPS);
        let mut looker = Looker::new(proc.path());
        assert!(!looker.look(7, 5).is_empty());
        assert_eq!(looker.look(7, 6), "");
        assert_eq!(looker.look(8, 6), "");
        let lib = "1000-2000 r-xp 00000000 fe:00 5 /lib.so\n";
        write_maps(proc.path(), 7, &format!("{MAPS}{lib}"));
        assert!(looker.look(7, 7).ends_with("7 7 1000 2000 0 - /lib.so\n"));
    }

    #[test]
    fn what_begins_anew_is_told_where_something_was_known() {
        let proc = proc_with(7, MAPS);
        let mut looker = Looker::new(proc.path());
        assert_eq!(looker.renew(7, 4), "");
        looker.look(7, 5);
        assert_eq!(looker.renew(7, 6), "6 7 new\n");
        assert!(!looker.look(7, 7).is_empty());
    }

    #[test]
    fn build_ids_are_those_of_the_files_that_are_mapped() {
        let own = std::process::id();
        let lines = Looker::new(Path::new("/proc")).look(own, 5);
        let mappings = Mappings::parse(lines.as_bytes());
        let address = build_ids_are_those_of_the_files_that_are_mapped as fn() as usize as u64;
        let mapping = mappings.find(own, 5, address).unwrap();
        let exe = std::env::current_exe().unwrap();
        assert_eq!(*mapping.path, *exe.as_os_str().as_encoded_bytes());
        // reading it by the process takes a privilege
        if rustix::process::geteuid().is_root() {
            let build_id = blazesym::helper::read_elf_build_id(&exe).unwrap();
            assert_eq!(*mapping.build_id, *build_id.unwrap_or_default());
        }
    }

    #[test]
    fn one_look_a_second_is_asked_for() {
        let (mut watch, requests) = channel();
        for ns in [0, 1, LOOK_NS - 1, LOOK_NS, LOOK_NS + 1] {
            watch.saw_stack(7, ns);
        }
        watch.saw_beginning(7, LOOK_NS + 2);
        watch.saw_stack(7, LOOK_NS + 3);
        drop(watch);
        let asked: Vec<_> = requests.0.into_iter().collect();
        let look = Request::Look(7);
        assert_eq!(asked, [look, look, Request::New(LOOK_NS + 2, 7), look]);
    }

    #[test]
    fn a_drain_does_not_wait_for_looks() {
        let (mut watch, requests) = channel();
        for pid in 0..=WAITING as u32 {
            watch.saw_stack(pid, 0);
        }
        assert_eq!(watch.looked_ns.len(), WAITING);
        drop(watch);
        assert_eq!(requests.0.into_iter().count(), WAITING);
    }

    #[test]
    fn beginnings_are_kept_until_there_is_room() {
        let (mut watch, requests) = channel();
        for pid in 0..WAITING as u32 {
            watch.saw_stack(pid, 0);
        }
        watch.saw_beginning(7, 5);
        assert_eq!(requests.0.recv(), Ok(Request::Look(0)));
        watch.saw_stack(9999, 6);
        drop(watch);
        assert_eq!(requests.0.into_iter().last(), Some(Request::New(5, 7)));
    }

    #[test]
    fn a_process_is_looked_at_again_when_it_begins_anew() {
        let proc = proc_with(7, MAPS);
        let (mut watch, requests) = channel();
        let mut other_drain = watch.clone();
        watch.saw_stack(7, 1);
        other_drain.saw_beginning(7, 2);
        drop((watch, other_drain));
        let mut written = Vec::new();
        let path = proc.path();
        thread::scope(|scope| {
            scope.spawn(|| {
                super::watch(requests, path, || 9, |lines| written.push(lines.to_owned()));
            });
        });
        assert_eq!(written.len(), 2);
        assert!(written[1].starts_with("2 7 new\n9 7 "), "{written:?}");
    }
}
