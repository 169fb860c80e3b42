//! Ids that the user gives: those of the recorder's PID namespace, while the kernel has others.

use std::os::fd::OwnedFd;

use anyhow::{Context as _, Result, anyhow, bail};

use crate::probe::filter::{IdSource, IdTest, Resolved};
use crate::probe::{AttachPoint, ResolvedProbe};
use crate::record::namespace::clock;
use crate::record::namespace::pids::{self, PidNamespace, Tasks};
use crate::record::session::options::Options;
use crate::sys::stderr::message;

/// Finds the namespaces of the recorder. Prints a note if the ids in the trace are not those that
/// the user knows.
pub(super) fn prepare(options: &Options) -> Result<()> {
    clock::find_offset()?;
    let own = pids::own()?;
    if let Some(namespace) = own.filter(|_| !options.quiet) {
        message!(
            "tracer: note: recording in PID namespace `{}`: the trace has the process IDs of the \
             initial namespace",
            namespace.name
        );
    }
    Ok(())
}

/// The kernel's ids of these processes and threads.
///
/// # Errors
/// If one of them does not exist.
pub(super) fn of_processes(ids: &[u32]) -> Result<Vec<u32>> {
    let Some(namespace) = pids::own()? else {
        return Ok(ids.to_vec());
    };
    let tasks = tasks(namespace)?;
    let translate = |&id: &u32| {
        let outer = tasks.outer(id);
        outer.ok_or_else(|| missing(namespace, id))
    };
    ids.iter().map(translate).collect()
}

/// Makes the filters of `probes` compare the kernel's ids.
pub(super) fn translate_filters(probes: &mut [ResolvedProbe]) -> Result<()> {
    let Some(mut translation) = Translation::new()? else {
        return Ok(());
    };
    for probe in probes {
        let names = IdNames::of(probe);
        if let Some(filter) = &mut probe.filter {
            filter.replace_ids(&mut |test| translation.of(&names, test))?;
        }
    }
    Ok(())
}

/// The same filter with the kernel's ids, for the events of `probe`.
pub(super) fn translate(mut filter: Resolved, probe: &ResolvedProbe) -> Result<Resolved> {
    if let Some(mut translation) = Translation::new()? {
        let names = IdNames::of(probe);
        filter.replace_ids(&mut |test| translation.of(&names, test))?;
    }
    Ok(filter)
}

/// The names of the fields with ids, by index.
#[derive(Debug, PartialEq, Eq)]
struct IdNames(Vec<Option<String>>);

impl IdNames {
    /// By their names: the kernel's tracepoints have its own ids. Arguments of system calls are
    /// those of the calling process, and other probes may read anything.
    fn of(probe: &ResolvedProbe) -> Self {
        if !matches!(probe.attach_point, AttachPoint::Tracepoint { .. }) {
            return Self(Vec::new());
        }
        let fields = probe.class.fields.iter();
        let names = fields.map(|field| is_id(&field.name).then(|| field.name.clone()));
        Self(names.collect())
    }

    /// The name of what is compared, if it is an id.
    fn name(&self, source: IdSource) -> Option<&str> {
        match source {
            IdSource::Pid => Some("pid"),
            IdSource::Tid => Some("tid"),
            IdSource::Field(index) => self.0.get(index)?.as_deref(),
        }
    }
}

/// Whether a field of a tracepoint has the id of a process or thread: `prev_pid`, `tgid`.
fn is_id(field: &str) -> bool {
    ["pid", "tid", "tgid"].contains(&field.rsplit('_').next().unwrap_or_default())
}

/// In a PID namespace, a program that returns the kernel's id of the process that runs it.
pub(super) fn own_id_program() -> Result<Option<OwnedFd>> {
    let program = pids::own()?.map(PidNamespace::own_id_program);
    program
        .transpose()
        .context("cannot pass the program for process IDs to the command")
}

/// Translates the ids in filters.
struct Translation {
    namespace: &'static PidNamespace,
    /// Read when the first id is translated.
    tasks: Option<Tasks>,
}

impl Translation {
    fn new() -> Result<Option<Self>> {
        let of = |namespace| Self {
            namespace,
            tasks: None,
        };
        Ok(pids::own()?.map(of))
    }

    /// The kernel's id; `None` if the test is not about one.
    fn of(&mut self, names: &IdNames, test: IdTest) -> Result<Option<u32>> {
        let Some(name) = names.name(test.source) else {
            return Ok(None);
        };
        let Some(id) = test.id else {
            bail!(
                "cannot translate a filter on `{name}` from PID namespace `{}`: compare with `==` \
                 or `!=`, or record in the initial PID namespace",
                self.namespace.name
            );
        };
        // The idle threads.
        if id == 0 {
            return Ok(Some(0));
        }
        let tasks = match &mut self.tasks {
            Some(tasks) => tasks,
            none => none.insert(tasks(self.namespace)?),
        };
        let outer = tasks.outer(id);
        outer.ok_or_else(|| missing(self.namespace, id)).map(Some)
    }
}

fn tasks(namespace: &PidNamespace) -> Result<Tasks> {
    let tasks = namespace.tasks();
    tasks.with_context(|| format!("cannot list the threads of `{}`", namespace.name))
}

fn missing(namespace: &PidNamespace, id: u32) -> anyhow::Error {
    anyhow!(
        "no process or thread {id} in PID namespace `{}`",
        namespace.name
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_with_ids_are_known_by_their_names() {
        for name in ["pid", "tid", "tgid", "prev_pid", "child_tid", "old_pid"] {
            assert!(is_id(name), "{name}");
        }
        for name in ["", "comm", "rapid", "prev_prio", "pid_ns"] {
            assert!(!is_id(name), "{name}");
        }
    }
}
