//! What this machine can record, what is missing, and the way out.
//!
//! Checks of the kernel's files take their roots as parameters; checks of BPF itself ask
//! the running kernel by loading minimal programs and maps.

use std::path::{Path, PathBuf};

mod bpf;
mod functions;
mod kernel;
mod privileges;

use crate::kernel::tracefs::mount::{Tracefs, TracefsError};

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Ok,
    /// Recording works, something is missing.
    Warn,
    /// Recording is not possible.
    Fail,
}

/// One row of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// How it came out.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What to do about it.
    pub way_out: Option<String>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self {
            name,
            state: State::Ok,
            found: found.into(),
            way_out: None,
        }
    }

    fn warn(
        name: &'static str,
        found: impl Into<String>,
        way_out: impl Into<Option<&'static str>>,
    ) -> Self {
        Self {
            state: State::Warn,
            way_out: way_out.into().map(Into::into),
            ..Self::ok(name, found)
        }
    }

    fn fail(name: &'static str, found: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self {
            state: State::Fail,
            way_out: Some(way_out.into()),
            ..Self::ok(name, found)
        }
    }
}

/// Where the kernel's files are.
#[derive(Clone, Debug)]
pub struct Roots {
    /// Of procfs.
    pub proc: PathBuf,
    /// Of sysfs.
    pub sys: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self {
            proc: "/proc".into(),
            sys: "/sys".into(),
        }
    }
}

impl Roots {
    /// The text of a small file, without the newline at its end.
    fn read(root: &Path, path: &str) -> std::io::Result<String> {
        Ok(std::fs::read_to_string(root.join(path))?.trim().to_owned())
    }
}

/// Makes every check. `programs_embedded` says whether this build carries the eBPF
/// programs.
#[must_use]
pub fn examine(roots: &Roots, programs_embedded: bool) -> Vec<Check> {
    let mut checks = vec![
        embedded(programs_embedded),
        kernel::version(roots),
        privileges::privileges(roots),
    ];
    let tracefs = Tracefs::open();
    checks.push(tracefs_place(&tracefs));
    if let Ok(tracefs) = &tracefs {
        checks.push(kernel::system_calls(tracefs.path()));
    }
    checks.extend(bpf::checks());
    checks.push(kernel::btf(roots));
    checks.push(kernel::jit(roots));
    checks.push(bpf::lockdown(roots));
    checks.push(functions::kprobes(roots));
    checks.push(functions::kprobe_multi(roots));
    checks.push(functions::kprobe_session(roots));
    checks.push(privileges::perf_event_paranoid(roots));
    checks.push(kernel::skipped_events(roots));
    checks.push(kernel::memlock(roots));
    checks.push(kernel::cpus(roots));
    checks
}

/// Whether tracepoints can be recorded, by these checks.
#[must_use]
pub fn can_record(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.state != State::Fail)
}

fn embedded(programs_embedded: bool) -> Check {
    const NAME: &str = "eBPF programs";
    if programs_embedded {
        Check::ok(NAME, "in this binary")
    } else {
        Check::fail(
            NAME,
            "this binary was built without them",
            "build with `cargo xtask build`",
        )
    }
}

fn tracefs_place(tracefs: &Result<Tracefs, TracefsError>) -> Check {
    const NAME: &str = "tracefs";
    match tracefs {
        Ok(tracefs) if tracefs.is_private() => Check::ok(
            NAME,
            "mounted nowhere; a private mount is made for each recording",
        ),
        Ok(tracefs) if tracefs.path().join("events").read_dir().is_err() => Check::fail(
            NAME,
            format!("at {}, but not readable", tracefs.path().display()),
            "run as root",
        ),
        Ok(tracefs) => Check::ok(NAME, format!("at {}", tracefs.path().display())),
        Err(error) => Check::fail(
            NAME,
            error.to_string(),
            "mount it as root, on a kernel with CONFIG_TRACING",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_failure_stops_recording() {
        let ok = Check::ok("a", "b");
        let warn = Check::warn("a", "b", None);
        assert!(can_record(&[ok.clone(), warn.clone()]));
        assert!(!can_record(&[ok, warn, Check::fail("a", "b", "c")]));
    }

    #[test]
    fn a_binary_without_programs_cannot_record() {
        assert!(!can_record(&[embedded(false)]));
        assert!(can_record(&[embedded(true)]));
    }

    #[test]
    fn every_failure_brings_a_way_out() {
        for check in examine(&Roots::default(), false) {
            assert!(
                check.state != State::Fail || check.way_out.is_some(),
                "{check:?}"
            );
        }
    }
}
