//! The header of an event, as it lies in a BPF ring and in a trace file.

use core::mem::{offset_of, size_of};

/// Size of [`EventHeader`] in bytes; the payload starts here.
pub const EVENT_HEADER_LEN: usize = size_of::<EventHeader>();

/// The largest event in bytes, header included. A kernel tracepoint record is at most
/// 8192 bytes (`PERF_MAX_TRACE_SIZE`, `include/linux/trace_events.h`).
pub const MAX_EVENT_LEN: usize = 16 * 1024;

/// Size in bytes of the per-CPU scratch in which an event of variable length is put
/// together: the event itself, plus room so that a bounded copy can never leave it.
pub const SCRATCH_LEN: usize = 3 * MAX_EVENT_LEN;

/// Scratches of each CPU for programs that can be interrupted by others of their kind: a
/// thread, and what may come between it and its end (soft interrupt, interrupt, another
/// thread).
pub const NESTED_LEVELS: u32 = 4;

/// What each event starts with: 24 bytes, 8-byte aligned in the ring and in the packet.
///
/// The first 20 bytes are the CTF event header (`timestamp`, `id`) and event context
/// (`tid`, `pid`). [`size`](Self::size) lies where CTF readers see alignment padding:
/// the payload structure is aligned to 64 bits.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventHeader {
    /// `CLOCK_MONOTONIC` in nanoseconds.
    pub timestamp_ns: u64,
    /// Id of the event class.
    pub class: u32,
    /// Thread id (the kernel's `pid`).
    pub tid: u32,
    /// Process id (the kernel's `tgid`).
    pub pid: u32,
    /// Bytes of the whole event, header included, without padding at its end.
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
    /// Reads the header of an event that starts at `bytes`; none if there are too few.
    #[inline]
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (header, _) = bytes.split_first_chunk::<EVENT_HEADER_LEN>()?;
        let word = |at: usize| {
            u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let (timestamp, _) = header.split_first_chunk()?;
        Some(Self {
            timestamp_ns: u64::from_ne_bytes(*timestamp),
            class: word(8),
            tid: word(12),
            pid: word(16),
            size: word(20),
        })
    }
}
