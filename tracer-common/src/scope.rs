//! Which threads are recorded, and how many of their events.

use core::mem::size_of;

use bytemuck::{Pod, Zeroable};

/// Entry of a thread or process in the `PIDS` map; the key is its id.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Wanted {
    /// Identifies the process even if its id is reused: the address of its `signal_struct`.
    /// 0: the user named the id.
    pub process: u64,
    /// Not zero: recorded only from its next exec on.
    pub pending: u32,
    /// Zero.
    pub reserved: u32,
}

/// Offsets in the kernel's `task_struct`, in bytes; constant once the programs are loaded.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct TaskLayout {
    /// Of `pid`, the thread id, 4 bytes.
    pub pid: u32,
    /// Of `signal`, an address.
    pub signal: u32,
    /// Of `status` in its `thread_info`, 4 bytes; 0: unknown.
    pub status: u32,
}

impl TaskLayout {
    /// Placeholder until the recorder sets it.
    pub const EMPTY: Self = Self {
        pid: 0,
        signal: 0,
        status: 0,
    };
}

/// Sampling and rate limit of a class.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Throttle {
    /// Record every Nth event on each CPU; 0 and 1: all.
    pub every: u32,
    /// Record at most this many events per window, on all CPUs together; 0: all.
    pub limit: u32,
    /// Length of a window in nanoseconds.
    pub window_ns: u64,
}

/// Events of a class in the current window; a cache line, because all CPUs write it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Window {
    /// The number of the window in the upper half, its events in the lower half.
    pub word: u64,
    /// Zero.
    pub reserved: [u64; 7],
}

/// Events of a class that a [`Throttle`] left out on a CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct LeftOut {
    /// Events that [`Throttle::every`] was applied to.
    pub seen: u64,
    /// Events left out by [`Throttle::every`].
    pub by_every: u64,
    /// Events left out by [`Throttle::limit`].
    pub by_limit: u64,
}

const _: () = {
    assert!(size_of::<Wanted>() == 16);
    assert!(size_of::<TaskLayout>() == 12);
    assert!(size_of::<Throttle>() == 16);
    assert!(size_of::<Window>() == 64);
    assert!(size_of::<LeftOut>() == 24);
};
