//! State that programs and recorder share.

use core::mem::{align_of, size_of};

/// What holds for the whole recording; constant once the programs are loaded.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Process id of the recorder, whose events are not recorded; 0: none is left out.
    pub excluded_pid: u32,
    /// Not zero: only threads and processes in the `PIDS` map are recorded.
    pub filter_pids: u32,
    /// A reader is woken when this many bytes are waiting for it.
    pub wakeup_bytes: u32,
    /// Number of rows of loss counters per class: one for each possible CPU.
    pub cpu_count: u32,
    /// Class of `raw_syscalls:sys_enter`.
    pub raw_enter_class: u32,
    /// Class of `raw_syscalls:sys_exit`.
    pub raw_exit_class: u32,
    /// Not zero: system calls are recorded when they return, and not when they are entered.
    pub exits_only: u32,
    /// [`spec_flags`](crate::spec_flags) for stacks of `raw_syscalls:sys_enter`.
    pub raw_enter_flags: u32,
    /// As `raw_enter_flags`, of `raw_syscalls:sys_exit`.
    pub raw_exit_flags: u32,
    /// Bytes of the contexts in front of each payload, a multiple of 8.
    pub context_len: u32,
    /// The only id in the `PIDS` map, where one is enough and does not change; else 0.
    pub only_id: u32,
    /// Not zero: `raw_syscalls:sys_enter` has a [`Throttle`](crate::Throttle).
    pub raw_enter_throttled: u32,
    /// Not zero: `raw_syscalls:sys_exit` has one.
    pub raw_exit_throttled: u32,
}

impl Config {
    /// Records everything, of every process.
    pub const EMPTY: Self = Self {
        excluded_pid: 0,
        filter_pids: 0,
        wakeup_bytes: 0,
        cpu_count: 0,
        raw_enter_class: 0,
        raw_exit_class: 0,
        exits_only: 0,
        raw_enter_flags: 0,
        raw_exit_flags: 0,
        context_len: 0,
        only_id: 0,
        raw_enter_throttled: 0,
        raw_exit_throttled: 0,
    };
}

/// State of one CPU, in memory that both sides map. Only programs on that CPU write
/// the counters; only the recorder writes `enabled`.
#[repr(C, align(128))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuState {
    /// Events are recorded on this CPU while this is not zero.
    pub enabled: u32,
    /// Bytes submitted since the reader was woken.
    pub pending_bytes: u32,
    /// Counts finished reservations; a change tells an interrupted program that another
    /// event took its place in the ring.
    pub sequence: u64,
    /// Events of the trace, of all classes, that did not fit into the ring.
    pub lost: u64,
    /// 32-bit system calls, which have numbers of their own and are not recorded.
    pub compat_syscalls: u64,
    /// Threads that should have been followed when they were made on this CPU.
    pub not_followed: u64,
}

const _: () = {
    assert!(size_of::<CpuState>() == 128);
    assert!(align_of::<CpuState>() == 128);
    assert!(size_of::<Config>() == 52);
};
