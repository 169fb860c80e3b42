//! The eBPF programs of the tracer.
//!
//! Each program decides whether an event is wanted ([`scope`]), reserves exactly its size in
//! the ring of its CPU, writes the event's final bytes there and submits it ([`emit`]). What
//! does not fit is counted. One file per kind of probe; [`maps`] is what the recorder sees.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![cfg_attr(target_arch = "bpf", feature(core_intrinsics))]
#![cfg_attr(target_arch = "bpf", allow(internal_features))]
// Refused here, each with its reason:
#![allow(
    // the verifier follows a function of its own anew from each caller, and an address on
    // the stack that it is given costs more than its instructions
    clippy::inline_always,
    // records of the ring and what is made of them are aligned to 8 bytes by construction
    clippy::cast_ptr_alignment,
    // contexts are handed to programs by value
    clippy::needless_pass_by_value,
    // an iterator over an array keeps it on the stack
    clippy::needless_range_loop
)]

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
mod returned;
#[cfg(target_arch = "bpf")]
mod scope;
#[cfg(target_arch = "bpf")]
mod scratch;
#[cfg(target_arch = "bpf")]
mod session;
#[cfg(target_arch = "bpf")]
mod syscall;
#[cfg(target_arch = "bpf")]
mod throttle;
#[cfg(target_arch = "bpf")]
mod tracepoint;
#[cfg(target_arch = "bpf")]
mod worked_out;

/// The programs exist for the eBPF target alone; on any other they are checked as an
/// empty program, so that the whole workspace can be built in one go.
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
