//! Names of threads: the hidden file [`FILE_NAME`] of a trace.
//!
//! One line for each name that a thread had: `TIMESTAMP_NS TID COMM`, in no particular
//! order. Bytes of a name that are not printable ASCII, and backslashes, are written as
//! `\xNN`. Lines that cannot be read, like the last one of a recorder that was killed,
//! are left out.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use crate::trace::sidecar::lines;

/// Name of the file in the folder of a trace; hidden, since readers of CTF take every
/// other file for a stream.
pub const FILE_NAME: &str = ".tasks";

/// The line, with its end, that says what `tid` was called from `timestamp_ns` on.
#[must_use]
pub fn format_line(timestamp_ns: u64, tid: u32, comm: &[u8]) -> String {
    let mut line = format!("{timestamp_ns} {tid} ");
    lines::push_escaped(&mut line, comm);
    line.push('\n');
    line
}

/// From when on, in nanoseconds, and what.
type Name = (u64, Box<[u8]>);

/// What threads were called, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tasks {
    /// For each thread its names, by the time from which they hold.
    names: HashMap<u32, Vec<Name>>,
}

impl Tasks {
    /// Adds the names of the trace in folder `dir`; none where it has no such file.
    pub fn read(&mut self, dir: &Path) -> io::Result<()> {
        self.add(&lines::read(&dir.join(FILE_NAME))?);
        Ok(())
    }

    /// Reads the content of such a file.
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

    /// What `tid` was called at `timestamp_ns`: the latest name up to then, else its
    /// first name, else `<...>`. Thread 0 is each CPU's `<idle>`.
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
    fn a_name_of_any_bytes_reads_back() {
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
    fn unknown_threads_and_idle_have_stand_ins() {
        assert_eq!(Tasks::default().name_at(4, 0), b"<...>");
        assert_eq!(Tasks::default().name_at(0, 0), b"<idle>");
    }

    #[test]
    fn torn_and_unreadable_lines_are_left_out() {
        let tasks = Tasks::parse(b"x\n1 1 a\\x\n1 1 a\\x4\n\n1 1\n1 1 good\n2 1 ba");
        assert_eq!(tasks.name_at(1, 9), b"good");
    }
}
