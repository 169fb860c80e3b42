//! How many events of a class are recorded: one of so many (`--every`), at most so many in a
//! time (`--limit`). What is left out is counted apart from what is lost.
//!
//! Sampling is counted for each CPU, in memory of its own. A limit holds for all CPUs: they
//! count into one word, which has the number of the present window of time, too. While a
//! window is full, CPUs only read it.

use core::intrinsics::{AtomicOrdering, atomic_cxchg, atomic_xadd};

use aya_ebpf::helpers::bpf_ktime_get_ns;
use tracer_common::{LeftOut, Throttle};

use crate::emit;
use crate::maps::{LEFT_OUT, THROTTLES, WINDOWS};

/// Whether an admitted event of `class` is recorded. A class that is not `throttled` pays
/// nothing where that is a constant.
#[inline(always)]
pub(crate) fn passes(throttled: bool, class: u32) -> bool {
    if !throttled {
        return true;
    }
    let (Some(throttle), Some(left_out)) = (THROTTLES.get(class), LEFT_OUT.get_ptr_mut(class))
    else {
        return true;
    };
    is_sampled(throttle, left_out) && is_within_limit(throttle, class, left_out)
}

/// Takes the first event, and then each `every`th.
#[inline(always)]
fn is_sampled(throttle: &Throttle, left_out: *mut LeftOut) -> bool {
    if throttle.every <= 1 {
        return true;
    }
    // SAFETY: live counters of this class on this CPU.
    unsafe {
        let before = add_one(&raw mut (*left_out).seen);
        // An unchecked division would bring in the code of a panic.
        if before.checked_rem(u64::from(throttle.every)).unwrap_or(0) == 0 {
            return true;
        }
        emit::add_one(&raw mut (*left_out).by_every);
    }
    false
}

#[inline(always)]
fn is_within_limit(throttle: &Throttle, class: u32, left_out: *mut LeftOut) -> bool {
    if throttle.limit == 0 || takes_place(throttle, class) {
        return true;
    }
    // SAFETY: as above.
    unsafe { emit::add_one(&raw mut (*left_out).by_limit) };
    false
}

/// Counts an event into the present window, if that has room.
#[inline(always)]
fn takes_place(throttle: &Throttle, class: u32) -> bool {
    let Some(window) = WINDOWS.get_ptr_mut(class) else {
        return true;
    };
    // SAFETY: a live word that CPUs share.
    let word = unsafe { &raw mut (*window).word };
    let now = unsafe { bpf_ktime_get_ns() };
    // Unchecked, as above.
    let present = now.checked_div(throttle.window_ns).unwrap_or(0) as u32;
    // SAFETY: as above; volatile, because other CPUs change it.
    let seen = unsafe { core::ptr::read_volatile(word) };
    if !is_of(seen, present) {
        let first = u64::from(present) << 32 | 1;
        // SAFETY: as above.
        let (_, begun) = unsafe {
            atomic_cxchg::<u64, { AtomicOrdering::Relaxed }, { AtomicOrdering::Relaxed }>(
                word, seen, first,
            )
        };
        if begun {
            return true;
        }
        // Another CPU has begun it.
    } else if events(seen) >= throttle.limit {
        return false;
    }
    // Of CPUs that have seen room at the same time, those go beyond the limit that come last.
    // What they add here is at most one for each CPU.
    // SAFETY: as above.
    events(unsafe { add_one(word) }) < throttle.limit
}

/// Adds one to a counter; gives what it was before. Atomic, because the program of a class can
/// be interrupted by itself where it runs for a process that the scheduler takes off the CPU.
///
/// # Safety
/// `counter` points to a live counter.
#[inline(always)]
unsafe fn add_one(counter: *mut u64) -> u64 {
    // Not relaxed: LLVM makes of that an addition that does not say what was there before.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::AcqRel }>(counter, 1) }
}

/// Whether `word` is of the window `present`, or of the one behind it, which a CPU has begun
/// whose clock was read a little later.
#[inline(always)]
fn is_of(word: u64, present: u32) -> bool {
    let number = (word >> 32) as u32;
    number == present || number == present.wrapping_add(1)
}

#[inline(always)]
fn events(word: u64) -> u32 {
    word as u32
}
