//! `perf_event_open(2)`: the events that tracepoint and kprobe programs attach to.
#![allow(unsafe_code)]

use std::{
    ffi::CStr,
    io, mem,
    os::fd::{FromRawFd, OwnedFd},
};

use aya_obj::generated::{
    PERF_FLAG_FD_CLOEXEC, perf_event_attr, perf_type_id::PERF_TYPE_TRACEPOINT,
};

use super::checked;

/// Opens the event of a tracepoint by its id. A program attached to it runs on all CPUs.
pub fn open_tracepoint(id: u32) -> io::Result<OwnedFd> {
    let mut attr = attributes();
    attr.type_ = PERF_TYPE_TRACEPOINT as u32;
    attr.config = u64::from(id);
    open(&attr)
}

/// Opens a kprobe at `offset` bytes into a function, or a uprobe at `offset` bytes into a
/// file; with `on_return` the kretprobe or uretprobe of the function there. `pmu_type` is what
/// `/sys/bus/event_source/devices/kprobe/type` (or `uprobe`) says, `on_return` the bit number
/// that `format/retprobe` there gives.
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
    open(&attr)
}

fn attributes() -> perf_event_attr {
    // SAFETY: plain integers; zero is the default of each.
    let mut attr: perf_event_attr = unsafe { mem::zeroed() };
    attr.size = mem::size_of::<perf_event_attr>() as u32;
    // Never enabled: a program attached to it runs all the same, and the kernel does not
    // look for a buffer to put its own sample into.
    attr.set_disabled(1);
    attr
}

fn open(attr: &perf_event_attr) -> io::Result<OwnedFd> {
    let (any_process, first_cpu, no_group) = (-1, 0, -1);
    // SAFETY: `attr` is whole and says its size; the string behind `config1` outlives the call.
    let fd = checked(unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            std::ptr::from_ref(attr),
            any_process,
            first_cpu,
            no_group,
            PERF_FLAG_FD_CLOEXEC,
        )
    })?;
    // SAFETY: the kernel just gave this descriptor to us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}
