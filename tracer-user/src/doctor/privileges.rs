//! What this process may do.

use crate::doctor::{Check, Roots};

/// Bits of capability sets (`include/uapi/linux/capability.h`).
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

pub(super) fn privileges(roots: &Roots) -> Check {
    const NAME: &str = "privileges";
    let Some(capabilities) = effective(roots) else {
        return Check::warn(NAME, "not known: /proc/self/status cannot be read", None);
    };
    let has = |capability: u32| capabilities & (1 << capability) != 0;
    if has(CAP_SYS_ADMIN) {
        Check::ok(NAME, "CAP_SYS_ADMIN, as root has")
    } else if has(CAP_BPF) && has(CAP_PERFMON) {
        Check::ok(NAME, "CAP_BPF and CAP_PERFMON")
    } else {
        let missing: Vec<&str> = [(CAP_BPF, "CAP_BPF"), (CAP_PERFMON, "CAP_PERFMON")]
            .into_iter()
            .filter(|&(capability, _)| !has(capability))
            .map(|(_, name)| name)
            .collect();
        Check::fail(
            NAME,
            format!("{} missing", missing.join(" and ")),
            "run as root (`sudo tracer …`), or `setcap cap_bpf,cap_perfmon,cap_dac_read_search+ep` \
             on the binary",
        )
    }
}

/// The effective capabilities of this process, as bits.
fn effective(roots: &Roots) -> Option<u64> {
    let status = Roots::read(&roots.proc, "self/status").ok()?;
    let set = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(set.trim(), 16).ok()
}

pub(super) fn perf_event_paranoid(roots: &Roots) -> Check {
    const NAME: &str = "perf_event_paranoid";
    match Roots::read(&roots.proc, "sys/kernel/perf_event_paranoid") {
        Ok(level) => Check::ok(
            NAME,
            format!("{level} (root and CAP_PERFMON are not affected)"),
        ),
        Err(_) => Check::fail(
            NAME,
            "absent: the kernel has no perf events, through which programs are attached",
            "use a kernel with CONFIG_PERF_EVENTS",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    fn state(capabilities: &str) -> State {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("self")).unwrap();
        let status = format!("Name:\tx\nCapEff:\t{capabilities}\n");
        std::fs::write(root.path().join("self/status"), status).unwrap();
        let roots = Roots {
            proc: root.path().into(),
            sys: root.path().into(),
        };
        privileges(&roots).state
    }

    #[test]
    fn root_or_the_two_capabilities_will_do() {
        assert_eq!(state("000001ffffffffff"), State::Ok);
        assert_eq!(state("000000c000000000"), State::Ok);
        assert_eq!(state("0000008000000000"), State::Fail);
        assert_eq!(state("0000000000000000"), State::Fail);
    }
}
