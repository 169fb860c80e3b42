//! `perf_event_open(2)`: the events that tracepoint and kprobe programs attach to, and the one
//! that reports mappings of processes.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::os::fd::{FromRawFd, OwnedFd};
use std::{io, mem};

use aya_obj::generated::perf_event_sample_format::{PERF_SAMPLE_TID, PERF_SAMPLE_TIME};
use aya_obj::generated::perf_sw_ids::PERF_COUNT_SW_DUMMY;
use aya_obj::generated::perf_type_id::{PERF_TYPE_SOFTWARE, PERF_TYPE_TRACEPOINT};
use aya_obj::generated::{PERF_FLAG_FD_CLOEXEC, perf_event_attr};

use crate::sys::checked;

/// Opens the event of a tracepoint by id. A program attached to it runs on all CPUs.
pub fn open_tracepoint(id: u32) -> io::Result<OwnedFd> {
    let mut attr = attributes();
    attr.type_ = PERF_TYPE_TRACEPOINT as u32;
    attr.config = u64::from(id);
    open(&attr, 0)
}

/// Opens a kprobe at `offset` bytes into a function, or a uprobe at `offset` bytes into a
/// file; with `on_return`, the kretprobe or uretprobe of the function there. `pmu_type` is the
/// value in `/sys/bus/event_source/devices/kprobe/type` (or `uprobe`), `on_return` the bit number
/// in `format/retprobe` there.
pub fn open_probe(
    pmu_type: u32,
    function: &CStr,
    offset: u64,
    on_return: Option<u32>,
) -> io::Result<OwnedFd> {
    let mut attr = attributes();
    attr.type_ = pmu_type;
    attr.config = on_return.map_or(0, |bit| 1 << bit);
    attr.__bindgen_anon_3.config1 = function.as_ptr() as u64;
    attr.__bindgen_anon_4.config2 = offset;
    open(&attr, 0)
}

/// Opens an event without samples, for the kernel's side-band records: processes that start, exit,
/// execute programs and map code on this CPU. Each record ends with process and thread id (32 bits
/// each) and a `CLOCK_MONOTONIC` timestamp, and has the build id of the file if the kernel finds
/// it. A [`PerfRing`](super::perf_ring::PerfRing) of it is readable once it holds
/// `watermark_bytes`.
pub fn open_mappings(cpu: u32, watermark_bytes: u32) -> io::Result<OwnedFd> {
    let mut attr = attributes();
    attr.type_ = PERF_TYPE_SOFTWARE as u32;
    attr.config = PERF_COUNT_SW_DUMMY as u64;
    attr.set_disabled(0);
    attr.set_task(1);
    attr.set_comm(1);
    attr.set_comm_exec(1);
    attr.set_mmap(1);
    attr.set_mmap2(1);
    attr.set_build_id(1);
    attr.set_sample_id_all(1);
    attr.sample_type = PERF_SAMPLE_TID as u64 | PERF_SAMPLE_TIME as u64;
    attr.set_use_clockid(1);
    attr.clockid = libc::CLOCK_MONOTONIC;
    attr.set_watermark(1);
    attr.__bindgen_anon_2.wakeup_watermark = watermark_bytes;
    open(&attr, cpu)
}

fn attributes() -> perf_event_attr {
    // SAFETY: plain integers; zero is the default of each.
    let mut attr: perf_event_attr = unsafe { mem::zeroed() };
    attr.size = mem::size_of::<perf_event_attr>() as u32;
    // Events of programs are never enabled: attached programs run anyway, and the kernel does not
    // look for a buffer for samples.
    attr.set_disabled(1);
    attr
}

fn open(attr: &perf_event_attr, cpu: u32) -> io::Result<OwnedFd> {
    let (any_process, no_group) = (-1, -1);
    // SAFETY: `attr` is complete and has its size; the string in `config1` outlives the call.
    let fd = checked(unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            std::ptr::from_ref(attr),
            any_process,
            cpu,
            no_group,
            PERF_FLAG_FD_CLOEXEC,
        )
    })?;
    // SAFETY: the kernel just returned this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}
