//! What can be recorded with each event about the thread in which it happens:
//! `--context comm,uid`.

use super::{Base, Fetch, Load, Memory};
use crate::{
    btf::{KernelBtf, Kind, Named},
    event::{Display, Field, FieldType, IntegerType},
    names::Suggestions,
};

/// A context, and where a program finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// Its name and type in the trace.
    pub field: Field,
    /// Where its value comes from.
    pub source: ContextSource,
}

/// Where a context comes from.
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
    /// A number of the kernel's description of the thread, less `minus`.
    Task {
        /// The way to it, from [`Base::Task`].
        fetch: Fetch,
        /// What is subtracted.
        minus: i32,
    },
}

/// Why a context cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// There is none of that name.
    #[error("there is no context `{name}`{suggestions}; there are {}", NAMES.join(", "))]
    NoSuchContext {
        /// As typed.
        name: String,
        /// What may have been meant.
        suggestions: Suggestions,
    },
    /// The kernel does not have what it is made of.
    #[error("this kernel has no `task_struct.{0}`, which context `{1}` is read from")]
    NoMember(&'static str, String),
    /// The types of the kernel are not known.
    #[error("context `{name}` needs the kernel's types: {source}")]
    Btf {
        /// As typed.
        name: String,
        /// Cause.
        source: crate::btf::KernelBtfError,
    },
}

/// All contexts, as users type them.
pub const NAMES: [&str; 8] = [
    "comm", "uid", "gid", "cgroup", "prio", "nice", "ppid", "procname",
];

/// Priorities are counted from the one behind those of real time (`MAX_RT_PRIO`,
/// `include/linux/sched/prio.h`), as LTTng does.
const MAX_RT_PRIO: i32 = 100;
/// The priority of nice value 0 (`DEFAULT_PRIO`).
const DEFAULT_PRIO: i32 = 120;
/// Bytes of the name of a thread.
const COMM_LEN: u32 = 16;

impl Context {
    /// The context of a name; `btf` gives the kernel's types where they are needed.
    pub fn named<'b>(
        name: &str,
        btf: impl FnOnce() -> Result<&'b KernelBtf, crate::btf::KernelBtfError>,
    ) -> Result<Self, ContextError> {
        let number = |bytes, signed| {
            FieldType::Integer(IntegerType::natural(bytes, signed, Display::Decimal))
        };
        let (field, ty, source) = match name {
            "comm" | "procname" => {
                let comm = FieldType::Array {
                    element: IntegerType::natural(1, false, Display::Text),
                    length: COMM_LEN,
                };
                ("procname", comm, ContextSource::Comm)
            }
            "uid" => ("uid", number(4, false), ContextSource::Uid),
            "gid" => ("gid", number(4, false), ContextSource::Gid),
            "cgroup" => ("cgroup", number(8, false), ContextSource::Cgroup),
            "prio" | "nice" | "ppid" => {
                let btf = btf().map_err(|source| ContextError::Btf {
                    name: name.to_owned(),
                    source,
                })?;
                let (member, minus, steps): (_, _, &[&'static str]) = match name {
                    "prio" => ("prio", MAX_RT_PRIO, &[]),
                    "nice" => ("static_prio", DEFAULT_PRIO, &[]),
                    _ => ("tgid", 0, &["real_parent"]),
                };
                let offset = |member: &'static str| {
                    task_offset(btf, member)
                        .ok_or_else(|| ContextError::NoMember(member, name.to_owned()))
                };
                let fetch = Fetch {
                    base: Base::Task,
                    steps: steps
                        .iter()
                        .map(|step| offset(step))
                        .collect::<Result<_, _>>()?,
                    load: Load::Number {
                        offset: offset(member)?,
                        size: 4,
                        bits: None,
                        memory: Memory::Kernel,
                    },
                };
                (name, number(4, true), ContextSource::Task { fetch, minus })
            }
            _ => {
                return Err(ContextError::NoSuchContext {
                    name: name.to_owned(),
                    suggestions: Suggestions::near(name, NAMES.into_iter()),
                });
            }
        };
        Ok(Self {
            field: Field {
                name: field.to_owned(),
                ty,
            },
            source,
        })
    }

    /// Bytes of its value.
    #[must_use]
    pub fn len(&self) -> u32 {
        match self.field.ty {
            FieldType::Integer(ty) => u32::from(ty.size_bits / 8),
            _ => COMM_LEN,
        }
    }

    /// It always has some.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }
}

/// Puts contexts into their order in an event: the largest first, so that none needs padding
/// before it.
pub fn sort(contexts: &mut [Context]) {
    let alignment = |context: &Context| match context.field.ty {
        FieldType::Integer(ty) => ty.align_bits,
        _ => 8,
    };
    contexts.sort_by_key(|context| std::cmp::Reverse(alignment(context)));
}

/// Bytes of all of them, up to the payload.
#[must_use]
pub fn len(contexts: &[Context]) -> u32 {
    let len: u32 = contexts.iter().map(Context::len).sum();
    len.next_multiple_of(8)
}

/// In bytes.
fn task_offset(btf: &KernelBtf, member: &str) -> Option<i64> {
    let task = btf.vmlinux().find(Named::Struct, "task_struct")?;
    let Kind::Composite(task) = task.kind() else {
        return None;
    };
    Some((task.member(member)?.bit_offset / 8) as i64)
}

#[cfg(test)]
#[path = "context_tests.rs"]
mod tests;
