//! The wire layout that the eBPF programs and the recorder share.
//!
//! Everything here is plain data with a fixed layout, checked by const assertions: the
//! [event header](EventHeader) that starts each record of a BPF ring, the
//! [specification](ProbeSpec) that specialises one program for one probe, the
//! [system-call table](SyscallSpec), and the [state of a CPU](CpuState) that both sides
//! see through shared memory. [`subbuf`] is the protocol by which the two sides of a
//! stream pass sub-buffers to each other, over atomics that [`sync`] chooses.
#![no_std]

mod call;
mod event;
pub mod hook;
mod request;
mod scope;
mod spec;
mod state;
#[cfg(target_has_atomic = "64")]
pub mod subbuf;
// The compiler's eBPF targets declare no compare-and-swap, though the instruction set has
// one from v3: an eBPF writer will need atomics of its own there.
#[cfg(target_has_atomic = "64")]
pub mod sync;

pub use call::{CallEntry, CallKey, FunctionCookie, MAX_ENTRY_VALUES, RETURN_SLOT_LEN};
pub use event::{EVENT_HEADER_LEN, EventHeader, MAX_EVENT_LEN, NESTED_LEVELS, SCRATCH_LEN};
pub use request::{REQUEST_LETTERS, request_bits, request_flags};
pub use scope::{LeftOut, TaskLayout, Throttle, Wanted, Window};
pub use spec::{
    MAX_PIECES, MAX_PRIORITIES, MAX_STRING_LEN, MAX_SYSCALL_ARGS, MAX_SYSCALLS, Piece, PieceKind,
    ProbeSpec, REALTIME_PRIORITIES, SYSCALL_ARG_SLOT_LEN, SyscallSpec, spec_flags,
};
pub use state::{Config, CpuState};
