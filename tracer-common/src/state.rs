//! Settings and state that programs and recorder share.

use core::mem::{align_of, size_of};

use bytemuck::{Pod, Zeroable};

/// Settings of the whole recording; constant once the programs are loaded.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Config {
    /// Process id of the recorder, whose events are not recorded; 0: they are.
    pub excluded_pid: u32,
    /// Not zero: record only threads and processes in the `PIDS` map.
    pub filter_pids: u32,
    /// Wake the reader once this many bytes are waiting for it.
    pub wakeup_bytes: u32,
    /// Number of possible CPUs: loss counters per class.
    pub cpu_count: u32,
    /// Class of `raw_syscalls:sys_enter`.
    pub raw_enter_class: u32,
    /// Class of `raw_syscalls:sys_exit`.
    pub raw_exit_class: u32,
    /// Not zero: the returns of system calls are recorded, but no entries.
    pub exits_only: u32,
    /// [`spec_flags`](crate::spec_flags) for stacks of `raw_syscalls:sys_enter`.
    pub raw_enter_flags: u32,
    /// [`spec_flags`](crate::spec_flags) for stacks of `raw_syscalls:sys_exit`.
    pub raw_exit_flags: u32,
    /// Bytes of the contexts before each payload, a multiple of 8.
    pub context_len: u32,
    /// The only id to record, if there is just one for the whole recording; 0: see `PIDS`.
    pub only_id: u32,
    /// Not zero: `raw_syscalls:sys_enter` has a [`Throttle`](crate::Throttle).
    pub raw_enter_throttled: u32,
    /// Not zero: `raw_syscalls:sys_exit` has a [`Throttle`](crate::Throttle).
    pub raw_exit_throttled: u32,
    /// Slots for the strings of a system call that is recorded as one event.
    pub call_string_slots: u32,
    /// Not zero: whole system calls are recorded, but neither entries nor returns.
    pub calls_only: u32,
}

impl Config {
    /// Record everything, of every process.
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
        call_string_slots: 0,
        calls_only: 0,
    };
}

/// State of one CPU, in memory shared by both sides. Only programs on that CPU write the
/// counters; only the recorder writes `enabled`.
#[repr(C, align(128))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuState {
    /// What happens to events on this CPU: [`CpuState::OFF`], [`CpuState::RECORDED`] or
    /// [`CpuState::COUNTED`].
    pub enabled: u32,
    /// Bytes submitted since the reader was woken.
    pub pending_bytes: u32,
    /// Counts reservations, so that an interrupted program notices that another event was
    /// reserved.
    pub sequence: u64,
    /// Lost events of all classes that the user requested.
    pub lost: u64,
    /// System calls of 32-bit code, which have other numbers and are not recorded.
    pub compat_syscalls: u64,
    /// New threads on this CPU that could not be followed.
    pub not_followed: u64,
    /// Events on a CPU that came online while others were recorded.
    pub unrecorded: u64,
    /// System calls kept at their entry, to be recorded when they return.
    pub calls_entered: u64,
    /// Those that have returned.
    pub calls_returned: u64,
}

impl CpuState {
    /// Events are ignored.
    pub const OFF: u32 = 0;
    /// Events are recorded.
    pub const RECORDED: u32 = 1;
    /// Events are counted as [`unrecorded`](Self::unrecorded): the CPU has no ring.
    pub const COUNTED: u32 = 2;
}

const _: () = {
    assert!(size_of::<CpuState>() == 128);
    assert!(align_of::<CpuState>() == 128);
    assert!(size_of::<Config>() == 60);
};
