//! Lists what a kernel offers, for people who look for a probe.

use std::fmt;

use crate::kernel::files::KernelFiles;
use crate::names::glob::{self, is_glob};
use crate::probe::catalog::{Catalog, raw_syscall_fields};
use crate::probe::error::ProbeError;
use crate::probe::syscalls::{self, ENTER, SYSCALLS, other_names};
use crate::probe::tracepoint;
use crate::trace::event::Field;

/// A probe by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed {
    /// A tracepoint.
    Tracepoint {
        /// Its subsystem.
        system: String,
        /// Its name.
        name: String,
    },
    /// A system call, entry and exit, by its tracefs name.
    Syscall(String),
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tracepoint { system, name } => write!(f, "{system}:{name}"),
            Self::Syscall(name) => write!(f, "syscall:{name}"),
        }
    }
}

/// What is known about a listed probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Details {
    /// The C declaration of a system call.
    pub declaration: Option<String>,
    /// The payload of its events (of the entry, for system calls).
    pub fields: Vec<Field>,
}

/// The tracepoints and system calls that a pattern matches, sorted within their kind.
/// A pattern without a colon and without wildcards is a part of a name. The events of
/// the `syscalls` subsystem appear as system calls.
pub fn matching(files: &KernelFiles, pattern: &str) -> Result<Vec<Listed>, ProbeError> {
    let mut catalog = Catalog::new(files);
    let mut found = Vec::new();
    let systems = catalog.systems()?.to_vec();
    for system in systems.iter().filter(|&system| system != SYSCALLS) {
        for name in catalog.events(system)? {
            if accepts(pattern, system, name) {
                found.push(Listed::Tracepoint {
                    system: system.clone(),
                    name: name.clone(),
                });
            }
        }
    }
    for call in catalog.calls()? {
        let enter = format!("{ENTER}{call}");
        if accepts(pattern, "syscall", call)
            || other_names(call).any(|other| accepts(pattern, "syscall", other))
            || pattern.contains(':') && accepts(pattern, SYSCALLS, &enter)
        {
            found.push(Listed::Syscall(call.clone()));
        }
    }
    Ok(found)
}

fn accepts(pattern: &str, system: &str, name: &str) -> bool {
    let whole = format!("{system}:{name}");
    if is_glob(pattern) && pattern.contains(':') {
        glob::matches(pattern, &whole)
    } else if is_glob(pattern) {
        glob::matches(pattern, name) || glob::matches(pattern, &whole)
    } else if pattern.contains(':') {
        pattern == whole
    } else {
        whole.contains(pattern)
    }
}

/// Reads the fields of a listed probe.
pub fn details(files: &KernelFiles, probe: &Listed) -> Result<Details, ProbeError> {
    match probe {
        Listed::Tracepoint { system, name } => {
            if system == "raw_syscalls" {
                return Ok(Details {
                    declaration: None,
                    fields: raw_syscall_fields(name == "sys_enter"),
                });
            }
            let format = files.format(system, name)?;
            let layout = tracepoint::layout(&format).map_err(|cause| ProbeError::Layout {
                probe: probe.to_string(),
                cause,
            })?;
            Ok(Details {
                declaration: None,
                fields: layout.fields,
            })
        }
        Listed::Syscall(call) => {
            let format = files.format(SYSCALLS, &format!("{ENTER}{call}"))?;
            let arguments: Vec<String> = syscalls::arguments(&format)
                .map(syscalls::declaration)
                .collect();
            Ok(Details {
                declaration: Some(format!("{call}({})", arguments.join(", "))),
                fields: syscalls::entry_layout(call, &format).0,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn recorded() -> KernelFiles {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/kernel-6.18");
        KernelFiles {
            tracefs: root.join("tracefs"),
            proc: root.join("proc"),
            sys: root.join("sys"),
            modules: root.join("modules"),
        }
    }

    fn names(pattern: &str) -> Vec<String> {
        matching(&recorded(), pattern)
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn a_word_is_looked_for_in_names() {
        assert_eq!(names("switch"), ["sched:sched_switch"]);
        assert_eq!(names("openat"), ["syscall:openat"]);
    }

    #[test]
    fn patterns_and_whole_names_match_whole_names() {
        assert_eq!(names("sched:*switch"), ["sched:sched_switch"]);
        assert_eq!(names("syscall:m*"), ["syscall:mmap", "syscall:mount"]);
        assert_eq!(names("syscalls:sys_enter_mmap"), ["syscall:mmap"]);
        assert_eq!(names("syscall:fstat"), ["syscall:newfstat"]);
        assert!(names("sched:switch").is_empty());
    }

    #[test]
    fn system_calls_have_their_declaration() {
        let details = details(&recorded(), &Listed::Syscall("openat".into())).unwrap();
        assert_eq!(
            details.declaration.as_deref(),
            Some("openat(int dfd, const char *filename, int flags, umode_t mode)")
        );
    }
}
