//! The eBPF programs of the tracer.
//!
//! A program decides whether to record an event ([`scope`], [`throttle`]), reserves its exact
//! size in the ring of this CPU, writes its final bytes there and submits it ([`emit`]). Events
//! that do not fit are counted. From the bottom up, each using only those before it:
//!
//! | modules | hold |
//! |---|---|
//! | [`maps`], [`atomics`], [`registers`], [`hook`] | what programs share with the recorder, the machine and generated code |
//! | [`pids`], [`scope`], [`throttle`] | which events are recorded |
//! | [`emit`] | the transport of events, and counters of lost ones |
//! | [`fetched`] | events of functions, for the next three |
//! | [`call`], [`function`], [`returned`], [`session`], [`syscall`], [`tracepoint`] | one kind of probe each |
//! | [`follow`] | programs that follow processes |
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![cfg_attr(target_arch = "bpf", feature(core_intrinsics))]
#![cfg_attr(target_arch = "bpf", allow(internal_features))]
// Refused here, each with its reason:
#![allow(
    // the verifier checks a function anew for each of its callers, and passing it an address
    // on the stack costs more than its instructions
    clippy::inline_always,
    // records of the ring and all that is built from them are aligned to 8 bytes
    clippy::cast_ptr_alignment,
    // programs take their contexts by value
    clippy::needless_pass_by_value,
    // an iterator over an array puts the array onto the stack
    clippy::needless_range_loop
)]

#[cfg(target_arch = "bpf")]
mod atomics;
#[cfg(target_arch = "bpf")]
mod call;
#[cfg(target_arch = "bpf")]
mod emit;
#[cfg(target_arch = "bpf")]
mod fetched;
#[cfg(target_arch = "bpf")]
mod follow;
#[cfg(target_arch = "bpf")]
mod function;
#[cfg(target_arch = "bpf")]
mod hook;
#[cfg(target_arch = "bpf")]
mod maps;
#[cfg(target_arch = "bpf")]
mod pids;
#[cfg(target_arch = "bpf")]
mod registers;
#[cfg(target_arch = "bpf")]
mod returned;
#[cfg(target_arch = "bpf")]
mod scope;
#[cfg(target_arch = "bpf")]
mod session;
#[cfg(target_arch = "bpf")]
mod syscall;
#[cfg(target_arch = "bpf")]
mod throttle;
#[cfg(target_arch = "bpf")]
mod tracepoint;

/// The programs exist for the eBPF target only; for any other target this is an empty program,
/// so that the whole workspace builds with one command.
#[cfg(not(target_arch = "bpf"))]
fn main() {}

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[cfg(target_arch = "bpf")]
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
