//! What the eBPF programs and the recorder share.
//!
//! Wire structs have a fixed layout, checked by const assertions, and are converted from and to
//! bytes by [`bytemuck`]: the [event header](EventHeader) that starts each record of a BPF ring,
//! the [specification](ProbeSpec) that specializes a program for one probe, the rows of the
//! [system-call tables](SyscallSpec), the [settings](Config) of the recording, and the
//! [state of a CPU](CpuState) in shared memory. [`arch`] has all that depends on the processor
//! architecture. [`subbuf`] is the protocol by which the two sides of a stream exchange
//! sub-buffers, over atomics that [`sync`] selects.
#![no_std]

pub mod arch;
mod call;
mod event;
pub mod hook;
mod request;
mod scope;
mod spec;
mod state;
#[cfg(target_has_atomic = "64")]
pub mod subbuf;
mod syscall_call;
// The compiler's eBPF targets declare no compare-and-swap, though the instruction set has
// one from v3: an eBPF writer will need its own atomics there.
#[cfg(target_has_atomic = "64")]
pub mod sync;

pub use call::{CallEntry, CallKey, FunctionCookie, MAX_ENTRY_VALUES, RETURN_SLOT_LEN};
pub use event::{EVENT_HEADER_LEN, EventHeader, MAX_EVENT_LEN, NESTED_LEVELS, SCRATCH_LEN};
pub use request::{REQUEST_LETTERS, request_bits, request_flags};
pub use scope::{LeftOut, TaskLayout, Throttle, Wanted, Window};
pub use spec::{
    FAULT_STRING, MAX_PIECES, MAX_PRIORITIES, MAX_STRING_LEN, MAX_SYSCALL_ARGS, MAX_SYSCALLS,
    NULL_STRING, NULL_STRING_LEN, Piece, PieceKind, ProbeSpec, REALTIME_PRIORITIES,
    SYSCALL_ARG_SLOT_LEN, SyscallSpec, spec_flags,
};
pub use state::{Config, CpuState};
pub use syscall_call::{
    CALL_STRING_SLOT_LEN, CallSpec, KeptCall, MAX_CALL_STRINGS, call_traits, call_values,
};
