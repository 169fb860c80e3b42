//! Ids of processes and threads: those of the recorder's PID namespace and the kernel's.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::OnceLock;
use std::{fs, io, process};

use anyhow::{Context, Result};

use crate::record::namespace::programs::{self, TaskIterator};
use crate::record::namespace::{is_initial, name};
use crate::sys::bpf;

/// The PID namespace of the recorder, which is not the initial one.
pub(in crate::record) struct PidNamespace {
    /// Such as `pid:[4026532201]`.
    pub(in crate::record) name: String,
    own_id: OwnedFd,
    /// The recorder's process in the initial namespace.
    own_outer: u32,
    tasks: TaskIterator,
}

/// The PID namespace of this process; `None` if it is the initial one, whose ids are the kernel's.
///
/// # Errors
/// If its ids cannot be translated.
pub(in crate::record) fn own() -> Result<Option<&'static PidNamespace>> {
    static OWN: OnceLock<Option<PidNamespace>> = OnceLock::new();
    if let Some(own) = OWN.get() {
        return Ok(own.as_ref());
    }
    let found = PidNamespace::find()?;
    Ok(OWN.get_or_init(|| found).as_ref())
}

/// The id that this process has in events.
pub(in crate::record) fn own_id() -> Result<u32> {
    Ok(own()?.map_or_else(process::id, |namespace| namespace.own_outer))
}

impl PidNamespace {
    fn find() -> Result<Option<Self>> {
        let name = name("pid");
        if name.as_deref().is_some_and(|name| is_initial("pid", name)) {
            return Ok(None);
        }
        let translate = || {
            let own_id = programs::own_id()?;
            let own_outer = bpf::run_raw(own_id.as_fd(), &[])?;
            // `/proc` may be that of another namespace, or missing.
            if name.is_none() && own_outer == process::id() {
                return Ok(None);
            }
            let tasks = TaskIterator::new(Path::new("/sys"))?;
            tasks.read()?;
            Ok::<_, anyhow::Error>(Some((own_id, own_outer, tasks)))
        };
        let name = name.clone().unwrap_or_else(|| "pid:[unknown]".to_owned());
        let found = translate().with_context(|| {
            format!(
                "cannot translate the process IDs of PID namespace `{name}` to those of the \
                 kernel; run tracer in the initial PID namespace"
            )
        })?;
        Ok(found.map(|(own_id, own_outer, tasks)| Self {
            name,
            own_id,
            own_outer,
            tasks,
        }))
    }

    /// The threads of the namespace now.
    pub(in crate::record) fn tasks(&self) -> io::Result<Tasks> {
        let threads = self.tasks.read()?;
        let ids = threads.iter().map(|thread| (thread.inner, thread.outer));
        Ok(Tasks(ids.collect()))
    }

    /// A program that returns the kernel's id of the process that runs it.
    pub(in crate::record) fn own_id_program(&self) -> io::Result<OwnedFd> {
        self.own_id.try_clone()
    }
}

/// The threads of a PID namespace at some time: for each of its ids the kernel's.
#[derive(Clone, Debug, Default)]
pub(in crate::record) struct Tasks(HashMap<u32, u32>);

impl Tasks {
    /// The kernel's id of a thread or process.
    pub(in crate::record) fn outer(&self, inner: u32) -> Option<u32> {
        self.0.get(&inner).copied()
    }
}

/// The id in `/proc` of the thread that the kernel's id `outer` stands for, if it is there.
pub(in crate::record) fn id_in_proc(outer: u32) -> Option<u32> {
    if matches!(own(), Ok(None)) {
        return Some(outer);
    }
    match ProcIds::now() {
        ProcIds::Kernel => Some(outer),
        ProcIds::Own(Tasks(ids)) => {
            let mut ids = ids.into_iter();
            ids.find_map(|(inner, of)| (of == outer).then_some(inner))
        }
        ProcIds::Unknown => None,
    }
}

/// What the ids in `/proc` stand for.
#[derive(Clone, Debug)]
pub(in crate::record) enum ProcIds {
    /// They are the kernel's.
    Kernel,
    /// They are those of the recorder's namespace.
    Own(Tasks),
    /// `/proc` is that of another namespace.
    Unknown,
}

impl ProcIds {
    /// Finds out, for the threads that exist now.
    pub(in crate::record) fn now() -> Self {
        match own() {
            Ok(None) if of_proc_self().is_empty() => Self::Unknown,
            Ok(None) => Self::Kernel,
            Ok(Some(namespace)) => Self::of(namespace, &of_proc_self()),
            Err(_) => Self::Unknown,
        }
    }

    /// `shown`: the ids of the recorder from the namespace of `/proc` inwards.
    fn of(namespace: &PidNamespace, shown: &[u32]) -> Self {
        match shown {
            [_] => namespace.tasks().map_or(Self::Unknown, Self::Own),
            [first, ..] if *first == namespace.own_outer => Self::Kernel,
            _ => Self::Unknown,
        }
    }

    /// The kernel's id of a thread or process in `/proc`.
    pub(in crate::record) fn kernel_id(&self, id: u32) -> Option<u32> {
        match self {
            Self::Kernel => Some(id),
            Self::Own(tasks) => tasks.outer(id),
            Self::Unknown => None,
        }
    }
}

/// The ids of this process, from the namespace of `/proc` inwards. Empty if it is not there.
fn of_proc_self() -> Vec<u32> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ids = status.lines().find_map(|line| line.strip_prefix("NStgid:"));
    let ids = ids.unwrap_or_default().split_ascii_whitespace();
    ids.filter_map(|id| id.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_translated_to_the_kernel_s() {
        let tasks = Tasks(HashMap::from([(1, 4711), (2, 4712)]));
        let own = ProcIds::Own(tasks);
        assert_eq!(own.kernel_id(2), Some(4712));
        assert_eq!(own.kernel_id(4711), None);
        assert_eq!(ProcIds::Kernel.kernel_id(7), Some(7));
        assert_eq!(ProcIds::Unknown.kernel_id(7), None);
    }

    #[test]
    fn proc_has_this_process() {
        assert_eq!(of_proc_self().last(), Some(&process::id()));
    }
}
