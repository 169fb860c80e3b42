//! What is known of processes of which no stack was seen yet.

use std::collections::{HashMap, VecDeque};
use std::mem;

/// Processes that have ended are remembered so far: stacks of them may be on their way, as long
/// as it takes a drain to get to them.
const MAX_ENDED: usize = 4096;

/// Bytes of lines that are remembered; when there are more, all are forgotten, and processes
/// that still live are looked at in `/proc` again.
const MAX_BYTES: usize = 64 << 20;

/// Lines for the notes, should they be wanted.
#[derive(Debug, Default)]
pub(super) struct Unseen {
    living: HashMap<u32, History>,
    /// The latest that ended last.
    ended: VecDeque<(u32, History)>,
    /// Of all lines.
    bytes: usize,
}

/// What happened to the processes that a number meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct History {
    pub(super) lines: String,
    /// Who made it.
    pub(super) parents: Vec<u32>,
    /// It executed a program, from when on everything is known.
    pub(super) executed: bool,
}

impl Unseen {
    /// Remembers a line of a process.
    pub(super) fn keep(&mut self, pid: u32, line: &str) -> &mut History {
        self.bytes += line.len();
        if self.bytes > MAX_BYTES {
            *self = Self::default();
            self.bytes = line.len();
        }
        let history = self.living.entry(pid).or_default();
        history.lines.push_str(line);
        history
    }

    /// Forgets a process when many others have ended after it.
    pub(super) fn end(&mut self, pid: u32) {
        let Some(history) = self.living.remove(&pid) else {
            return;
        };
        if self.ended.len() == MAX_ENDED
            && let Some((_, forgotten)) = self.ended.pop_front()
        {
            self.bytes -= forgotten.lines.len();
        }
        self.ended.push_back((pid, history));
    }

    /// Gives away what is known of all processes that `pid` meant.
    pub(super) fn take(&mut self, pid: u32) -> History {
        let mut found = Vec::new();
        self.ended.retain_mut(|(ended, history)| {
            let is_other = *ended != pid;
            if !is_other {
                found.push(mem::take(history));
            }
            is_other
        });
        found.extend(self.living.remove(&pid));
        let mut all = History::default();
        for history in found {
            self.bytes -= history.lines.len();
            all.lines += &history.lines;
            all.parents.extend(history.parents);
            all.executed = history.executed;
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_processes_of_a_number_are_given_away_once() {
        let mut unseen = Unseen::default();
        unseen.keep(7, "1 7 a\n").executed = true;
        unseen.end(7);
        unseen.keep(7, "2 7 b\n").parents.push(3);
        unseen.keep(8, "2 8 c\n");
        let expected = History {
            lines: "1 7 a\n2 7 b\n".to_owned(),
            parents: vec![3],
            executed: false,
        };
        assert_eq!(unseen.take(7), expected);
        assert_eq!(unseen.take(7), History::default());
        assert_eq!(unseen.bytes, "2 8 c\n".len());
    }

    #[test]
    fn those_that_ended_first_are_forgotten_first() {
        let mut unseen = Unseen::default();
        for pid in 0..=MAX_ENDED as u32 {
            unseen.keep(pid, "line\n");
            unseen.end(pid);
            unseen.end(pid);
        }
        assert_eq!(unseen.take(0), History::default());
        assert_eq!(unseen.take(1).lines, "line\n");
        assert_eq!(unseen.bytes, "line\n".len() * (MAX_ENDED - 1));
    }

    #[test]
    fn memory_has_a_bound() {
        let mut unseen = Unseen::default();
        let line = "x".repeat(MAX_BYTES / 2);
        unseen.keep(1, &line);
        unseen.keep(2, &line);
        assert_eq!(unseen.living.len(), 2);
        unseen.keep(3, "more\n");
        assert_eq!((unseen.living.len(), unseen.bytes), (1, 5));
    }
}
