//! Context fields: what is recorded with each event about its thread (`--context comm,uid`).

use crate::kernel::btf::{Btf, KernelBtf};
use crate::names::Suggestions;
use crate::probe::fetch::error::FetchProblem;
use crate::probe::fetch::list::FetchList;
use crate::probe::fetch::scope::Scope;
use crate::probe::fetch::value::{Fetch, Fetched, Load};
use crate::trace::event::{Display, Field, FieldType, IntegerType};

/// A context field and its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextField {
    /// Its name and type in the trace.
    pub field: Field,
    /// Source of its value.
    pub source: ContextSource,
}

/// Source of a context field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContextSource {
    /// The name of the thread.
    Comm,
    /// The user.
    Uid,
    /// The group.
    Gid,
    /// The cgroup of version 2.
    Cgroup,
    /// A number of `struct task_struct`, less `minus`.
    Task {
        /// How to fetch it, from [`Base::Task`](super::Base::Task).
        fetch: Fetch,
        /// What is subtracted.
        minus: i32,
    },
    /// A number of the entry of a `struct pid` for the namespace of the thread.
    Entry {
        /// How to find the entry.
        entry: Box<Entry>,
        /// How to fetch the number, from [`Base::Entry`](super::Base::Entry).
        fetch: Fetch,
    },
}

/// How to find the number of a process (`struct pid`) in the namespace of the thread: it has
/// entries for the namespace of its process and all enclosing ones, the outermost first
/// (`pid_nr_ns`, `kernel/pid.c`). A process in an outer namespace has none, and its number is 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// How many namespaces enclose that of the thread.
    pub level: Fetch,
    /// The same for the process with the number.
    pub last: Fetch,
    /// The address of the first entry.
    pub first: Fetch,
    /// Bytes of an entry.
    pub len: i32,
}

/// Why a context field is not available.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// Unknown name.
    #[error("unknown context field `{name}`{suggestions}; available: {}", names().join(", "))]
    NoSuchContext {
        /// As typed.
        name: String,
        /// Similar names.
        suggestions: Suggestions,
    },
    /// The kernel lacks a structure or member that it is read from.
    #[error("the kernel does not provide context field `{name}` (`{way}`): {problem}")]
    NoWay {
        /// As typed.
        name: String,
        /// From [`Scope::thread`].
        way: String,
        /// Cause.
        problem: Box<FetchProblem>,
    },
    /// The kernel has no usable BTF.
    #[error("context field `{name}` needs the kernel's BTF: {cause}")]
    Btf {
        /// As typed.
        name: String,
        /// Cause.
        cause: crate::kernel::btf::KernelBtfError,
    },
}

/// Recorded with every event.
const EVERYWHERE: [&str; 2] = ["pid", "tid"];

/// Provided by BPF helpers.
const HELPERS: [&str; 5] = ["comm", "procname", "uid", "gid", "cgroup"];

/// Priorities are relative to the first one after the real-time priorities (`MAX_RT_PRIO`,
/// `include/linux/sched/prio.h`), as LTTng does.
const MAX_RT_PRIO: i32 = 100;
/// The priority of nice value 0 (`DEFAULT_PRIO`).
const DEFAULT_PRIO: i32 = 120;

/// Members of `struct task_struct`: name, expression, and what is subtracted.
/// Users and groups are those of the outermost namespace; a namespace is the number of its
/// inode, as in `/proc/PID/ns`.
const OF_TASK: [(&str, &str, i32); 14] = [
    ("prio", "task->prio", MAX_RT_PRIO),
    ("nice", "task->static_prio", DEFAULT_PRIO),
    ("ppid", "task->real_parent->tgid", 0),
    ("euid", "task->cred->euid.val", 0),
    ("suid", "task->cred->suid.val", 0),
    ("egid", "task->cred->egid.val", 0),
    ("sgid", "task->cred->sgid.val", 0),
    ("cgroup_ns", "task->nsproxy->cgroup_ns->ns.inum", 0),
    ("ipc_ns", "task->nsproxy->ipc_ns->ns.inum", 0),
    ("mnt_ns", "task->nsproxy->mnt_ns->ns.inum", 0),
    ("net_ns", "task->nsproxy->net_ns->ns.inum", 0),
    ("time_ns", "task->nsproxy->time_ns->ns.inum", 0),
    ("user_ns", "task->cred->user_ns->ns.inum", 0),
    ("uts_ns", "task->nsproxy->uts_ns->ns.inum", 0),
];

/// The number of the thread, and that of its process: element `PIDTYPE_TGID` of an array
/// (`include/linux/pid_types.h`).
const THREAD: &str = "task->thread_pid";
const PROCESS: &str = "task->signal->pids[1]";

/// Members of entries: name, the `struct pid` with the entry, and the expression on the entry.
const OF_ENTRY: [(&str, &str, &str); 4] = [
    ("vtid", THREAD, "entry->nr"),
    ("vpid", PROCESS, "entry->nr"),
    ("vppid", "task->real_parent->signal->pids[1]", "entry->nr"),
    ("pid_ns", THREAD, "entry->ns->ns.inum"),
];

/// Size of a thread's name in bytes.
const COMM_LEN: u32 = 16;

/// Names of all context fields.
#[must_use]
pub fn names() -> Vec<&'static str> {
    let of_task = OF_TASK.iter().map(|&(name, ..)| name);
    let of_entry = OF_ENTRY.iter().map(|&(name, ..)| name);
    let plain = HELPERS.into_iter().chain(EVERYWHERE);
    plain.chain(of_task).chain(of_entry).collect()
}

impl ContextField {
    /// The context field with a name, `None` for what every event has; `btf` provides the
    /// kernel's types if they are needed.
    pub fn named<'b>(
        name: &str,
        btf: impl FnOnce() -> Result<&'b KernelBtf, crate::kernel::btf::KernelBtfError>,
    ) -> Result<Option<Self>, ContextError> {
        if EVERYWHERE.contains(&name) {
            return Ok(None);
        }
        if let Some(context) = Self::of_helper(name) {
            return Ok(Some(context));
        }
        let btf = || match btf() {
            Ok(btf) => Ok(btf.vmlinux()),
            Err(cause) => Err(ContextError::Btf {
                name: name.to_owned(),
                cause,
            }),
        };
        if let Some(&(name, way, minus)) = OF_TASK.iter().find(|row| row.0 == name) {
            let Fetched { field, fetch } = fetched(btf()?, name, way)?;
            let source = ContextSource::Task { fetch, minus };
            return Ok(Some(Self { field, source }));
        }
        if let Some(&(name, number, way)) = OF_ENTRY.iter().find(|row| row.0 == name) {
            let btf = btf()?;
            let Fetched { field, fetch } = fetched(btf, name, way)?;
            let entry = Box::new(Entry::of(btf, name, number)?);
            let source = ContextSource::Entry { entry, fetch };
            return Ok(Some(Self { field, source }));
        }
        Err(ContextError::NoSuchContext {
            name: name.to_owned(),
            suggestions: Suggestions::near(name, names().into_iter()),
        })
    }

    /// Fields that need no BTF.
    fn of_helper(name: &str) -> Option<Self> {
        let number =
            |bytes| FieldType::Integer(IntegerType::natural(bytes, false, Display::Decimal));
        let (name, ty, source) = match name {
            "comm" | "procname" => {
                let comm = FieldType::Array {
                    element: IntegerType::natural(1, false, Display::Text),
                    length: COMM_LEN,
                };
                ("procname", comm, ContextSource::Comm)
            }
            "uid" => ("uid", number(4), ContextSource::Uid),
            "gid" => ("gid", number(4), ContextSource::Gid),
            "cgroup" => ("cgroup", number(8), ContextSource::Cgroup),
            _ => return None,
        };
        let name = name.to_owned();
        Some(Self {
            field: Field { name, ty },
            source,
        })
    }

    /// Size of its value in bytes.
    #[must_use]
    pub fn len(&self) -> u32 {
        match self.field.ty {
            FieldType::Integer(ty) => u32::from(ty.size_bits / 8),
            _ => COMM_LEN,
        }
    }

    /// Always false.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }
}

/// Sorts context fields as they are laid out: the largest first, so that none needs padding.
pub fn sort(contexts: &mut [ContextField]) {
    let alignment = |context: &ContextField| match context.field.ty {
        FieldType::Integer(ty) => ty.align_bits,
        _ => 8,
    };
    contexts.sort_by_key(|context| std::cmp::Reverse(alignment(context)));
}

/// Size of all of them in bytes, up to the payload.
#[must_use]
pub fn len(contexts: &[ContextField]) -> u32 {
    let len: u32 = contexts.iter().map(ContextField::len).sum();
    len.next_multiple_of(8)
}

impl Entry {
    fn of(btf: &Btf, name: &str, number: &str) -> Result<Self, ContextError> {
        let way = |way: &str| Ok(fetched(btf, name, way)?.fetch);
        Ok(Self {
            level: way(&format!("{THREAD}->level"))?,
            last: way(&format!("{number}->level"))?,
            first: way(&format!("&{number}->numbers"))?,
            len: match way("&entry[1]")?.load {
                Load::AddressOf { offset } => offset as i32,
                _ => 0,
            },
        })
    }
}

/// Resolves an expression as the field `name`.
fn fetched(btf: &Btf, name: &str, way: &str) -> Result<Fetched, ContextError> {
    let list = FetchList::parse(&format!("{name}={way}"));
    list.and_then(|list| list.resolve(&Scope::thread(btf)))
        .map(|mut fetched| fetched.remove(0))
        .map_err(|error| ContextError::NoWay {
            name: name.to_owned(),
            way: way.to_owned(),
            problem: Box::new(error.problem().clone()),
        })
}

#[cfg(test)]
#[path = "context_tests.rs"]
mod tests;
