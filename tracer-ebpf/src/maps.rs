//! The maps and constants that programs share with the recorder.
//!
//! Map sizes that depend on the machine (number of CPUs, of classes) are set by the recorder
//! when it loads the object; the sizes given here are placeholders.

use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::btf_maps::{Array, ArrayOfMaps, HashMap, PerCpuArray, RingBuf};
use aya_ebpf::macros::btf_map;
use tracer_common::{
    CallEntry, CallKey, CallSpec, Config, CpuState, KeptCall, LeftOut, MAX_SYSCALLS, ProbeSpec,
    SCRATCH_LEN, SyscallSpec, TaskLayout, Throttle, Wanted, Window,
};

/// One BPF ring for each recorded CPU, by CPU number.
#[btf_map]
pub(crate) static RINGS: ArrayOfMaps<RingBuf<u8, 4096>, 1> = ArrayOfMaps::new();

/// State of each CPU, by CPU number; mapped by the recorder.
#[btf_map]
pub(crate) static CPUS: Array<CpuState, 1, { BPF_F_MMAPABLE as usize }> = Array::new();

/// Lost events, at `class * Config::cpu_count + cpu`.
#[btf_map]
pub(crate) static LOST: Array<u64, 1> = Array::new();

/// Events with a fetched value that could not be read, at the same indices.
#[btf_map]
pub(crate) static FAULTS: Array<u64, 1> = Array::new();

/// Calls that have not returned yet. The recorder replaces this map by one whose values have
/// room for what is fetched at entries.
#[btf_map]
pub(crate) static ENTRIES: HashMap<CallKey, CallEntry, 1> = HashMap::new();

/// Threads and processes to record, if `Config::filter_pids` is set.
#[btf_map]
pub(crate) static PIDS: HashMap<u32, Wanted, 1> = HashMap::new();

/// Sampling and rate limit of a class, by class.
#[btf_map]
pub(crate) static THROTTLES: Array<Throttle, 1> = Array::new();

/// The current window of a rate limit, by class.
#[btf_map]
pub(crate) static WINDOWS: Array<Window, 1> = Array::new();

/// Events left out by throttles, by class.
#[btf_map]
pub(crate) static LEFT_OUT: PerCpuArray<LeftOut, 1> = PerCpuArray::new();

/// System calls whose entry is recorded, by number.
#[btf_map]
pub(crate) static SYSCALL_ENTER: Array<SyscallSpec, MAX_SYSCALLS> = Array::new();

/// System calls whose return is recorded, by number.
#[btf_map]
pub(crate) static SYSCALL_EXIT: Array<SyscallSpec, MAX_SYSCALLS> = Array::new();

/// System calls that are recorded as one event, by number.
#[btf_map]
pub(crate) static SYSCALL_CALL: Array<CallSpec, MAX_SYSCALLS> = Array::new();

/// What is kept of the system call of each thread. The recorder replaces this map by a task
/// storage whose values have room for strings.
#[btf_map]
pub(crate) static CALLS: HashMap<u32, KeptCall, 1> = HashMap::new();

/// Memory to build an event of variable length in, by CPU, for programs that do not nest on a
/// CPU (`bpf_prog_active`, `kernel/trace/bpf_trace.c`).
#[btf_map]
pub(crate) static SCRATCH: Array<ScratchArea, 1> = Array::new();

/// As [`SCRATCH`], several for each CPU, for programs that can be interrupted by others of
/// their kind.
#[btf_map]
pub(crate) static NESTED_SCRATCH: Array<ScratchArea, 1> = Array::new();

/// As [`SCRATCH`], for system calls, whose programs can be interrupted by those that use
/// [`SCRATCH`].
#[btf_map]
pub(crate) static SYSCALL_SCRATCH: Array<ScratchArea, 1> = Array::new();

/// New threads and their processes: `tid << 32 | pid` at `tid % NEW_THREAD_SLOTS`.
#[btf_map]
pub(crate) static NEW_THREADS: Array<u64, { NEW_THREAD_SLOTS as usize }> = Array::new();

/// Enough that two threads created at the same time have different slots.
pub(crate) const NEW_THREAD_SLOTS: u32 = 1024;

/// Settings of the whole recording.
#[unsafe(no_mangle)]
pub(crate) static CONFIG: Config = Config::EMPTY;

/// Offsets in a `task_struct`, for the programs that follow processes.
#[unsafe(no_mangle)]
pub(crate) static TASK_LAYOUT: TaskLayout = TaskLayout::EMPTY;

/// The shape of the event class that this copy of a program emits. The recorder puts the
/// specifications of all probes into one map and points each copy at its row.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".rodata.spec")]
pub(crate) static SPEC: ProbeSpec = ProbeSpec::EMPTY;

/// The memory of one CPU to build an event in.
///
/// The counters live here and not in registers: the verifier does not track values in maps, so
/// paths that differ only in these are one path to it.
#[repr(C)]
pub(crate) struct ScratchArea {
    /// Bytes of the event so far.
    pub(crate) len: u64,
    /// Bit `i`: the string of argument `i` was cut.
    pub(crate) cut: u8,
    /// Bit `i`: the string of argument `i` could not be read.
    pub(crate) unreadable: u8,
    reserved: [u8; 2],
    /// Not zero: in use by a program, if programs of this kind can interrupt each other.
    pub(crate) taken: u32,
    pub(crate) event: [u8; SCRATCH_LEN],
}

/// Reads a member of a constant that the recorder sets before it loads the program.
macro_rules! constant {
    ($global:ident $($member:tt)*) => {
        // SAFETY: the address of a live static; volatile, because the recorder replaces
        // the value that the compiler sees.
        unsafe { core::ptr::read_volatile(&raw const $crate::maps::$global $($member)*) }
    };
}
pub(crate) use constant;
