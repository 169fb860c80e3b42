//! Which threads and processes are recorded, and what those that are followed start.
//!
//! A new thread has its number entered before it runs for the first time
//! (`task:task_newtask`, `copy_process` in `kernel/fork.c`), if its creator is followed. The
//! same program takes the number out if its creator is not: so a number that is given again
//! is never followed for what had it before. An entry stays until the kernel has let go of
//! the thread or, for the number of a process, of its first thread, which goes last
//! (`sched:sched_process_free`); all that happens while it ends is recorded.

use core::ffi::c_void;
use core::mem::size_of;

use aya_ebpf::bindings::BPF_ANY;
use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_get_smp_processor_id};
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use tracer_common::Wanted;

use crate::emit;
use crate::maps::{CPUS, PIDS, constant};

/// `CLONE_THREAD` (`include/uapi/linux/sched.h`): the new thread is of its creator's process.
const CLONE_THREAD: u64 = 0x0001_0000;

/// Whether events of this thread are recorded.
#[inline(always)]
pub(crate) fn is_wanted(pid: u32, tid: u32) -> bool {
    let only = constant!(CONFIG.only_id);
    if only != 0 {
        return pid == only || tid == only;
    }
    is_listed(pid) || (tid != pid && is_listed(tid))
}

#[inline(always)]
fn is_listed(id: u32) -> bool {
    // SAFETY: plain numbers, written whole; an entry that is replaced meanwhile is one that
    // is just coming or going.
    unsafe { PIDS.get(id) }.is_some_and(|wanted| wanted.pending == 0)
}

/// Whether events of this process are recorded from its next exec on.
#[inline(always)]
pub(crate) fn is_pending(pid: u32) -> bool {
    // SAFETY: as in `is_listed`.
    constant!(CONFIG.only_id) == 0
        && unsafe { PIDS.get(pid) }.is_some_and(|wanted| wanted.pending != 0)
}

/// From here on the command of the recording is recorded, if it is the one that runs: it has
/// just been loaded.
#[inline(always)]
pub(crate) fn begin_command() {
    let pid = (bpf_get_current_pid_tgid() >> 32) as u32;
    if let Some(wanted) = PIDS.get_ptr_mut(pid) {
        // SAFETY: the entry of the process that runs here; nobody else writes it.
        unsafe { (*wanted).pending = 0 };
    }
}

/// `task:task_newtask`: the thread, and how it was made.
#[btf_tracepoint(function = "task_newtask")]
pub(crate) fn on_newtask(ctx: BtfTracePointContext) -> i32 {
    let (task, flags): (*const c_void, u64) = (ctx.arg(0), ctx.arg(1));
    let pid_tgid = bpf_get_current_pid_tgid();
    let of_process = is_listed((pid_tgid >> 32) as u32);
    let covered = of_process && flags & CLONE_THREAD != 0;
    if (of_process || is_listed(pid_tgid as u32)) && !covered {
        follow(thread_id(task), process_of(task));
    } else {
        // An error means that it was not there.
        let _ = PIDS.remove(thread_id(task));
    }
    0
}

/// `sched:sched_process_exec`: the thread, and the number that it had before. The number of
/// the first thread goes over to the one that calls exec (`de_thread`, `fs/exec.c`).
#[btf_tracepoint(function = "sched_process_exec")]
pub(crate) fn on_exec(ctx: BtfTracePointContext) -> i32 {
    begin_command();
    let (task, old_id): (*const c_void, u32) = (ctx.arg(0), ctx.arg(1));
    let id = bpf_get_current_pid_tgid() as u32;
    if id != old_id && is_listed(old_id) && !is_listed(id) {
        follow(id, process_of(task));
    }
    0
}

/// `sched:sched_process_free`: a thread that is gone.
#[btf_tracepoint(function = "sched_process_free")]
pub(crate) fn on_free(ctx: BtfTracePointContext) -> i32 {
    let task: *const c_void = ctx.arg(0);
    let id = thread_id(task);
    // SAFETY: as in `is_listed`.
    let Some(wanted) = (unsafe { PIDS.get(id) }) else {
        return 0;
    };
    let process = wanted.process;
    // Its number may have been given to another one that is followed, too.
    if process == 0 || process == process_of(task) {
        let _ = PIDS.remove(id);
    }
    0
}

#[inline(always)]
fn follow(id: u32, process: u64) {
    let wanted = Wanted {
        process,
        pending: 0,
        reserved: 0,
    };
    if PIDS.insert(id, wanted, u64::from(BPF_ANY)).is_ok() {
        return;
    }
    let cpu = unsafe { bpf_get_smp_processor_id() } as u32;
    if let Some(state) = CPUS.get_ptr_mut(cpu) {
        // SAFETY: the live counter of this CPU.
        unsafe { emit::add_one(&raw mut (*state).not_followed) };
    }
}

#[inline(always)]
fn thread_id(task: *const c_void) -> u32 {
    let mut id = 0u32;
    read(task, constant!(TASK_LAYOUT.pid), &mut id);
    id
}

#[inline(always)]
fn process_of(task: *const c_void) -> u64 {
    let mut signal = 0u64;
    read(task, constant!(TASK_LAYOUT.signal), &mut signal);
    signal
}

/// Reads a member of a thread that the kernel holds on to.
#[inline(always)]
fn read<T>(task: *const c_void, offset: u32, into: &mut T) {
    let source = task.wrapping_byte_add(offset as usize);
    // An error leaves zero, which is no thread and no process.
    unsafe { bpf_probe_read_kernel((&raw mut *into).cast(), size_of::<T>() as u32, source) };
}
