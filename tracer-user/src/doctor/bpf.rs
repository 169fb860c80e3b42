//! What the running kernel's BPF can do, found out by asking it.

use std::error::Error;

use aya::maps::MapType;
use aya::programs::ProgramType;
use aya::sys::{BpfHelper, is_helper_supported, is_map_supported, is_program_supported};

use crate::doctor::{Check, Roots};

pub(super) fn checks() -> [Check; 3] {
    [
        required(
            "BPF",
            "tracepoint programs load",
            "tracepoint programs",
            "CONFIG_BPF_SYSCALL and CONFIG_BPF_EVENTS",
            is_program_supported(ProgramType::TracePoint),
        ),
        required(
            "ring buffer",
            "maps can be made",
            "ring buffer maps",
            "version 5.8 or newer",
            is_map_supported(MapType::RingBuf),
        ),
        required(
            "ring buffer dynptr",
            "events of variable length can be written",
            "the helper bpf_ringbuf_reserve_dynptr",
            "version 5.19 or newer",
            is_helper_supported(
                ProgramType::TracePoint,
                BpfHelper::BPF_FUNC_ringbuf_reserve_dynptr,
            ),
        ),
    ]
}

/// A feature without which nothing is recorded.
fn required(
    name: &'static str,
    good: &str,
    what: &str,
    needs: &str,
    supported: Result<bool, impl Error>,
) -> Check {
    match supported {
        Ok(true) => Check::ok(name, good),
        Ok(false) => Check::fail(
            name,
            format!("the kernel has no {what}"),
            format!("use a kernel with {needs}"),
        ),
        Err(error) => Check::fail(
            name,
            with_causes(&error),
            "run as root; in a container, allow the system call bpf",
        ),
    }
}

/// An error with what caused it: aya's messages name the call, their sources the reason.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Lockdown matters by what it forbids: in its strict mode, programs cannot read kernel
/// memory. The file is in securityfs, which may not be mounted; the helper tells as well.
pub(super) fn lockdown(roots: &Roots) -> Check {
    const NAME: &str = "lockdown";
    const WAY_OUT: &str = "boot with `lockdown=integrity` or `lockdown=none`";
    let mode = Roots::read(&roots.sys, "kernel/security/lockdown")
        .ok()
        .and_then(|text| chosen_mode(&text).map(ToOwned::to_owned));
    match mode.as_deref() {
        Some("confidentiality") => Check::fail(
            NAME,
            "confidentiality: programs cannot read kernel memory",
            WAY_OUT,
        ),
        Some(mode) => Check::ok(NAME, mode),
        None => match is_helper_supported(
            ProgramType::TracePoint,
            BpfHelper::BPF_FUNC_probe_read_kernel,
        ) {
            Ok(true) => Check::ok(
                NAME,
                "programs can read kernel memory (securityfs is not mounted)",
            ),
            Ok(false) => Check::fail(NAME, "programs cannot read kernel memory", WAY_OUT),
            Err(_) => Check::warn(
                NAME,
                "not known",
                "`mount -t securityfs securityfs /sys/kernel/security`",
            ),
        },
    }
}

/// `none [integrity] confidentiality` is `integrity`.
fn chosen_mode(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once('[')?;
    Some(rest.split_once(']')?.0)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::doctor::State;

    #[test]
    fn the_mode_in_brackets_is_the_one() {
        assert_eq!(
            chosen_mode("none [integrity] confidentiality"),
            Some("integrity")
        );
        assert_eq!(chosen_mode("none"), None);
    }

    #[test]
    fn strict_lockdown_stops_recording() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("kernel/security");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(
            folder.join("lockdown"),
            "none integrity [confidentiality]\n",
        )
        .unwrap();
        let roots = Roots {
            proc: root.path().into(),
            sys: root.path().into(),
        };
        assert_eq!(lockdown(&roots).state, State::Fail);
    }

    #[test]
    fn a_feature_that_is_missing_or_cannot_be_asked_for_stops_recording() {
        let state = |supported: Result<bool, io::Error>| required("x", "", "", "", supported).state;
        assert_eq!(state(Ok(true)), State::Ok);
        assert_eq!(state(Ok(false)), State::Fail);
        assert_eq!(
            state(Err(io::Error::from_raw_os_error(libc::EPERM))),
            State::Fail
        );
    }
}
