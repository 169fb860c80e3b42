//! Joins the entry and the exit of each system call.

use std::sync::Arc;

use crate::trace::ctf::Event;
use crate::trace::folder::Trace;
use crate::trace::{Class, Value};
use crate::view::calls::roles::{CallId, Role, Roles};
use crate::view::distribution::Distribution;
use crate::view::ids::Map;
use crate::view::line::Line;
use crate::view::losses::Losses;
use crate::view::pass::Analysis;
use crate::view::report::text::push_arguments;
use crate::view::who::Comm;

/// What calls are summed up by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Group {
    /// By process and call.
    #[default]
    Process,
    /// By thread and call.
    Thread,
    /// By call.
    Call,
}

/// What calls to keep and how.
#[derive(Clone, Copy, Debug)]
struct Options {
    group: Group,
    /// Calls that take at least so long are kept one by one.
    slower_ns: Option<u64>,
}

/// An entry.
#[derive(Clone, Debug)]
struct Entry {
    call: CallId,
    cpu: u32,
    time_ns: u64,
    /// Its arguments, if single calls are kept.
    arguments: Option<Box<[u8]>>,
}

/// An exit.
#[derive(Clone, Copy, Debug)]
struct Exit {
    call: CallId,
    cpu: u32,
    time_ns: u64,
    result: i64,
    tid: u32,
    pid: u32,
    comm: Option<Comm>,
}

/// What is known of a thread that has had an event.
#[derive(Debug, Default)]
struct Thread {
    /// The first event of the piece, if it was an exit: its entry is in an earlier one.
    first: Option<Box<Exit>>,
    /// The call that it is in.
    entry: Option<Entry>,
}

/// Calls that are summed up together.
#[derive(Debug, Default)]
pub(super) struct Sum {
    pub(super) times: Distribution,
    /// By error number.
    pub(super) errors: Vec<(u16, u64)>,
}

/// The calls of a process or thread, by [`CallId`].
#[derive(Debug, Default)]
pub(super) struct Caller {
    pub(super) comm: Option<Comm>,
    pub(super) calls: Vec<Option<Box<Sum>>>,
}

/// A call that is kept.
#[derive(Debug)]
pub(super) struct Single {
    pub(super) start_ns: u64,
    pub(super) time_ns: u64,
    pub(super) cpu: u32,
    pub(super) tid: u32,
    pub(super) pid: u32,
    pub(super) comm: Option<Comm>,
    pub(super) call: CallId,
    pub(super) arguments: Box<[u8]>,
    pub(super) result: i64,
}

/// Calls of which only a part is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Apart {
    /// Made before the first event of their thread.
    pub(super) at_start: u64,
    /// Not returned yet.
    pub(super) at_end: u64,
    /// Of system calls that do not return.
    pub(super) without_return: u64,
    /// Both events are there, but others may be missing between them.
    pub(super) over_loss: u64,
    pub(super) without_entry: u64,
    pub(super) without_exit: u64,
}

impl Apart {
    fn add(&mut self, other: Self) {
        self.at_start += other.at_start;
        self.at_end += other.at_end;
        self.without_return += other.without_return;
        self.over_loss += other.over_loss;
        self.without_entry += other.without_entry;
        self.without_exit += other.without_exit;
    }
}

/// Sums up system calls.
#[derive(Debug)]
pub struct Calls<'t> {
    roles: &'t Roles,
    options: Options,
    losses: Arc<Losses>,
    threads: Map<Thread>,
    pub(super) callers: Map<Caller>,
    pub(super) singles: Vec<Single>,
    pub(super) apart: Apart,
}

impl<'t> Calls<'t> {
    /// No calls yet. Single calls that take at least `slower_ns` are kept.
    #[must_use]
    pub fn new(
        roles: &'t Roles,
        group: Group,
        slower_ns: Option<u64>,
        losses: &Arc<Losses>,
    ) -> Self {
        Self {
            roles,
            options: Options { group, slower_ns },
            losses: Arc::clone(losses),
            threads: Map::default(),
            callers: Map::default(),
            singles: Vec::new(),
            apart: Apart::default(),
        }
    }

    pub(super) const fn roles(&self) -> &'t Roles {
        self.roles
    }

    /// Counts the calls whose events are not all in the trace.
    pub(super) fn finish(&mut self) {
        for (_, thread) in self.threads.drain() {
            if let Some(exit) = thread.first
                && !is_of_new_thread(self.roles, &exit)
            {
                self.apart.at_start += 1;
            }
            if let Some(entry) = thread.entry {
                if self.roles.is_without_return(entry.call) {
                    self.apart.without_return += 1;
                } else {
                    self.apart.at_end += 1;
                }
            }
        }
    }

    fn entry(&mut self, event: &Event<'_>, call: CallId) {
        let arguments = self.options.slower_ns.map(|_| {
            let mut line = Line::default();
            push_arguments(&mut line, event, usize::MAX);
            line.0.into()
        });
        let entry = Entry {
            call,
            cpu: event.cpu,
            time_ns: event.timestamp_ns,
            arguments,
        };
        let thread = self.threads.entry(event.tid).or_default();
        if let Some(before) = thread.entry.replace(entry) {
            self.abandon(&before);
        }
    }

    /// Counts a call that ended unseen.
    #[cold]
    fn abandon(&mut self, entry: &Entry) {
        if self.roles.is_without_return(entry.call) {
            self.apart.without_return += 1;
        } else {
            self.apart.without_exit += 1;
        }
    }

    fn exit(&mut self, event: &Event<'_>, call: CallId, result: Option<usize>) {
        let exit = exit_of(event, call, result);
        match self.threads.get_mut(&event.tid) {
            None => {
                let thread = Thread {
                    first: Some(Box::new(exit)),
                    entry: None,
                };
                self.threads.insert(event.tid, thread);
            }
            Some(thread) => match thread.entry.take() {
                Some(entry) => self.pair(entry, &exit),
                None => self.lone(&exit),
            },
        }
    }

    #[cold]
    fn lone(&mut self, exit: &Exit) {
        if !is_of_new_thread(self.roles, exit) {
            self.apart.without_entry += 1;
        }
    }

    fn pair(&mut self, entry: Entry, exit: &Exit) {
        if entry.call != exit.call {
            self.abandon(&entry);
            self.lone(exit);
            return;
        }
        let between = |cpu| self.losses.are_between(cpu, entry.time_ns, exit.time_ns);
        if between(entry.cpu) || between(exit.cpu) {
            self.apart.over_loss += 1;
            return;
        }
        self.add(entry, exit);
    }

    /// Adds a call that is one event.
    fn whole(&mut self, event: &Event<'_>, call: CallId, result: usize) {
        if number(event, result + 2) != 0 {
            self.apart.without_return += 1;
            return;
        }
        let Ok(time_ns) = u64::try_from(number(event, result + 1)) else {
            self.apart.at_start += 1;
            return;
        };
        let arguments = self.options.slower_ns.map(|_| {
            let mut line = Line::default();
            push_arguments(&mut line, event, result);
            line.0.into()
        });
        let entry = Entry {
            call,
            cpu: event.cpu,
            time_ns: event.timestamp_ns.saturating_sub(time_ns),
            arguments,
        };
        let exit = exit_of(event, call, Some(result));
        self.add(entry, &exit);
    }

    fn add(&mut self, entry: Entry, exit: &Exit) {
        let time_ns = exit.time_ns.saturating_sub(entry.time_ns);
        let id = match self.options.group {
            Group::Process => exit.pid,
            Group::Thread => exit.tid,
            Group::Call => 0,
        };
        let caller = self.callers.entry(id).or_default();
        if exit.comm.is_some() {
            Comm::merge(&mut caller.comm, exit.comm);
        }
        let index = exit.call.0 as usize;
        if caller.calls.len() <= index {
            caller.calls.resize_with(index + 1, || None);
        }
        let sum = caller.calls[index].get_or_insert_default();
        sum.times.add(time_ns);
        if let Some(error) = error_of(exit.result) {
            sum.add_errors(error, 1);
        }
        if self
            .options
            .slower_ns
            .is_some_and(|slower| time_ns >= slower)
        {
            self.singles.push(Single {
                start_ns: entry.time_ns,
                time_ns,
                cpu: exit.cpu,
                tid: exit.tid,
                pid: exit.pid,
                comm: exit.comm,
                call: exit.call,
                arguments: entry.arguments.unwrap_or_default(),
                result: exit.result,
            });
        }
    }
}

impl Sum {
    fn add_errors(&mut self, error: u16, count: u64) {
        match self.errors.iter_mut().find(|(known, _)| *known == error) {
            Some((_, known)) => *known += count,
            None => self.errors.push((error, count)),
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.times.merge(&other.times);
        for &(error, count) in &other.errors {
            self.add_errors(error, count);
        }
    }
}

/// The error number that a result means, if any.
pub(super) fn error_of(result: i64) -> Option<u16> {
    (-4095..0)
        .contains(&result)
        .then_some(result.unsigned_abs() as u16)
}

/// A new thread returns from a call that its parent made.
fn is_of_new_thread(roles: &Roles, exit: &Exit) -> bool {
    exit.result == 0 && roles.is_clone(exit.call)
}

fn exit_of(event: &Event<'_>, call: CallId, result: Option<usize>) -> Exit {
    let mut comm = None;
    if let Some(name) = event.comm {
        Comm::note(&mut comm, name, event.tid == event.pid);
    }
    Exit {
        call,
        cpu: event.cpu,
        time_ns: event.timestamp_ns,
        result: result.map_or(0, |index| number(event, index)),
        tid: event.tid,
        pid: event.pid,
        comm,
    }
}

fn number(event: &Event<'_>, index: usize) -> i64 {
    match event.fields().nth(index) {
        Some((_, Value::Number(number) | Value::Labeled(number, _))) => number.raw as i64,
        _ => 0,
    }
}

impl Analysis for Calls<'_> {
    const ORDERED: bool = true;

    fn needs(&self, class: &Class) -> bool {
        self.roles.of(class) != Role::Other
    }

    fn event(&mut self, event: &Event<'_>) {
        match self.roles.of(event.class) {
            Role::Other => {}
            Role::Entry(call) => self.entry(event, call),
            Role::Exit(call, result) => self.exit(event, call, result),
            Role::Whole(call, result) => self.whole(event, call, result),
            Role::RawEntry(index) => {
                let call = self.roles.of_number(number(event, index) as u64);
                self.entry(event, call);
            }
            Role::RawExit(index, result) => {
                let call = self.roles.of_number(number(event, index) as u64);
                self.exit(event, call, result);
            }
        }
    }

    fn merge(&mut self, later: Self) {
        for (tid, mut next) in later.threads {
            let Some(thread) = self.threads.get_mut(&tid) else {
                self.threads.insert(tid, next);
                continue;
            };
            let before = std::mem::replace(&mut thread.entry, next.entry.take());
            match (before, next.first) {
                (Some(entry), Some(exit)) => self.pair(entry, &exit),
                (None, Some(exit)) => self.lone(&exit),
                (Some(entry), None) => self.abandon(&entry),
                (None, None) => {}
            }
        }
        for (id, more) in later.callers {
            let caller = self.callers.entry(id).or_default();
            Comm::merge(&mut caller.comm, more.comm);
            if caller.calls.len() < more.calls.len() {
                caller.calls.resize_with(more.calls.len(), || None);
            }
            for (sum, more) in caller.calls.iter_mut().zip(more.calls) {
                match (sum, more) {
                    (Some(sum), Some(more)) => sum.merge(&more),
                    (sum @ None, more) => *sum = more,
                    (Some(_), None) => {}
                }
            }
        }
        self.singles.extend(later.singles);
        self.apart.add(later.apart);
    }
}

impl Single {
    /// The name of the thread.
    pub(super) fn comm(&self, trace: &Trace) -> Vec<u8> {
        match &self.comm {
            Some(comm) => comm.name().to_vec(),
            None => trace.tasks().name_at(self.tid, self.start_ns).to_vec(),
        }
    }
}
