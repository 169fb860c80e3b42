//! Code that processes mapped: the hidden file [`FILE_NAME`] of a trace with user stacks.
//!
//! There are three kinds of lines, in no particular order:
//!
//! - `TIME PID START END OFFSET BUILD_ID PATH`: addresses `START` to `END` map a file from
//!   `OFFSET` on. `TIME`, in nanoseconds of the trace's clock, is when the process mapped them, or
//!   when an existing mapping was first seen. Addresses, offset and build id are hexadecimal; the
//!   build id is `-` if the file has none. The path is escaped like names in
//!   [`tasks`](super::tasks).
//! - `TIME PID new`: the process executed another program, which ends all its mappings.
//! - `TIME PID new PARENT`: a new process with this id started, with the mappings of `PARENT`.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;
use std::{io, iter};

use crate::trace::sidecar::lines;

/// Name of the file in the folder of a trace or of its chunks.
pub const FILE_NAME: &str = ".maps";

/// Placeholder for a missing build id.
const NO_BUILD_ID: &str = "-";

/// Ends all mappings of a process.
const NEW: &str = "new";

/// Code that a process mapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Address range.
    pub range: Range<u64>,
    /// Offset of its first byte in the file.
    pub file_offset: u64,
    /// Content of the note `.note.gnu.build-id`; empty if the file has none.
    pub build_id: Box<[u8]>,
    /// The file, as the process sees it, or `[vdso]`.
    pub path: Box<[u8]>,
}

/// The lines for mappings that a process was seen to have.
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

/// The line for a process that executed another program.
#[must_use]
pub fn format_exec(timestamp_ns: u64, pid: u32) -> String {
    format!("{timestamp_ns} {pid} {NEW}\n")
}

/// The line for a new process.
#[must_use]
pub fn format_fork(timestamp_ns: u64, pid: u32, parent: u32) -> String {
    format!("{timestamp_ns} {pid} {NEW} {parent}\n")
}

/// Time, and the mapping seen then.
type Seen = (u64, Mapping);

/// All processes that had the same id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Process {
    beginnings: Vec<Beginning>,
    /// Sorted by time.
    seen: Vec<Seen>,
}

/// The start of a process, or of another program in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Beginning {
    timestamp_ns: u64,
    /// The process whose mappings a new process inherits.
    parent: Option<u32>,
}

/// The code that the processes of a trace mapped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mappings {
    processes: HashMap<u32, Process>,
}

impl Mappings {
    /// Adds the mappings of the trace in `folder`; none if it has no such file.
    pub fn read(&mut self, folder: &Path) -> io::Result<()> {
        self.add(&lines::read(&folder.join(FILE_NAME))?);
        Ok(())
    }

    /// Parses the content of such a file; malformed lines are ignored.
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

    /// Whether any mapping of process `pid` at that time is known.
    #[must_use]
    pub fn knows(&self, pid: u32, timestamp_ns: u64) -> bool {
        let mut lineage = self.lineage(pid, timestamp_ns);
        lineage.any(|(_, seen)| !seen.is_empty())
    }

    /// The mapping at `address` of process `pid`: the last one seen up to `timestamp_ns`; else the
    /// first one seen later, because mappings older than the recording are only read after its
    /// first events; else the one inherited from the parent process.
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

    /// The mappings of the program that `pid` executed at a time, then those inherited from its
    /// parent, and so on, each with the time up to which they count.
    fn lineage(&self, pid: u32, timestamp_ns: u64) -> impl Iterator<Item = (u64, &[Seen])> {
        let mut next = Some((pid, timestamp_ns));
        iter::from_fn(move || {
            let (pid, until) = next?;
            let (seen, begin) = self.processes.get(&pid)?.at(until);
            // The time decreases in each step, so this ends even if the lines form a circle.
            next =
                begin.and_then(|begin| Some((begin.parent?, begin.timestamp_ns.checked_sub(1)?)));
            Some((until, seen))
        })
    }
}

impl Process {
    /// The mappings of the program executed at a time, and how it started.
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

/// The rest of a line, after time and process.
enum Line {
    Mapped(Mapping),
    /// With the parent if it is a new process.
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
    fn mappings_are_read_back() {
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
    fn the_last_mapping_up_to_a_time_counts_else_the_first() {
        let text = format_look(10, 1, &[mapping(0x1000, "/old")])
            + &format_look(20, 1, &[mapping(0x1000, "/new"), mapping(0x5000, "/late")]);
        assert_eq!(found(&text, 1, 3, 0x1000).unwrap(), "/old");
        assert_eq!(found(&text, 1, 19, 0x1000).unwrap(), "/old");
        assert_eq!(found(&text, 1, 20, 0x1000).unwrap(), "/new");
        assert_eq!(found(&text, 1, 3, 0x5000).unwrap(), "/late");
    }

    #[test]
    fn another_program_has_other_mappings() {
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
    fn a_new_process_inherits_the_mappings_of_its_parent() {
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
    fn a_circle_of_parents_ends() {
        let text = format_fork(5, 1, 2) + &format_fork(5, 2, 1) + &format_fork(0, 1, 1);
        assert_eq!(found(&text, 1, 9, 0x1000), None);
    }

    #[test]
    fn malformed_lines_are_ignored() {
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
