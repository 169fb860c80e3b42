//! Thread names: the hidden file [`FILE_NAME`] of a trace.
//!
//! One line for each name that a thread had, `TIMESTAMP_NS TID COMM`, in no particular order.
//! Backslashes and bytes that are not printable ASCII are written as `\xNN`. Malformed lines,
//! such as the last one of a recorder that was killed, are ignored.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use crate::trace::sidecar::lines;

/// Name of the file in the folder of a trace; hidden, because CTF readers take every other file
/// for a stream.
pub const FILE_NAME: &str = ".tasks";

/// The line, including its end, for the name of `tid` from `timestamp_ns` on.
#[must_use]
pub fn format_line(timestamp_ns: u64, tid: u32, comm: &[u8]) -> String {
    let mut line = format!("{timestamp_ns} {tid} ");
    lines::push_escaped(&mut line, comm);
    line.push('\n');
    line
}

/// Time from which a name holds, in nanoseconds, and the name.
type Name = (u64, Box<[u8]>);

/// Names of threads over time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tasks {
    /// The names of each thread, sorted by time.
    names: HashMap<u32, Vec<Name>>,
}

impl Tasks {
    /// Adds the names of the trace in `dir`; none if it has no such file.
    pub fn read(&mut self, dir: &Path) -> io::Result<()> {
        self.add(&lines::read(&dir.join(FILE_NAME))?);
        Ok(())
    }

    /// Parses the content of such a file.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let mut tasks = Self::default();
        tasks.add(bytes);
        tasks
    }

    fn add(&mut self, bytes: &[u8]) {
        for (timestamp_ns, tid, comm) in lines::parse(bytes) {
            if let Some(comm) = lines::unescape(comm) {
                let names = self.names.entry(tid).or_default();
                names.push((timestamp_ns, comm));
            }
        }
        for names in self.names.values_mut() {
            names.sort_by_key(|&(timestamp_ns, _)| timestamp_ns);
            names.dedup_by(|later, earlier| later.1 == earlier.1);
        }
    }

    /// Name of `tid` at `timestamp_ns`: the latest name up to then, else its first name, else
    /// `<...>`. Thread 0 is `<idle>` on each CPU.
    #[must_use]
    pub fn name_at(&self, tid: u32, timestamp_ns: u64) -> &[u8] {
        if tid == 0 {
            return b"<idle>";
        }
        let Some(names) = self.names.get(&tid) else {
            return b"<...>";
        };
        let after = names.partition_point(|&(from, _)| from <= timestamp_ns);
        names
            .get(after.saturating_sub(1))
            .map_or(b"<...>", |(_, comm)| comm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_any_bytes_is_read_back() {
        let comm = b"a b\\x\xff\n\x1b";
        let tasks = Tasks::parse(format_line(5, 7, comm).as_bytes());
        assert_eq!(tasks.name_at(7, 5), comm);
    }

    #[test]
    fn a_line_is_printable_ascii() {
        assert_eq!(format_line(1, 2, b"x\x1b\\y"), "1 2 x\\x1b\\x5cy\n");
    }

    #[test]
    fn the_latest_name_up_to_a_time_holds() {
        let tasks = Tasks::parse(b"20 1 new\n10 1 old\n");
        assert_eq!(tasks.name_at(1, 19), b"old");
        assert_eq!(tasks.name_at(1, 20), b"new");
    }

    #[test]
    fn before_its_first_name_a_thread_has_that_name() {
        assert_eq!(Tasks::parse(b"20 1 first\n").name_at(1, 3), b"first");
    }

    #[test]
    fn unknown_threads_and_idle_have_placeholders() {
        assert_eq!(Tasks::default().name_at(4, 0), b"<...>");
        assert_eq!(Tasks::default().name_at(0, 0), b"<idle>");
    }

    #[test]
    fn malformed_lines_are_ignored() {
        let tasks = Tasks::parse(b"x\n1 1 a\\x\n1 1 a\\x4\n\n1 1\n1 1 good\n2 1 ba");
        assert_eq!(tasks.name_at(1, 9), b"good");
    }
}
