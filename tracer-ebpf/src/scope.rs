//! Whether an event is recorded; decided before anything is reserved.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_get_smp_processor_id};
use tracer_common::CpuState;

use crate::emit::count;
use crate::maps::{CPUS, constant};
use crate::pids;

/// The CPU and thread of an event that is recorded.
pub(crate) struct Scope {
    pub(crate) cpu: u32,
    pub(crate) state: *mut CpuState,
    pub(crate) tid: u32,
    pub(crate) pid: u32,
    /// The user requested the event. The others are recorded for the recorder itself, and
    /// losing them does not make the trace incomplete.
    pub(crate) requested: bool,
}

/// Whether the return of a call is going to be recorded, as far as is known at its entry.
pub(crate) enum Prospect {
    /// It is not.
    Refused,
    /// It is, if the recording, or that of its process, has started by then.
    Open,
    /// It is; the entry is admitted, too.
    Admitted,
}

/// Decides at the entry of a call.
#[inline(always)]
pub(crate) fn prospect() -> Prospect {
    let Some(scope) = admit_unfiltered() else {
        return Prospect::Open;
    };
    if is_recorder(scope.pid) {
        Prospect::Refused
    } else if constant!(CONFIG.filter_pids) == 0 || pids::is_wanted(scope.pid, scope.tid) {
        Prospect::Admitted
    } else if pids::is_pending(scope.pid) {
        Prospect::Open
    } else {
        Prospect::Refused
    }
}

/// Admits an event on a recorded CPU, except from the recorder and from threads that filters
/// exclude.
#[inline(always)]
pub(crate) fn admit() -> Option<Scope> {
    let pid_tgid = bpf_get_current_pid_tgid();
    if is_filtered(pid_tgid) {
        return None;
    }
    let Some(scope) = on_cpu(pid_tgid) else {
        if !is_recorder((pid_tgid >> 32) as u32) {
            count::unrecorded();
        }
        return None;
    };
    if is_recorder(scope.pid) {
        return None;
    }
    Some(Scope {
        requested: true,
        ..scope
    })
}

/// Whether this is the recorder's process, and it is not to be recorded.
#[inline(always)]
fn is_recorder(pid: u32) -> bool {
    let excluded = constant!(CONFIG.excluded_pid);
    excluded != 0 && pid == excluded
}

/// Admits an event on a recorded CPU, except from threads that filters exclude. These are
/// checked first, because that does not take the state of the CPU.
#[inline(always)]
pub(crate) fn admit_with_recorder() -> Option<Scope> {
    let pid_tgid = bpf_get_current_pid_tgid();
    if is_filtered(pid_tgid) {
        return None;
    }
    let Some(scope) = on_cpu(pid_tgid) else {
        count::unrecorded();
        return None;
    };
    Some(Scope {
        requested: true,
        ..scope
    })
}

/// Whether the user did not choose this thread.
#[inline(always)]
fn is_filtered(pid_tgid: u64) -> bool {
    constant!(CONFIG.filter_pids) != 0 && !pids::is_wanted((pid_tgid >> 32) as u32, pid_tgid as u32)
}

/// Admits any event on a recorded CPU, for the recorder itself.
#[inline(always)]
pub(crate) fn admit_unfiltered() -> Option<Scope> {
    on_cpu(bpf_get_current_pid_tgid())
}

/// Admits any event of this thread if its CPU is recorded.
#[inline(always)]
fn on_cpu(pid_tgid: u64) -> Option<Scope> {
    let cpu = unsafe { bpf_get_smp_processor_id() } as u32;
    let state = CPUS.get_ptr_mut(cpu)?;
    // SAFETY: the map has a `CpuState` for each CPU; the recorder may write it at any time.
    if unsafe { core::ptr::read_volatile(&raw const (*state).enabled) } != CpuState::RECORDED {
        return None;
    }
    Some(Scope {
        cpu,
        state,
        tid: pid_tgid as u32,
        pid: (pid_tgid >> 32) as u32,
        requested: false,
    })
}
