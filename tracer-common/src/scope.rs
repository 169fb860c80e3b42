//! Whose events are recorded, and how many of them: what programs and recorder share about
//! that.

use core::mem::size_of;

/// A thread or process in the `PIDS` map, under its id.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Which process it is, beyond its number, which is given again when it is gone: the
    /// address of its `signal_struct`. 0: named by the user.
    pub process: u64,
    /// Not zero: recorded from its next exec on.
    pub pending: u32,
    /// Zero.
    pub reserved: u32,
}

/// Where the programs that follow processes find things in a `task_struct`, in bytes;
/// constant once they are loaded.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskLayout {
    /// Offset of `pid`, the thread id, 4 bytes.
    pub pid: u32,
    /// Offset of `signal`, an address.
    pub signal: u32,
}

impl TaskLayout {
    /// Stands for the layout until the recorder has set it.
    pub const EMPTY: Self = Self { pid: 0, signal: 0 };
}

/// How many events of a class are recorded.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Throttle {
    /// One of so many events, on each CPU; 0 and 1: all.
    pub every: u32,
    /// At most so many events in a window, on all CPUs together; 0: all.
    pub limit: u32,
    /// Length of a window in nanoseconds.
    pub window_ns: u64,
}

/// How many events of a class a window has, in a cache line of its own: CPUs share it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The number of the window in the upper half, its events in the lower.
    pub word: u64,
    /// Zero.
    pub reserved: [u64; 7],
}

/// What a [`Throttle`] left out of the events of a class on a CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Events that [`Throttle::every`] has looked at.
    pub seen: u64,
    /// Events that were left out by [`Throttle::every`].
    pub by_every: u64,
    /// Events that were left out by [`Throttle::limit`].
    pub by_limit: u64,
}

const _: () = {
    assert!(size_of::<Wanted>() == 16);
    assert!(size_of::<TaskLayout>() == 8);
    assert!(size_of::<Throttle>() == 16);
    assert!(size_of::<Window>() == 64);
    assert!(size_of::<LeftOut>() == 24);
};
