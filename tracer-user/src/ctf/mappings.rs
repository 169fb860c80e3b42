//! Where the code of processes was: the hidden file [`FILE_NAME`] of a trace whose events have
//! user stacks.
//!
//! Lines are of two kinds, in the order of time for each process:
//!
//! - `TIME PID START END OFFSET BUILD_ID PATH`: at `TIME` (nanoseconds of the trace's clock)
//!   the bytes from `START` to `END` were those of a file from `OFFSET` on. Addresses, the
//!   offset and the build id are hexadecimal, the build id `-` where the file has none. The
//!   path is escaped as names are in [`tasks`](super::tasks). All mappings that were seen in
//!   one look have one time.
//! - `TIME PID new`: from then on the number means another process, or the process has
//!   executed another program; what was before says nothing of it.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;

use super::escape;

/// Name of the file in the folder of a trace, or in that of its chunks.
pub const FILE_NAME: &str = ".maps";

/// Stands for a build id that a file has not.
const NO_BUILD_ID: &str = "-";

/// Ends the time of what was before.
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
    let mut lines = String::new();
    for mapping in mappings {
        // writing to a string cannot fail
        let _ = write!(
            lines,
            "{timestamp_ns} {pid} {:x} {:x} {:x} ",
            mapping.range.start, mapping.range.end, mapping.file_offset
        );
        for byte in &mapping.build_id {
            let _ = write!(lines, "{byte:02x}");
        }
        if mapping.build_id.is_empty() {
            lines.push_str(NO_BUILD_ID);
        }
        lines.push(' ');
        escape::push(&mut lines, &mapping.path);
        lines.push('\n');
    }
    lines
}

/// The line that says that a process begins anew.
#[must_use]
pub fn format_new(timestamp_ns: u64, pid: u32) -> String {
    format!("{timestamp_ns} {pid} {NEW}\n")
}

/// What was seen of one process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Process {
    /// When it began anew.
    beginnings: Vec<u64>,
    /// By their times.
    seen: Vec<(u64, Mapping)>,
}

/// The code of the processes of a trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mappings {
    processes: HashMap<u32, Process>,
}

impl Mappings {
    /// Adds what the trace in `folder` has; nothing where it has no such file.
    pub fn read(&mut self, folder: &Path) -> io::Result<()> {
        match fs::read(folder.join(FILE_NAME)) {
            Ok(bytes) => self.add(&bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
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
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            // a line without its end is torn
            let parsed = line.strip_suffix(b"\n").and_then(parse_line);
            let Some((timestamp_ns, pid, mapping)) = parsed else {
                continue;
            };
            let process = self.processes.entry(pid).or_default();
            match mapping {
                Some(mapping) => process.seen.push((timestamp_ns, mapping)),
                None => process.beginnings.push(timestamp_ns),
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
        let process = self.processes.get(&pid);
        process.is_some_and(|process| !process.at(timestamp_ns).is_empty())
    }

    /// What lay at `address` of process `pid` at a time: as it was seen last up to then, else
    /// first after it. A process is looked at after its first event, and after those that
    /// come later from time to time.
    #[must_use]
    pub fn find(&self, pid: u32, timestamp_ns: u64, address: u64) -> Option<&Mapping> {
        let seen = self.processes.get(&pid)?.at(timestamp_ns);
        let later = seen.partition_point(|&(at, _)| at <= timestamp_ns);
        let mut in_order = seen[..later].iter().rev().chain(&seen[later..]);
        in_order
            .find(|(_, mapping)| mapping.range.contains(&address))
            .map(|(_, mapping)| mapping)
    }
}

impl Process {
    /// What was seen of the program that it executed at a time.
    fn at(&self, timestamp_ns: u64) -> &[(u64, Mapping)] {
        let next = self.beginnings.partition_point(|&at| at <= timestamp_ns);
        let begin = next.checked_sub(1).map_or(0, |last| self.beginnings[last]);
        let end = self.beginnings.get(next).copied().unwrap_or(u64::MAX);
        let from = self.seen.partition_point(|&(at, _)| at < begin);
        let to = self.seen.partition_point(|&(at, _)| at < end);
        &self.seen[from..to.max(from)]
    }
}

/// Time, process, and what was seen; none: it begins anew.
fn parse_line(line: &[u8]) -> Option<(u64, u32, Option<Mapping>)> {
    let mut words = line.splitn(7, |&byte| byte == b' ');
    let mut word = || std::str::from_utf8(words.next()?).ok();
    let timestamp_ns = word()?.parse().ok()?;
    let pid = word()?.parse().ok()?;
    let first = word()?;
    if first == NEW {
        return Some((timestamp_ns, pid, None));
    }
    let hexadecimal = |word: &str| u64::from_str_radix(word, 16).ok();
    let mapping = Mapping {
        range: hexadecimal(first)?..hexadecimal(word()?)?,
        file_offset: hexadecimal(word()?)?,
        build_id: parse_build_id(word()?)?,
        path: escape::undo(words.next()?)?.into(),
    };
    Some((timestamp_ns, pid, Some(mapping)))
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
            + &format_new(15, 1)
            + &format_look(20, 1, &[mapping(0x1000, "/ls")])
            + &format_new(30, 1);
        assert_eq!(found(&text, 1, 14, 0x1000).unwrap(), "/sh");
        assert_eq!(found(&text, 1, 15, 0x1000).unwrap(), "/ls");
        assert_eq!(found(&text, 1, 30, 0x1000), None);
        let mappings = Mappings::parse(text.as_bytes());
        assert!(mappings.knows(1, 29) && !mappings.knows(1, 30) && !mappings.knows(2, 0));
    }

    #[test]
    fn torn_and_unreadable_lines_are_left_out() {
        for text in [
            "5 7 1000 2000 2000 ab01 /bin/x",
            "5 7 1000 2000 2000 ab0 /bin/x\n",
            "5 7 1000 2000 2000 ab01\n",
            "5 7\n",
            "\n",
            "5 7 1000 2000 2000 ab01 \\x4\n",
        ] {
            assert_eq!(found(text, 7, 5, 0x1000), None, "{text}");
        }
    }
}
