//! BPF: what has to be there, and what makes events cheaper or more exact.

use crate::doctor::Check;
use crate::kernel::features::{Features, Lockdown, Support};

/// Features without which nothing can be recorded.
pub(super) fn checks(features: &Features) -> [Check; 4] {
    [
        required(
            "tracepoint programs",
            "supported by BPF",
            features.tracepoint_programs(),
        ),
        required("BPF ring buffer", "supported", features.ring_buffer()),
        required(
            "ring buffer dynptr",
            "supported: variable-length events",
            features.dynptr(),
        ),
        required("BPF perf links", "supported", features.perf_links()),
    ]
}

fn required(name: &'static str, found: &str, support: Support) -> Check {
    match support {
        Ok(()) => Check::ok(name, found),
        Err(missing) => Check::required(name, &missing),
    }
}

pub(super) fn btf(features: &Features) -> Check {
    const NAME: &str = "kernel BTF";
    match features.btf_len() {
        Ok(len) => {
            let path = features.roots().sys.join("kernel/btf/vmlinux");
            Check::ok(NAME, format!("{} ({} KiB)", path.display(), len / 1024))
        }
        Err(missing) => Check::optional(NAME, &missing, "arguments of functions have no types"),
    }
}

pub(super) fn jit(features: &Features) -> Check {
    const NAME: &str = "BPF JIT";
    match features.jit() {
        Some(true) => Check::ok(NAME, "enabled"),
        Some(false) => Check::warn(
            NAME,
            "disabled: programs are interpreted, and each event costs several times as much",
            Some("`sysctl net.core.bpf_jit_enable=1`".into()),
        ),
        None => Check::warn(
            NAME,
            "unknown: `net.core.bpf_jit_enable` cannot be read",
            Some("run as root".into()),
        ),
    }
}

pub(super) fn lockdown(features: &Features) -> Check {
    const NAME: &str = "lockdown";
    let Some(lockdown) = features.lockdown() else {
        return Check::warn(
            NAME,
            "unknown: securityfs is not mounted",
            Some("`mount -t securityfs securityfs /sys/kernel/security`".into()),
        );
    };
    let found = match lockdown {
        Lockdown::Mode(mode) => mode.as_str(),
        Lockdown::Inferred(_) => "mode unknown: securityfs is not mounted",
    };
    if lockdown.allows_reading() {
        Check::ok(NAME, format!("{found} (BPF can read kernel memory)"))
    } else {
        Check::fail(
            NAME,
            format!("{found} (BPF cannot read kernel memory)"),
            "boot with `lockdown=integrity` or `lockdown=none`",
        )
    }
}

pub(super) fn missed_events(features: &Features) -> Check {
    const NAME: &str = "missed events";
    match features.recursion_misses() {
        Ok(()) => Check::ok(NAME, "counted by the kernel"),
        Err(missing) => Check::optional(
            NAME,
            &missing,
            "events that fire while another BPF program is running are missed and not counted",
        ),
    }
}

pub(super) fn memlock(features: &Features) -> Check {
    const NAME: &str = "locked-memory limit";
    match features.memory_by_cgroup() {
        Ok(()) => Check::ok(NAME, "does not apply to BPF on this kernel"),
        Err(missing) => Check::warn(
            NAME,
            format!("{missing}; BPF memory counts against RLIMIT_MEMLOCK"),
            Some("run `ulimit -l unlimited` before recording".into()),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;
    use crate::doctor::system::testing::kernel;
    use crate::kernel::features::Missing;

    #[test]
    fn a_missing_required_feature_stops_recording() {
        let state = |support| required("x", "", support).state;
        assert_eq!(state(Ok(())), State::Ok);
        assert_eq!(state(Err(Missing::Older(5, 8))), State::Fail);
        assert_eq!(state(Err(Missing::NotPermitted("x".into()))), State::Fail);
    }

    #[test]
    fn strict_lockdown_stops_recording() {
        let file = "sys/kernel/security/lockdown";
        let (_root, features) = kernel(&[(file, "none integrity [confidentiality]\n")]);
        assert_eq!(lockdown(&features).state, State::Fail);
        let (_root, features) = kernel(&[(file, "none [integrity] confidentiality\n")]);
        assert_eq!(lockdown(&features).state, State::Ok);
    }

    #[test]
    fn locked_memory_matters_to_old_kernels_only() {
        let file = "proc/sys/kernel/osrelease";
        let (_root, features) = kernel(&[(file, "5.10.0\n")]);
        assert_eq!(memlock(&features).state, State::Warn);
        let (_root, features) = kernel(&[(file, "5.11.0\n")]);
        assert_eq!(memlock(&features).state, State::Ok);
    }

    #[test]
    fn old_kernels_do_not_count_missed_events() {
        let file = "proc/sys/kernel/osrelease";
        let (_root, features) = kernel(&[(file, "6.6.9\n")]);
        assert_eq!(missed_events(&features).state, State::Warn);
        let (_root, features) = kernel(&[(file, "6.7.0\n")]);
        assert_eq!(missed_events(&features).state, State::Ok);
    }
}
