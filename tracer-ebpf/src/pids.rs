//! Lookups in [`PIDS`](crate::maps::PIDS), the threads and processes to record.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;

use crate::maps::{PIDS, constant};

/// Whether events of this thread are recorded.
#[inline(always)]
pub(crate) fn is_wanted(pid: u32, tid: u32) -> bool {
    let only = constant!(CONFIG.only_id);
    if only != 0 {
        return pid == only || tid == only;
    }
    is_listed(pid) || (tid != pid && is_listed(tid))
}

/// Whether a thread or process is in the map and recorded already.
#[inline(always)]
pub(crate) fn is_listed(id: u32) -> bool {
    // SAFETY: plain numbers; an entry that is replaced meanwhile belongs to a thread that is
    // just starting or ending.
    unsafe { PIDS.get(id) }.is_some_and(|wanted| wanted.pending == 0)
}

/// Whether events of this process are recorded from its next exec on.
#[inline(always)]
pub(crate) fn is_pending(pid: u32) -> bool {
    // SAFETY: as in `is_listed`.
    constant!(CONFIG.only_id) == 0
        && unsafe { PIDS.get(pid) }.is_some_and(|wanted| wanted.pending != 0)
}

/// Starts recording the current process if it is the command of the recording: the exec of
/// that command has just succeeded.
#[inline(always)]
pub(crate) fn begin_command() {
    let pid = (bpf_get_current_pid_tgid() >> 32) as u32;
    if let Some(wanted) = PIDS.get_ptr_mut(pid) {
        // SAFETY: the entry of the current process, which only this program writes.
        unsafe { (*wanted).pending = 0 };
    }
}
