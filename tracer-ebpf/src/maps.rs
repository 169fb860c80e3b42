//! The maps and constants that programs share with the recorder.
//!
//! Sizes that depend on the machine (number of CPUs, of classes) are set by the recorder
//! when it loads the object; the entries given here are placeholders.

use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::btf_maps::{Array, ArrayOfMaps, HashMap, PerCpuArray, RingBuf};
use aya_ebpf::macros::btf_map;
use tracer_common::{
    CallEntry, CallKey, Config, CpuState, LeftOut, MAX_SYSCALLS, ProbeSpec, SyscallSpec,
    TaskLayout, Throttle, Wanted, Window,
};

use crate::scratch::ScratchArea;

/// One BPF ring for each CPU that is recorded, by CPU number.
#[btf_map]
pub(crate) static RINGS: ArrayOfMaps<RingBuf<u8, 4096>, 1> = ArrayOfMaps::new();

/// State by CPU number, mapped by the recorder.
#[btf_map]
pub(crate) static CPUS: Array<CpuState, 1, { BPF_F_MMAPABLE as usize }> = Array::new();

/// Events that did not fit, at `class * Config::cpu_count + cpu`.
#[btf_map]
pub(crate) static LOST: Array<u64, 1> = Array::new();

/// Events with a fetched value that could not be read, at the same places.
#[btf_map]
pub(crate) static FAULTS: Array<u64, 1> = Array::new();

/// Calls that are under way. The recorder replaces this map by one whose values have room for
/// what is fetched at entries.
#[btf_map]
pub(crate) static ENTRIES: HashMap<CallKey, CallEntry, 1> = HashMap::new();

/// Threads and processes to record, when `Config::filter_pids` says so.
#[btf_map]
pub(crate) static PIDS: HashMap<u32, Wanted, 1> = HashMap::new();

/// How many events of a class are recorded, by class; of classes that have such a limit.
#[btf_map]
pub(crate) static THROTTLES: Array<Throttle, 1> = Array::new();

/// The present window of a limit, by class.
#[btf_map]
pub(crate) static WINDOWS: Array<Window, 1> = Array::new();

/// What throttles left out, by class.
#[btf_map]
pub(crate) static LEFT_OUT: PerCpuArray<LeftOut, 1> = PerCpuArray::new();

/// System calls to record when they are entered, by number.
#[btf_map]
pub(crate) static SYSCALL_ENTER: Array<SyscallSpec, MAX_SYSCALLS> = Array::new();

/// System calls to record when they return, by number.
#[btf_map]
pub(crate) static SYSCALL_EXIT: Array<SyscallSpec, MAX_SYSCALLS> = Array::new();

/// Where an event of variable length is put together, by CPU. Programs of this kind do not
/// nest on a CPU (`bpf_prog_active`, `kernel/trace/bpf_trace.c`).
#[btf_map]
pub(crate) static SCRATCH: Array<ScratchArea, 1> = Array::new();

/// As [`SCRATCH`], for programs that can be interrupted by others of their kind: several for
/// each CPU.
#[btf_map]
pub(crate) static NESTED_SCRATCH: Array<ScratchArea, 1> = Array::new();

/// As [`SCRATCH`], for system calls, whose programs can be interrupted by the others.
#[btf_map]
pub(crate) static SYSCALL_SCRATCH: Array<ScratchArea, 1> = Array::new();

/// Threads that were just made, and their processes: `tid << 32 | pid` in the slot of
/// `tid % NEW_THREAD_SLOTS`.
#[btf_map]
pub(crate) static NEW_THREADS: Array<u64, { NEW_THREAD_SLOTS as usize }> = Array::new();

/// No two threads of one slot are made in the same moment.
pub(crate) const NEW_THREAD_SLOTS: u32 = 1024;

/// What holds for the whole recording.
#[unsafe(no_mangle)]
pub(crate) static CONFIG: Config = Config::EMPTY;

/// Where things are in a thread, for the programs that follow processes.
#[unsafe(no_mangle)]
pub(crate) static TASK_LAYOUT: TaskLayout = TaskLayout::EMPTY;

/// The shape of the event class that this copy of a program emits. The recorder lays one
/// specification per probe into a map of its own and points each copy at its row.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".rodata.spec")]
pub(crate) static SPEC: ProbeSpec = ProbeSpec::EMPTY;

/// Reads a member of a constant that the recorder sets before it loads the program.
macro_rules! constant {
    ($global:ident $($member:tt)*) => {
        // SAFETY: the address of a live static; volatile, because the recorder replaces
        // the value that the compiler knows.
        unsafe { core::ptr::read_volatile(&raw const $crate::maps::$global $($member)*) }
    };
}
pub(crate) use constant;
