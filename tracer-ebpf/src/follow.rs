//! Following processes: threads and processes started by recorded ones are recorded, too.
//!
//! If the creator of a thread is followed, the id of the new thread is entered into the map
//! before it first runs (`task:task_newtask`, `copy_process` in `kernel/fork.c`). If the creator
//! is not followed, the same program removes the id, so that a reused id is never followed
//! because of its previous owner. An entry stays until the kernel frees the thread or, for the
//! id of a process, its first thread, which is freed last (`sched:sched_process_free`), so that
//! everything up to its end is recorded.

use core::ffi::c_void;
use core::mem::size_of;

use aya_ebpf::bindings::BPF_ANY;
use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_get_smp_processor_id};
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use tracer_common::Wanted;

use crate::atomics;
use crate::maps::{CPUS, PIDS, constant};
use crate::pids::{begin_command, is_listed};

/// `CLONE_THREAD` (`include/uapi/linux/sched.h`): the new thread belongs to its creator's
/// process.
const CLONE_THREAD: u64 = 0x0001_0000;

/// `task:task_newtask`: the thread and its `clone` flags.
#[btf_tracepoint(function = "task_newtask")]
pub(crate) fn on_newtask(ctx: BtfTracePointContext) -> i32 {
    let (task, flags): (*const c_void, u64) = (ctx.arg(0), ctx.arg(1));
    let pid_tgid = bpf_get_current_pid_tgid();
    let of_process = is_listed((pid_tgid >> 32) as u32);
    let covered = of_process && flags & CLONE_THREAD != 0;
    if (of_process || is_listed(pid_tgid as u32)) && !covered {
        follow(thread_id(task), process_of(task));
    } else {
        // Fails if it is not in the map.
        let _ = PIDS.remove(thread_id(task));
    }
    0
}

/// `sched:sched_process_exec`: the thread and its previous id. The thread that calls exec takes
/// over the id of the first thread (`de_thread`, `fs/exec.c`).
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

/// `sched:sched_process_free`: a thread that has ended.
#[btf_tracepoint(function = "sched_process_free")]
pub(crate) fn on_free(ctx: BtfTracePointContext) -> i32 {
    let task: *const c_void = ctx.arg(0);
    let id = thread_id(task);
    // SAFETY: plain numbers, as in `is_listed`.
    let Some(wanted) = (unsafe { PIDS.get(id) }) else {
        return 0;
    };
    let process = wanted.process;
    // Its id may have been reused by another thread that is followed.
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
        unsafe { atomics::add_one(&raw mut (*state).not_followed) };
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

/// Reads a member of a thread that the kernel has not freed.
#[inline(always)]
fn read<T>(task: *const c_void, offset: u32, into: &mut T) {
    let source = task.wrapping_byte_add(offset as usize);
    // On an error it stays zero, which is the id of no thread and no process.
    unsafe { bpf_probe_read_kernel((&raw mut *into).cast(), size_of::<T>() as u32, source) };
}
