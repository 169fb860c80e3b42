//! The kernel, its files, and the privileges of this process.

use crate::doctor::Check;
use crate::kernel::features::{Features, Missing};

/// The first kernel with `bpf_ringbuf_reserve_dynptr`, which writes events of variable length.
const MIN_VERSION: (u32, u32) = (5, 19);
/// Kernels on which every release is tested.
const TESTED_VERSIONS: [(u32, u32); 4] = [(6, 1), (6, 12), (6, 18), (7, 3)];

pub(super) fn version(features: &Features) -> Check {
    const NAME: &str = "kernel version";
    let Some(release) = features.release() else {
        return Check::warn(NAME, "unknown", None);
    };
    if release.version < MIN_VERSION {
        let (major, minor) = MIN_VERSION;
        let hint = format!("use Linux {major}.{minor} or later");
        return Check::fail(NAME, &release.text, hint);
    }
    let tested = if TESTED_VERSIONS.contains(&release.version) {
        "tested"
    } else {
        "not tested; tested are 6.1, 6.12, 6.18 and 7.3"
    };
    Check::ok(NAME, format!("{} ({tested})", release.text))
}

pub(super) fn privileges(features: &Features) -> Check {
    const NAME: &str = "privileges";
    let Some(capabilities) = features.capabilities() else {
        return Check::warn(NAME, "unknown: /proc/self/status cannot be read", None);
    };
    if !capabilities.allow_recording() {
        return Check::fail(
            NAME,
            format!("{} missing", capabilities.missing().join(" and ")),
            "run as root (`sudo tracer …`), or `setcap cap_bpf,cap_perfmon,cap_dac_read_search+ep` \
             on the binary",
        );
    }
    if capabilities.is_admin() {
        Check::ok(NAME, "CAP_SYS_ADMIN (root)")
    } else {
        Check::ok(NAME, "CAP_BPF and CAP_PERFMON")
    }
}

pub(super) fn tracefs(features: &Features) -> Check {
    const NAME: &str = "tracefs";
    match features.tracefs() {
        Ok(tracefs) if tracefs.is_private() => {
            Check::ok(NAME, "not mounted: each recording mounts it privately")
        }
        Ok(tracefs) if tracefs.path().join("events").read_dir().is_err() => Check::fail(
            NAME,
            format!("mounted at {}, but not readable", tracefs.path().display()),
            "run as root",
        ),
        Ok(tracefs) => Check::ok(NAME, format!("mounted at {}", tracefs.path().display())),
        Err(error) => Check::fail(
            NAME,
            error.to_string(),
            "mount it as root, on a kernel with CONFIG_TRACING",
        ),
    }
}

pub(super) fn system_calls(features: &Features) -> Check {
    const NAME: &str = "system calls";
    match features.syscall_events() {
        Ok(events) if events.described == 0 => Check::warn(
            NAME,
            "only raw_syscalls: arguments have neither names nor types",
            Some("use a kernel with CONFIG_FTRACE_SYSCALLS".into()),
        ),
        Ok(events) => Check::ok(
            NAME,
            format!("{} with names and types of arguments", events.described),
        ),
        Err(missing @ Missing::NotPermitted(_)) => {
            Check::warn(NAME, missing.to_string(), Some("run as root".into()))
        }
        Err(missing) => Check::optional(NAME, &missing, "system calls cannot be recorded"),
    }
}

pub(super) fn perf_event_paranoid(features: &Features) -> Check {
    const NAME: &str = "perf_event_paranoid";
    match features.perf_event_paranoid() {
        Ok(level) => Check::ok(
            NAME,
            format!("{level} (does not apply to root or CAP_PERFMON)"),
        ),
        Err(missing) => Check::required(NAME, &missing),
    }
}

pub(super) fn cpus(features: &Features) -> Check {
    const NAME: &str = "CPUs";
    match features.cpus() {
        Some(cpus) => Check::ok(
            NAME,
            format!(
                "{} online, {} possible; one stream per CPU",
                cpus.online, cpus.possible
            ),
        ),
        None => Check::warn(NAME, "unknown", None),
    }
}

#[cfg(test)]
pub(super) mod testing {
    use std::fs;

    use crate::kernel::features::{Features, Roots};

    /// A kernel of which only these files are there.
    pub(in crate::doctor) fn kernel(files: &[(&str, &str)]) -> (tempfile::TempDir, Features) {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let roots = Roots {
            proc: root.path().join("proc"),
            sys: root.path().join("sys"),
        };
        (root, Features::new(roots))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;
    use crate::doctor::system::testing::kernel;

    fn of_release(release: &str) -> Check {
        let (_root, features) = kernel(&[("proc/sys/kernel/osrelease", release)]);
        version(&features)
    }

    #[test]
    fn old_kernels_cannot_record() {
        for (release, state) in [
            ("5.15.0-91-generic\n", State::Fail),
            ("5.19.0\n", State::Ok),
            ("6.1.0-37-cloud-amd64\n", State::Ok),
            ("10.0-rc1\n", State::Ok),
            ("strange\n", State::Warn),
        ] {
            assert_eq!(of_release(release).state, state, "{release}");
        }
    }

    #[test]
    fn tested_kernels_are_marked() {
        assert!(of_release("6.12.3\n").found.ends_with("(tested)"));
        assert!(of_release("6.2.3\n").found.contains("not tested"));
    }

    #[test]
    fn root_or_the_two_capabilities_will_do() {
        let state = |capabilities: &str| {
            let status = format!("Name:\tx\nCapEff:\t{capabilities}\n");
            let (_root, features) = kernel(&[("proc/self/status", &status)]);
            privileges(&features).state
        };
        assert_eq!(state("000001ffffffffff"), State::Ok);
        assert_eq!(state("000000c000000000"), State::Ok);
        assert_eq!(state("0000008000000000"), State::Fail);
        assert_eq!(state("0000000000000000"), State::Fail);
    }
}
