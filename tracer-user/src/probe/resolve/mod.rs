//! From probe texts to event classes and attach points.
//!
//! Patterns are expanded against what the running kernel offers, probes named twice are merged,
//! and classes are numbered.

mod calls;
mod functions;
mod resolver;
mod syscalls;
mod tracepoints;
mod types;
mod user;

use self::resolver::Resolver;
use crate::kernel::files::KernelFiles;
use crate::names::Suggestions;
use crate::probe::catalog::Catalog;
use crate::probe::error::ProbeError;
use crate::probe::spec::{ProbeText, SpecError, Target};
use crate::probe::syscalls::{ENTER, SYSCALLS};

pub use self::types::{AttachPoint, FunctionTarget, Note, ResolvedProbe, Stacks, UserPlace};

/// Probes that are recorded by default: scheduling and system calls. Those that this kernel
/// lacks are left out.
#[must_use]
pub fn default_probes(files: &KernelFiles) -> Vec<ProbeText> {
    const SCHED: [&str; 8] = [
        "sched_switch",
        "sched_waking",
        "sched_wakeup",
        "sched_wakeup_new",
        "sched_process_fork",
        "sched_process_exec",
        "sched_process_exit",
        "sched_migrate_task",
    ];
    let mut probes: Vec<ProbeText> = SCHED
        .into_iter()
        .filter(|name| files.has_event("sched", name))
        .map(|name| Target::Tracepoint {
            system: "sched".into(),
            name: name.into(),
        })
        .map(Into::into)
        .collect();
    if files.has_event(SYSCALLS, &format!("{ENTER}read")) {
        probes.push(Target::Syscall { name: "*".into() }.into());
    }
    probes
}

/// Parses comma-separated probe texts and resolves them; none at all means
/// [`default_probes`].
pub fn resolve_texts(
    files: &KernelFiles,
    texts: &[String],
) -> Result<Vec<ResolvedProbe>, ProbeError> {
    resolve_texts_of(files, texts, &[])
}

/// As [`resolve_texts`], with programs looked up as these processes see them.
pub fn resolve_texts_of(
    files: &KernelFiles,
    texts: &[String],
    processes: &[u32],
) -> Result<Vec<ResolvedProbe>, ProbeError> {
    if texts.is_empty() {
        let defaults = default_probes(files);
        if defaults.is_empty() {
            // Missing privileges look like missing probes: report them first.
            files.systems()?;
            return Err(ProbeError::NothingMatches("sched:*".into()));
        }
        let mut resolver = Resolver::new(files, processes);
        for probe in &defaults {
            resolver.add(probe, 0)?;
        }
        return Ok(resolver.into_resolved());
    }
    let parse = |text: &String| match ProbeText::parse_list(text) {
        Ok(list) => Ok(list),
        Err(SpecError::NoColon(name)) => Err(no_colon(files, name)),
        Err(error) => Err(error.into()),
    };
    // Report syntax errors in any text before looking up the first.
    let lists: Vec<Vec<ProbeText>> = texts.iter().map(parse).collect::<Result<_, _>>()?;
    let mut resolver = Resolver::new(files, processes);
    for (request, list) in lists.iter().enumerate() {
        for probe in list {
            resolver.add(probe, request)?;
        }
    }
    Ok(resolver.into_resolved())
}

/// The error for a name without colon, with suggestions.
fn no_colon(files: &KernelFiles, text: String) -> ProbeError {
    match Catalog::new(files).whole_names_of(&text) {
        Ok(names) if !names.is_empty() => ProbeError::NoColon {
            text,
            suggestions: Suggestions::of(names),
        },
        _ => SpecError::NoColon(text).into(),
    }
}

/// Resolves probes in order: classes are numbered from 0, and duplicates are merged. Patterns
/// leave out, with a warning, what cannot be recorded.
pub fn resolve(
    files: &KernelFiles,
    probes: &[ProbeText],
) -> Result<Vec<ResolvedProbe>, ProbeError> {
    let mut resolver = Resolver::new(files, &[]);
    for (request, probe) in probes.iter().enumerate() {
        resolver.add(probe, request)?;
    }
    Ok(resolver.into_resolved())
}

#[cfg(test)]
mod tests;
