//! What BPF can do, found by loading minimal programs and maps.

use std::error::Error;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use aya::maps::MapType;
use aya::programs::ProgramType;
use aya::sys::{BpfHelper, is_helper_supported, is_map_supported, is_program_supported};
use aya_obj::generated::bpf_attach_type::{
    BPF_TRACE_FENTRY, BPF_TRACE_FEXIT, BPF_TRACE_KPROBE_MULTI,
};
use aya_obj::generated::bpf_prog_type::{
    BPF_PROG_TYPE_KPROBE, BPF_PROG_TYPE_TRACEPOINT, BPF_PROG_TYPE_TRACING,
};
use aya_obj::generated::{BPF_ALU64, BPF_EXIT, BPF_JMP, BPF_K, BPF_MOV, bpf_insn};

use crate::kernel::features::system::MemoryReads;
use crate::kernel::features::{Missing, Support};
use crate::sys::bpf::{self, BPF_TRACE_KPROBE_SESSION, ProgramKind};

/// Why kprobe-multi is missing.
const NO_MULTI: Missing = Missing::NotSupported {
    since: (5, 18),
    options: "CONFIG_FPROBE",
};

/// Why kprobe-session is missing.
pub(super) const NO_SESSION: Missing = Missing::NotSupported {
    since: (6, 10),
    options: "CONFIG_FPROBE",
};

/// A symbol that no kernel has.
const NO_SYMBOL: &str = "tracer has no such function";

pub(super) fn tracepoint_programs() -> Support {
    supported(
        is_program_supported(ProgramType::TracePoint),
        Missing::NotBuilt("CONFIG_BPF_SYSCALL and CONFIG_BPF_EVENTS"),
    )
}

pub(super) fn ring_buffer() -> Support {
    supported(is_map_supported(MapType::RingBuf), Missing::Older(5, 8))
}

pub(super) fn dynptr() -> Support {
    supported(
        is_helper_supported(
            ProgramType::TracePoint,
            BpfHelper::BPF_FUNC_ringbuf_reserve_dynptr,
        ),
        Missing::Older(5, 19),
    )
}

/// Whether programs can read kernel memory, if that can be found out.
pub(super) fn reads_kernel_memory() -> Option<MemoryReads> {
    let helper = BpfHelper::BPF_FUNC_probe_read_kernel;
    match is_helper_supported(ProgramType::TracePoint, helper) {
        Ok(true) => Some(MemoryReads::Allowed),
        Ok(false) => Some(MemoryReads::Forbidden),
        Err(_) => None,
    }
}

pub(super) fn perf_links() -> Support {
    let program = load(ProgramKind::of(BPF_PROG_TYPE_TRACEPOINT))?;
    // The program is not a perf event: a kernel with such links looks, and says so.
    match bpf::link_to_perf_event(program.as_fd(), program.as_fd(), 0) {
        Err(error) if error.raw_os_error() == Some(libc::EBADF) => Ok(()),
        Err(error) => Err(missing(&error, Missing::Older(5, 15))),
        Ok(_) => Ok(()),
    }
}

pub(super) fn kprobe_multi() -> Support {
    multi(BPF_TRACE_KPROBE_MULTI as u32, NO_MULTI)
}

pub(super) fn kprobe_session() -> Support {
    multi(BPF_TRACE_KPROBE_SESSION, NO_SESSION)
}

/// Attaches a program to a function that does not exist: only a kernel that can attach to many
/// functions looks for it.
fn multi(attach_type: u32, otherwise: Missing) -> Support {
    let program = load(ProgramKind {
        kind: BPF_PROG_TYPE_KPROBE,
        attach_type: Some(attach_type),
        btf_id: 0,
    })?;
    let symbols = [CString::new(NO_SYMBOL).map_err(|error| Missing::Unknown(error.to_string()))?];
    match bpf::link_to_functions(program.as_fd(), attach_type, &symbols, &[0]) {
        Err(error) => looked_up(&error, otherwise),
        Ok(_) => Ok(()),
    }
}

/// Whether the kernel looked for the symbol (`ftrace_lookup_symbols`).
fn looked_up(error: &io::Error, otherwise: Missing) -> Support {
    match error.raw_os_error() {
        Some(libc::ESRCH | libc::ENOENT) => Ok(()),
        _ => Err(missing(error, otherwise)),
    }
}

pub(super) fn fentry(target: u32) -> Support {
    trampoline(BPF_TRACE_FENTRY as u32, target)
}

pub(super) fn fexit(target: u32) -> Support {
    trampoline(BPF_TRACE_FEXIT as u32, target)
}

fn trampoline(attach_type: u32, target: u32) -> Support {
    const ABSENT: Missing = Missing::NotSupported {
        since: (5, 5),
        options: "CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS",
    };
    let program = load(ProgramKind {
        kind: BPF_PROG_TYPE_TRACING,
        attach_type: Some(attach_type),
        btf_id: target,
    })?;
    match bpf::link_to_raw_tracepoint(program.as_fd(), None) {
        Ok(_) => Ok(()),
        Err(error) => Err(missing(&error, ABSENT)),
    }
}

/// Loads a program that returns 0.
fn load(kind: ProgramKind) -> Support<OwnedFd> {
    let instruction = |code: u32| bpf_insn {
        code: code as u8,
        _bitfield_align_1: [],
        _bitfield_1: bpf_insn::new_bitfield_1(0, 0),
        off: 0,
        imm: 0,
    };
    let program = [
        instruction(BPF_ALU64 | BPF_MOV | BPF_K),
        instruction(BPF_JMP | BPF_EXIT),
    ];
    bpf::load_program(kind, "feature", &program, c"GPL")
        .map_err(|error| missing(&error.cause, Missing::Unknown(error.cause.to_string())))
}

/// What a refusal means: `otherwise`, where the kernel does not know what it was asked for.
fn missing(error: &io::Error, otherwise: Missing) -> Missing {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => Missing::NotPermitted(error.to_string()),
        Some(libc::EINVAL | libc::EOPNOTSUPP | libc::ENOSYS) => otherwise,
        _ => Missing::Unknown(error.to_string()),
    }
}

/// An answer of aya.
fn supported(answer: Result<bool, impl Error>, otherwise: Missing) -> Support {
    match answer {
        Ok(true) => Ok(()),
        Ok(false) => Err(otherwise),
        Err(error) => Err(Missing::NotPermitted(with_causes(&error))),
    }
}

/// An error with its causes: aya's messages name the call, their sources the reason.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_aya_cannot_give_names_its_cause() {
        let denied = || Err::<bool, _>(io::Error::from_raw_os_error(libc::EPERM));
        assert_eq!(supported(Ok::<_, io::Error>(true), NO_MULTI), Ok(()));
        assert_eq!(
            supported(Ok::<_, io::Error>(false), NO_MULTI),
            Err(NO_MULTI)
        );
        let error = supported(denied(), NO_MULTI).unwrap_err();
        assert!(error.to_string().contains("not permitted"), "{error}");
    }

    #[test]
    fn only_a_kernel_that_looks_for_the_symbol_has_kprobe_multi() {
        let answer = |errno| looked_up(&io::Error::from_raw_os_error(errno), NO_MULTI);
        assert_eq!(answer(libc::ESRCH), Ok(()));
        assert_eq!(answer(libc::EOPNOTSUPP), Err(NO_MULTI));
        assert_eq!(answer(libc::EINVAL), Err(NO_MULTI));
        assert!(matches!(answer(libc::EPERM), Err(Missing::NotPermitted(_))));
        assert!(matches!(answer(libc::ENOMEM), Err(Missing::Unknown(_))));
    }
}
