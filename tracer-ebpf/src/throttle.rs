//! Sampling (`--every`: record every Nth event of a class) and rate limits (`--limit`). Events
//! left out are counted separately from lost events.
//!
//! Sampling is per CPU. A limit holds for all CPUs together: they count into one word, which
//! also has the number of the current window of time. Once a window is full, CPUs only read it.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use tracer_common::{LeftOut, Throttle};

use crate::atomics;
use crate::maps::{LEFT_OUT, THROTTLES, WINDOWS};

/// Whether an admitted event of `class` is recorded. If `throttled` is a constant, a class
/// without a throttle costs nothing.
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

/// Takes the first event and every Nth one after it.
#[inline(always)]
fn is_sampled(throttle: &Throttle, left_out: *mut LeftOut) -> bool {
    if throttle.every <= 1 {
        return true;
    }
    // SAFETY: live counters of this class on this CPU.
    unsafe {
        // A program can be interrupted by itself, if the scheduler preempts the process that it
        // runs for.
        let before = atomics::fetch_add_one(&raw mut (*left_out).seen);
        // An unchecked division would add the code of a panic.
        if before.checked_rem(u64::from(throttle.every)).unwrap_or(0) == 0 {
            return true;
        }
        atomics::add_one(&raw mut (*left_out).by_every);
    }
    false
}

#[inline(always)]
fn is_within_limit(throttle: &Throttle, class: u32, left_out: *mut LeftOut) -> bool {
    if throttle.limit == 0 || takes_place(throttle, class) {
        return true;
    }
    // SAFETY: as above.
    unsafe { atomics::add_one(&raw mut (*left_out).by_limit) };
    false
}

/// Counts an event into the current window if that is not full.
#[inline(always)]
fn takes_place(throttle: &Throttle, class: u32) -> bool {
    let Some(window) = WINDOWS.get_ptr_mut(class) else {
        return true;
    };
    // SAFETY: a live word that CPUs share.
    let word = unsafe { &raw mut (*window).word };
    let now = unsafe { bpf_ktime_get_ns() };
    // Checked, as above.
    let current = now.checked_div(throttle.window_ns).unwrap_or(0) as u32;
    // SAFETY: as above; volatile, because other CPUs change it.
    let seen = unsafe { core::ptr::read_volatile(word) };
    if !is_of(seen, current) {
        let first = u64::from(current) << 32 | 1;
        // SAFETY: as above.
        if unsafe { atomics::replace_if(word, seen, first) } {
            return true;
        }
        // Another CPU has started it.
    } else if events(seen) >= throttle.limit {
        return false;
    }
    // If several CPUs saw room at the same time, the last ones exceed the limit. Each CPU adds
    // at most one event too many here.
    // SAFETY: as above.
    events(unsafe { atomics::fetch_add_one(word) }) < throttle.limit
}

/// Whether `word` belongs to the window `current` or to the next one, which another CPU has
/// started that read the clock a little later.
#[inline(always)]
fn is_of(word: u64, current: u32) -> bool {
    let number = (word >> 32) as u32;
    number == current || number == current.wrapping_add(1)
}

#[inline(always)]
fn events(word: u64) -> u32 {
    word as u32
}
