//! What this system can record, what is missing, and how to fix it.
//!
//! Each row of the report judges one answer of [`Features`].

mod bpf;
mod functions;
mod system;

use crate::kernel::features::{Features, Missing};

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Ok,
    /// Recording works, but something is missing.
    Warn,
    /// Recording is not possible.
    Fail,
}

/// One row of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was checked.
    pub name: &'static str,
    /// The result.
    pub state: State,
    /// What was found.
    pub found: String,
    /// How to fix what is missing.
    pub hint: Option<String>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self {
            name,
            state: State::Ok,
            found: found.into(),
            hint: None,
        }
    }

    fn warn(name: &'static str, found: impl Into<String>, hint: Option<String>) -> Self {
        Self {
            state: State::Warn,
            hint,
            ..Self::ok(name, found)
        }
    }

    fn fail(name: &'static str, found: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            state: State::Fail,
            hint: Some(hint.into()),
            ..Self::ok(name, found)
        }
    }

    /// A feature without which recording works; `effect` says what is lost.
    fn optional(name: &'static str, missing: &Missing, effect: &str) -> Self {
        Self::warn(name, format!("{missing}; {effect}"), missing.hint())
    }

    /// A feature without which nothing can be recorded.
    fn required(name: &'static str, missing: &Missing) -> Self {
        let hint = missing.hint();
        let hint = hint.unwrap_or_else(|| "use Linux 5.19 or later".into());
        Self::fail(name, missing.to_string(), hint)
    }
}

/// Makes all checks. `programs_embedded`: this build contains the eBPF programs.
#[must_use]
pub fn examine(features: &Features, programs_embedded: bool) -> Vec<Check> {
    let mut checks = vec![
        embedded(programs_embedded),
        system::version(features),
        system::privileges(features),
    ];
    checks.push(system::tracefs(features));
    if features.tracefs().is_ok() {
        checks.push(system::system_calls(features));
    }
    checks.extend(bpf::checks(features));
    checks.push(bpf::btf(features));
    checks.push(bpf::jit(features));
    checks.push(bpf::lockdown(features));
    checks.extend(functions::checks(features));
    checks.push(system::perf_event_paranoid(features));
    checks.push(bpf::missed_events(features));
    checks.push(bpf::memlock(features));
    checks.push(system::cpus(features));
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
        Check::ok(NAME, "included in this build")
    } else {
        Check::fail(
            NAME,
            "not included in this build",
            "build with `cargo xtask build`",
        )
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
    fn every_failure_has_a_hint() {
        for check in examine(&Features::default(), false) {
            assert!(
                check.state != State::Fail || check.hint.is_some(),
                "{check:?}"
            );
        }
    }
}
