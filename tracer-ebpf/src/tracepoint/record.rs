//! The kernel's record of a tracepoint.

use core::ffi::c_void;

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use aya_ebpf::programs::TracePointContext;

/// Address of the bytes at `offset`.
#[inline(always)]
pub(crate) fn at(ctx: &TracePointContext, offset: u32) -> *const c_void {
    ctx.as_ptr().cast_const().wrapping_byte_add(offset as usize)
}

/// The number at `offset`.
#[inline(always)]
pub(crate) fn u32_at(ctx: &TracePointContext, offset: u32) -> u32 {
    let mut word = 0u32;
    unsafe { bpf_probe_read_kernel((&raw mut word).cast(), 4, at(ctx, offset)) };
    word
}
