//! Whether an event is recorded at all: decided before anything is reserved.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_get_smp_processor_id};
use tracer_common::CpuState;

use crate::follow;
use crate::maps::{CPUS, constant};

/// Where and for whom an admitted event happens.
pub(crate) struct Scope {
    pub(crate) cpu: u32,
    pub(crate) state: *mut CpuState,
    pub(crate) tid: u32,
    pub(crate) pid: u32,
    /// The user asked for it; other events are the recorder's own notes, whose loss is no
    /// loss of the trace.
    pub(crate) asked_for: bool,
}

/// What becomes of the return of a call, as far as that is known at its entry.
pub(crate) enum Prospect {
    /// It will not be admitted.
    Refused,
    /// It may be admitted, when recording has begun by then, or its process has.
    Open,
    /// The entry is admitted.
    Admitted,
}

/// Looks at a call when it is entered.
#[inline(always)]
pub(crate) fn prospect() -> Prospect {
    let Some(scope) = admit_unfiltered() else {
        return Prospect::Open;
    };
    if is_recorder(scope.pid) {
        Prospect::Refused
    } else if constant!(CONFIG.filter_pids) == 0 || follow::is_wanted(scope.pid, scope.tid) {
        Prospect::Admitted
    } else if follow::is_pending(scope.pid) {
        Prospect::Open
    } else {
        Prospect::Refused
    }
}

/// Admits an event on a CPU that records, unless it happens in the recorder or filters refuse
/// its thread.
#[inline(always)]
pub(crate) fn admit() -> Option<Scope> {
    let scope = admit_with_recorder()?;
    if is_recorder(scope.pid) {
        return None;
    }
    Some(scope)
}

/// Whether this is the recorder's process, which is not to be recorded.
#[inline(always)]
fn is_recorder(pid: u32) -> bool {
    let excluded = constant!(CONFIG.excluded_pid);
    excluded != 0 && pid == excluded
}

/// Admits an event on a CPU that records, unless filters refuse its thread. That is looked at
/// first: what is refused needs no state of its CPU.
#[inline(always)]
pub(crate) fn admit_with_recorder() -> Option<Scope> {
    let pid_tgid = bpf_get_current_pid_tgid();
    if constant!(CONFIG.filter_pids) != 0
        && !follow::is_wanted((pid_tgid >> 32) as u32, pid_tgid as u32)
    {
        return None;
    }
    Some(Scope {
        asked_for: true,
        ..on_cpu(pid_tgid)?
    })
}

/// Admits any event on a CPU that records, for the recorder itself.
#[inline(always)]
pub(crate) fn admit_unfiltered() -> Option<Scope> {
    on_cpu(bpf_get_current_pid_tgid())
}

/// Admits any event of this thread, if its CPU records.
#[inline(always)]
fn on_cpu(pid_tgid: u64) -> Option<Scope> {
    let cpu = unsafe { bpf_get_smp_processor_id() } as u32;
    let state = CPUS.get_ptr_mut(cpu)?;
    // SAFETY: the map holds a `CpuState` for each CPU; the recorder may write it any time.
    if unsafe { core::ptr::read_volatile(&raw const (*state).enabled) } == 0 {
        return None;
    }
    Some(Scope {
        cpu,
        state,
        tid: pid_tgid as u32,
        pid: (pid_tgid >> 32) as u32,
        asked_for: false,
    })
}
