//! Relaxed atomic operations.
//!
//! The compiler's eBPF targets declare no atomic read-modify-write, though the instruction set
//! has them: these are the compiler's intrinsics.

use core::intrinsics::{AtomicOrdering, atomic_cxchg, atomic_xadd, atomic_xchg};

/// Adds one to a counter.
///
/// # Safety
/// `counter` points to a live counter.
#[inline(always)]
pub(crate) unsafe fn add_one(counter: *mut u64) {
    // SAFETY: by the caller.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(counter, 1) };
}

/// Adds one to a counter and returns its previous value.
///
/// # Safety
/// `counter` points to a live counter.
#[inline(always)]
pub(crate) unsafe fn fetch_add_one(counter: *mut u64) -> u64 {
    // Not relaxed: LLVM turns that into an addition that does not return the previous value.
    // SAFETY: by the caller.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::AcqRel }>(counter, 1) }
}

/// Replaces a value and returns the previous one.
///
/// # Safety
/// `word` points to a live value.
#[inline(always)]
pub(crate) unsafe fn swap(word: *mut u32, new: u32) -> u32 {
    // SAFETY: by the caller.
    unsafe { atomic_xchg::<u32, { AtomicOrdering::Relaxed }>(word, new) }
}

/// Replaces a value if it is still `current`; returns whether it was.
///
/// # Safety
/// `word` points to a live value.
#[inline(always)]
pub(crate) unsafe fn replace_if(word: *mut u64, current: u64, new: u64) -> bool {
    // SAFETY: by the caller.
    let (_, replaced) = unsafe {
        atomic_cxchg::<u64, { AtomicOrdering::Relaxed }, { AtomicOrdering::Relaxed }>(
            word, current, new,
        )
    };
    replaced
}
