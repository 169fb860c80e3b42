//! The header of an event, in a BPF ring and in a trace file.

use core::mem::{offset_of, size_of};

use bytemuck::{Pod, Zeroable};

/// Size of [`EventHeader`] in bytes; the payload starts here.
pub const EVENT_HEADER_LEN: usize = size_of::<EventHeader>();

/// The largest event in bytes, header included. A kernel tracepoint record is at most
/// 8192 bytes (`PERF_MAX_TRACE_SIZE`, `include/linux/trace_events.h`).
pub const MAX_EVENT_LEN: usize = 16 * 1024;

/// Bytes of the per-CPU memory to build an event of variable length in: the event, and room
/// enough that a bounded copy cannot exceed it.
pub const SCRATCH_LEN: usize = 3 * MAX_EVENT_LEN;

/// Such memory areas per CPU for programs that can be interrupted by others of their kind: for a
/// thread and what may interrupt it (soft interrupt, interrupt, another thread).
pub const NESTED_LEVELS: u32 = 4;

/// The start of each event: 24 bytes, aligned to 8 in the ring and in the packet.
///
/// The first 20 bytes are the CTF event header (`timestamp`, `id`) and event context
/// (`tid`, `pid`). [`size`](Self::size) is alignment padding to CTF readers: the payload
/// structure is aligned to 64 bits.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct EventHeader {
    /// `CLOCK_MONOTONIC` in nanoseconds.
    pub timestamp_ns: u64,
    /// Id of the event class.
    pub class: u32,
    /// Thread id (the kernel's `pid`).
    pub tid: u32,
    /// Process id (the kernel's `tgid`).
    pub pid: u32,
    /// Bytes of the event, with this header but without padding at its end.
    pub size: u32,
}

const _: () = {
    assert!(size_of::<EventHeader>() == 24);
    assert!(offset_of!(EventHeader, class) == 8);
    assert!(offset_of!(EventHeader, tid) == 12);
    assert!(offset_of!(EventHeader, pid) == 16);
    assert!(offset_of!(EventHeader, size) == 20);
    assert!(MAX_EVENT_LEN.is_power_of_two());
};

impl EventHeader {
    /// Reads the header of the event that starts with `bytes`; none if they are too few.
    #[inline]
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (header, _) = bytes.split_first_chunk::<EVENT_HEADER_LEN>()?;
        Some(bytemuck::pod_read_unaligned(header))
    }
}
