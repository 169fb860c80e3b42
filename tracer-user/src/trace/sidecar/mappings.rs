//! Where the code of processes was: the hidden file [`FILE_NAME`] of a trace whose events have
//! user stacks.
//!
//! Lines are of three kinds, in no particular order:
//!
//! - `TIME PID START END OFFSET BUILD_ID PATH`: from `TIME` (nanoseconds of the trace's clock)
//!   on the bytes from `START` to `END` were those of a file from `OFFSET` on; or they have been
//!   before, and were seen then. Addresses, the offset and the build id are hexadecimal, the
//!   build id `-` where the file has none. The path is escaped as names are in
//!   [`tasks`](super::tasks).
//! - `TIME PID new`: from then on the process executed another program; what was before says
//!   nothing of it.
//! - `TIME PID new PARENT`: from then on the number meant another process, which began with
//!   what the process `PARENT` had.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;
use std::{io, iter};

use crate::trace::sidecar::lines;

/// Name of the file in the folder of a trace, or in that of its chunks.
pub const FILE_NAME: &str = ".maps";

/// Stands for a build id that a file has not.
const NO_BUILD_ID: &str = "-";

/// Ends the time of what was mapped before.
const NEW: &str = "new";

/// Code of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Addresses.
    pub range: Range<u64>,
    /// Where its first byte is in the file.
    pub file_offset: u64,
    /// The note `.note.gnu.build-id` of the file; empty where it has none.
    pub build_id: Box<[u8]>,
    /// The file, as the process sees it, or `[vdso]`.
    pub path: Box<[u8]>,
}

/// The lines of what was seen of a process at a time.
#[must_use]
pub fn format_look(timestamp_ns: u64, pid: u32, mappings: &[Mapping]) -> String {
    let mut text = String::new();
    for mapping in mappings {
        // writing to a string cannot fail
        let _ = write!(
            text,
            "{timestamp_ns} {pid} {:x} {:x} {:x} ",
            mapping.range.start, mapping.range.end, mapping.file_offset
        );
        for byte in &mapping.build_id {
            let _ = write!(text, "{byte:02x}");
        }
        if mapping.build_id.is_empty() {
            text.push_str(NO_BUILD_ID);
        }
        text.push(' ');
        lines::push_escaped(&mut text, &mapping.path);
        text.push('\n');
    }
    text
}

/// The line that says that a process executed another program.
#[must_use]
pub fn format_exec(timestamp_ns: u64, pid: u32) -> String {
    format!("{timestamp_ns} {pid} {NEW}\n")
}

/// The line that says that `parent` made a process.
#[must_use]
pub fn format_fork(timestamp_ns: u64, pid: u32, parent: u32) -> String {
    format!("{timestamp_ns} {pid} {NEW} {parent}\n")
}

/// When, and what.
type Seen = (u64, Mapping);

/// What is known of all processes that a number meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Process {
    beginnings: Vec<Beginning>,
    /// By their times.
    seen: Vec<Seen>,
}

/// Of a process, or of another program in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Beginning {
    timestamp_ns: u64,
    /// Whose code a new process had.
    parent: Option<u32>,
}

/// The code of the processes of a trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mappings {
    processes: HashMap<u32, Process>,
}

impl Mappings {
    /// Adds what the trace in `folder` has; nothing where it has no such file.
    pub fn read(&mut self, folder: &Path) -> io::Result<()> {
        self.add(&lines::read(&folder.join(FILE_NAME))?);
        Ok(())
    }

    /// Reads the content of such a file; lines that cannot be read are left out.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let mut mappings = Self::default();
        mappings.add(bytes);
        mappings
    }

    fn add(&mut self, bytes: &[u8]) {
        for (timestamp_ns, pid, rest) in lines::parse(bytes) {
            let Some(line) = parse_rest(rest) else {
                continue;
            };
            let process = self.processes.entry(pid).or_default();
            match line {
                Line::Mapped(mapping) => process.seen.push((timestamp_ns, mapping)),
                Line::New(parent) => process.beginnings.push(Beginning {
                    timestamp_ns,
                    parent,
                }),
            }
        }
        for process in self.processes.values_mut() {
            process.beginnings.sort_unstable();
            process.seen.sort_by_key(|&(timestamp_ns, _)| timestamp_ns);
        }
    }

    /// Whether anything is known of the process that `pid` was at that time.
    #[must_use]
    pub fn knows(&self, pid: u32, timestamp_ns: u64) -> bool {
        let mut lineage = self.lineage(pid, timestamp_ns);
        lineage.any(|(_, seen)| !seen.is_empty())
    }

    /// What lay at `address` of process `pid` at a time: as it was seen last up to then, else
    /// first after it, because what was there before the recording is looked at after the
    /// first event; else what the process had from the one that made it.
    #[must_use]
    pub fn find(&self, pid: u32, timestamp_ns: u64, address: u64) -> Option<&Mapping> {
        self.lineage(pid, timestamp_ns).find_map(|(until, seen)| {
            let later = seen.partition_point(|&(at, _)| at <= until);
            let mut in_order = seen[..later].iter().rev().chain(&seen[later..]);
            in_order
                .find(|(_, mapping)| mapping.range.contains(&address))
                .map(|(_, mapping)| mapping)
        })
    }

    /// What was seen of the program that `pid` executed at a time; where it did not begin with
    /// that, also what its parent had when it made it, and so on, each with the time until
    /// which it matters.
    fn lineage(&self, pid: u32, timestamp_ns: u64) -> impl Iterator<Item = (u64, &[Seen])> {
        let mut next = Some((pid, timestamp_ns));
        iter::from_fn(move || {
            let (pid, until) = next?;
            let (seen, begin) = self.processes.get(&pid)?.at(until);
            // An earlier time for each, so that there is an end whatever the lines say.
            next =
                begin.and_then(|begin| Some((begin.parent?, begin.timestamp_ns.checked_sub(1)?)));
            Some((until, seen))
        })
    }
}

impl Process {
    /// What was seen of the program that it executed at a time, and how that began.
    fn at(&self, timestamp_ns: u64) -> (&[Seen], Option<Beginning>) {
        let next = self
            .beginnings
            .partition_point(|beginning| beginning.timestamp_ns <= timestamp_ns);
        let begin = next.checked_sub(1).map(|last| self.beginnings[last]);
        let begin_ns = begin.map_or(0, |begin| begin.timestamp_ns);
        let end = self.beginnings.get(next);
        let end_ns = end.map_or(u64::MAX, |end| end.timestamp_ns);
        let from = self.seen.partition_point(|&(at, _)| at < begin_ns);
        let to = self.seen.partition_point(|&(at, _)| at < end_ns);
        (&self.seen[from..to.max(from)], begin)
    }
}

/// What a line says behind time and process.
enum Line {
    Mapped(Mapping),
    /// With the parent of a new process.
    New(Option<u32>),
}

fn parse_rest(rest: &[u8]) -> Option<Line> {
    let mut words = rest.splitn(5, |&byte| byte == b' ');
    let mut word = || std::str::from_utf8(words.next()?).ok();
    let first = word()?;
    if first == NEW {
        let parent = word().map(str::parse).transpose().ok()?;
        return Some(Line::New(parent));
    }
    let hexadecimal = |word: &str| u64::from_str_radix(word, 16).ok();
    Some(Line::Mapped(Mapping {
        range: hexadecimal(first)?..hexadecimal(word()?)?,
        file_offset: hexadecimal(word()?)?,
        build_id: parse_build_id(word()?)?,
        path: lines::unescape(words.next()?)?,
    }))
}

fn parse_build_id(word: &str) -> Option<Box<[u8]>> {
    if word == NO_BUILD_ID {
        return Some(Box::default());
    }
    let (pairs, rest) = word.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    rest.is_empty()
        .then(|| pairs.iter().map(byte).collect::<Option<_>>())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(start: u64, path: &str) -> Mapping {
        Mapping {
            range: start..start + 0x1000,
            file_offset: 0x2000,
            build_id: [0xab, 0x01].into(),
            path: path.as_bytes().into(),
        }
    }

    fn found(text: &str, pid: u32, timestamp_ns: u64, address: u64) -> Option<String> {
        let mappings = Mappings::parse(text.as_bytes());
        let mapping = mappings.find(pid, timestamp_ns, address)?;
        Some(String::from_utf8(mapping.path.to_vec()).unwrap())
    }

    #[test]
    fn what_was_seen_reads_back() {
        let without = Mapping {
            build_id: Box::default(),
            ..mapping(0x9000, "/a b\\\n")
        };
        let seen = [mapping(0x1000, "/bin/x"), without.clone()];
        let text = format_look(5, 7, &seen);
        assert_eq!(
            text,
            "5 7 1000 2000 2000 ab01 /bin/x\n5 7 9000 a000 2000 - /a b\\x5c\\x0a\n"
        );
        let mappings = Mappings::parse(text.as_bytes());
        assert_eq!(mappings.find(7, 5, 0x1fff), Some(&seen[0]));
        assert_eq!(mappings.find(7, 5, 0x9000), Some(&without));
        assert_eq!(mappings.find(7, 5, 0x2000), None);
        assert_eq!(mappings.find(8, 5, 0x1fff), None);
    }

    #[test]
    fn what_was_seen_last_counts_else_what_came_first() {
        let text = format_look(10, 1, &[mapping(0x1000, "/old")])
            + &format_look(20, 1, &[mapping(0x1000, "/new"), mapping(0x5000, "/late")]);
        assert_eq!(found(&text, 1, 3, 0x1000).unwrap(), "/old");
        assert_eq!(found(&text, 1, 19, 0x1000).unwrap(), "/old");
        assert_eq!(found(&text, 1, 20, 0x1000).unwrap(), "/new");
        assert_eq!(found(&text, 1, 3, 0x5000).unwrap(), "/late");
    }

    #[test]
    fn another_program_has_other_code() {
        let text = format_look(10, 1, &[mapping(0x1000, "/sh")])
            + &format_exec(15, 1)
            + &format_look(20, 1, &[mapping(0x1000, "/ls")])
            + &format_exec(30, 1);
        assert_eq!(found(&text, 1, 14, 0x1000).unwrap(), "/sh");
        assert_eq!(found(&text, 1, 15, 0x1000).unwrap(), "/ls");
        assert_eq!(found(&text, 1, 30, 0x1000), None);
        let mappings = Mappings::parse(text.as_bytes());
        assert!(mappings.knows(1, 29) && !mappings.knows(1, 30) && !mappings.knows(2, 0));
    }

    #[test]
    fn a_new_process_has_what_its_parent_had_when_it_made_it() {
        let text = format_look(10, 1, &[mapping(0x1000, "/sh")])
            + &format_exec(20, 1)
            + &format_look(21, 1, &[mapping(0x1000, "/ls")])
            + &format_fork(15, 2, 1)
            + &format_look(16, 2, &[mapping(0x5000, "/lib")])
            + &format_fork(17, 3, 2)
            + &format_exec(30, 3);
        assert_eq!(found(&text, 2, 15, 0x1000).unwrap(), "/sh");
        assert_eq!(found(&text, 2, 99, 0x1000).unwrap(), "/sh");
        assert_eq!(found(&text, 2, 99, 0x5000).unwrap(), "/lib");
        assert_eq!(found(&text, 3, 17, 0x1000).unwrap(), "/sh");
        assert_eq!(found(&text, 3, 17, 0x5000).unwrap(), "/lib");
        assert_eq!(found(&text, 3, 30, 0x1000), None);
        assert_eq!(found(&text, 2, 14, 0x1000), None);
        let mappings = Mappings::parse(text.as_bytes());
        assert!(mappings.knows(3, 29) && !mappings.knows(3, 30));
    }

    #[test]
    fn processes_that_make_each_other_have_an_end() {
        let text = format_fork(5, 1, 2) + &format_fork(5, 2, 1) + &format_fork(0, 1, 1);
        assert_eq!(found(&text, 1, 9, 0x1000), None);
    }

    #[test]
    fn torn_and_unreadable_lines_are_left_out() {
        for text in [
            "5 7 1000 2000 2000 ab01 /bin/x",
            "5 7 1000 2000 2000 ab0 /bin/x\n",
            "5 7 1000 2000 2000 ab01\n",
            "5 7\n",
            "5 7 new x\n",
            "\n",
            "5 7 1000 2000 2000 ab01 \\x4\n",
        ] {
            assert_eq!(found(text, 7, 5, 0x1000), None, "{text}");
        }
    }
}
