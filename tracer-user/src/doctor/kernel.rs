//! What the kernel is and how it was built, from its files.

use std::path::Path;

use crate::doctor::{Check, Roots};

/// The first kernel with `bpf_ringbuf_reserve_dynptr`, with which events of variable
/// length are written.
const MIN_VERSION: (u32, u32) = (5, 19);
/// The first kernel that counts BPF memory by control group instead of `RLIMIT_MEMLOCK`.
const NO_MEMLOCK_VERSION: (u32, u32) = (5, 11);
/// The first kernel that counts the events which it does not show to a program: in
/// `trace_call_bpf`, and in what it tells about links to kprobes.
const COUNTS_SKIPPED_VERSION: (u32, u32) = (6, 7);
/// Kernels on which every release is tested.
const TESTED_VERSIONS: [(u32, u32); 4] = [(6, 1), (6, 12), (6, 18), (7, 3)];

/// The kernel's release as text, and its first two numbers.
fn release(roots: &Roots) -> Option<(String, (u32, u32))> {
    let release = Roots::read(&roots.proc, "sys/kernel/osrelease").ok()?;
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let version = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
    Some((release, version))
}

pub(super) fn version(roots: &Roots) -> Check {
    const NAME: &str = "kernel version";
    match release(roots) {
        None => Check::warn(NAME, "not known", None),
        Some((release, version)) if version < MIN_VERSION => Check::fail(
            NAME,
            release,
            format!(
                "use a kernel of {}.{} or newer",
                MIN_VERSION.0, MIN_VERSION.1
            ),
        ),
        Some((release, version)) if TESTED_VERSIONS.contains(&version) => {
            Check::ok(NAME, format!("{release} (tested)"))
        }
        Some((release, _)) => Check::ok(
            NAME,
            format!("{release} (not among the tested 6.1, 6.12, 6.18 and 7.3)"),
        ),
    }
}

pub(super) fn memlock(roots: &Roots) -> Check {
    const NAME: &str = "locked-memory limit";
    match release(roots) {
        Some((_, version)) if version < NO_MEMLOCK_VERSION => Check::warn(
            NAME,
            "kernels before 5.11 count BPF memory against RLIMIT_MEMLOCK",
            "run with `ulimit -l unlimited`",
        ),
        _ => Check::ok(NAME, "does not count on this kernel"),
    }
}

pub(super) fn skipped_events(roots: &Roots) -> Check {
    const NAME: &str = "skipped events";
    match release(roots) {
        Some((_, version)) if version < COUNTS_SKIPPED_VERSION => Check::warn(
            NAME,
            "not counted: an event that fires inside another probe is missing without a word",
            "use a kernel of 6.7 or newer",
        ),
        Some(_) => Check::ok(NAME, "counted by the kernel"),
        None => Check::warn(NAME, "not known", None),
    }
}

pub(super) fn btf(roots: &Roots) -> Check {
    const NAME: &str = "kernel BTF";
    let path = roots.sys.join("kernel/btf/vmlinux");
    match path.metadata() {
        Ok(file) => Check::ok(
            NAME,
            format!("{} ({} KiB)", path.display(), file.len() / 1024),
        ),
        Err(_) => Check::warn(
            NAME,
            "absent: types of functions are not known",
            "use a kernel with CONFIG_DEBUG_INFO_BTF",
        ),
    }
}

pub(super) fn jit(roots: &Roots) -> Check {
    const NAME: &str = "BPF JIT";
    match Roots::read(&roots.proc, "sys/net/core/bpf_jit_enable").as_deref() {
        Ok("0") => Check::warn(
            NAME,
            "off: programs are interpreted, each event costs several times as much",
            "`sysctl net.core.bpf_jit_enable=1`",
        ),
        Ok(_) => Check::ok(NAME, "on"),
        Err(_) => Check::warn(NAME, "not known: its setting cannot be read", "run as root"),
    }
}

pub(super) fn system_calls(tracefs: &Path) -> Check {
    const NAME: &str = "system calls";
    let events = tracefs.join("events");
    if events.read_dir().is_err() {
        return Check::warn(NAME, "not known: tracefs is not readable", "run as root");
    }
    if !events.join("raw_syscalls/sys_enter").is_dir() {
        return Check::warn(
            NAME,
            "not traced by this kernel",
            "use a kernel with CONFIG_FTRACE_SYSCALLS",
        );
    }
    let described = events.join("syscalls").read_dir().map_or(0, |entries| {
        entries
            .flatten()
            .filter(|entry| {
                entry
                    .file_name()
                    .as_encoded_bytes()
                    .starts_with(b"sys_enter_")
            })
            .count()
    });
    match described {
        0 => Check::warn(
            NAME,
            "only raw_syscalls: arguments have no names and types",
            "use a kernel with CONFIG_FTRACE_SYSCALLS",
        ),
        count => Check::ok(NAME, format!("{count} described with names and types")),
    }
}

pub(super) fn cpus(roots: &Roots) -> Check {
    const NAME: &str = "CPUs";
    let count = |list: &str| {
        Roots::read(&roots.sys, &format!("devices/system/cpu/{list}"))
            .ok()
            .and_then(|text| count_list(&text))
    };
    match (count("online"), count("possible")) {
        (Some(online), Some(possible)) => Check::ok(
            NAME,
            format!("{online} online, {possible} possible: as many streams"),
        ),
        _ => Check::warn(NAME, "not known", None),
    }
}

/// Members of a list of CPUs: `0-3,8` is five.
fn count_list(text: &str) -> Option<u32> {
    text.split(',').try_fold(0_u32, |count, range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        count.checked_add(last.checked_sub(first)?.checked_add(1)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    fn with_release(release: &str) -> (tempfile::TempDir, Roots) {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("sys/kernel");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("osrelease"), release).unwrap();
        let roots = Roots {
            proc: root.path().into(),
            sys: root.path().into(),
        };
        (root, roots)
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
            let (_root, roots) = with_release(release);
            assert_eq!(version(&roots).state, state, "{release}");
        }
    }

    #[test]
    fn tested_kernels_are_called_so() {
        let (_root, roots) = with_release("6.12.3\n");
        assert!(version(&roots).found.ends_with("(tested)"));
        let (_root, roots) = with_release("6.2.3\n");
        assert!(version(&roots).found.contains("not among"));
    }

    #[test]
    fn locked_memory_matters_to_old_kernels_only() {
        let (_root, roots) = with_release("5.10.0\n");
        assert_eq!(memlock(&roots).state, State::Warn);
        let (_root, roots) = with_release("5.11.0\n");
        assert_eq!(memlock(&roots).state, State::Ok);
    }

    #[test]
    fn old_kernels_do_not_count_what_they_skip() {
        let (_root, roots) = with_release("6.6.9\n");
        assert_eq!(skipped_events(&roots).state, State::Warn);
        let (_root, roots) = with_release("6.7.0\n");
        assert_eq!(skipped_events(&roots).state, State::Ok);
    }

    #[test]
    fn lists_of_cpus_are_counted() {
        assert_eq!(count_list("0-3,8"), Some(5));
        assert_eq!(count_list("0"), Some(1));
        assert_eq!(count_list("3-0"), None);
        assert_eq!(count_list(""), None);
    }
}
