//! Calls of the code that the recorder generates for each probe ([`tracer_common::hook`]).

use core::ffi::c_void;
use core::mem::transmute;

use tracer_common::{CallEntry, KeptCall, hook};

/// Whether the event passes the filter. At the return of a function, `duration` is how long the
/// call took, and `entry` what was stored at its entry; null if there is nothing.
#[inline(always)]
pub(crate) fn filter(ctx: *const c_void, duration: i64, entry: *const CallEntry) -> bool {
    // SAFETY: called by number like all helper functions; the recorder replaces the call
    // before the kernel sees it.
    unsafe {
        let call: unsafe extern "C" fn(*const c_void, i64, *const CallEntry) -> u64 =
            transmute(hook::FILTER as usize);
        call(ctx, duration, entry) != 0
    }
}

/// As [`filter`], for a filter of the system-call table. `ret` is the result of the call.
#[inline(always)]
pub(crate) fn syscall_filter(regs: *const c_void, filter: u64, ret: i64) -> bool {
    // SAFETY: as above.
    unsafe {
        let call: unsafe extern "C" fn(*const c_void, u64, i64) -> u64 =
            transmute(hook::SYSCALL_FILTER as usize);
        call(regs, filter, ret) != 0
    }
}

/// As [`filter`], for a filter of the table of whole system calls.
#[inline(always)]
pub(crate) fn call_filter(call: *const KeptCall, filter: u64) -> bool {
    // SAFETY: as above; the values are a member of the call.
    unsafe {
        let values = &raw const (*call).values;
        let filter_call: unsafe extern "C" fn(*const c_void, u64, *const KeptCall) -> u64 =
            transmute(hook::CALL_FILTER as usize);
        filter_call(values.cast(), filter, call) != 0
    }
}

/// Writes the contexts of the event to `payload`.
#[inline(always)]
pub(crate) fn context(payload: *mut u8) {
    // SAFETY: as above.
    unsafe {
        let call: unsafe extern "C" fn(*mut u8) -> u64 = transmute(hook::CONTEXT as usize);
        call(payload);
    }
}

/// Writes the fetched values to `payload`.
#[inline(always)]
pub(crate) fn fetch(ctx: *const c_void, payload: *mut u8) -> Fetched {
    // SAFETY: as above.
    unsafe {
        let call: unsafe extern "C" fn(*const c_void, *mut u8) -> u64 =
            transmute(hook::FETCH as usize);
        Fetched(call(ctx, payload))
    }
}

/// Whether the program of a session runs for the return of a call, not for its entry.
#[inline(always)]
pub(crate) fn session_is_return(ctx: *const c_void) -> bool {
    // SAFETY: as above.
    unsafe {
        let call: unsafe extern "C" fn(*const c_void) -> bool =
            transmute(hook::SESSION_IS_RETURN as usize);
        call(ctx)
    }
}

/// A number that the program of a session keeps from the entry of a call to its return, valid
/// for reads and writes as long as the program runs.
#[inline(always)]
pub(crate) fn session_cookie(ctx: *const c_void) -> *mut u64 {
    // SAFETY: as above.
    unsafe {
        let call: unsafe extern "C" fn(*const c_void) -> *mut u64 =
            transmute(hook::SESSION_COOKIE as usize);
        call(ctx)
    }
}

/// The result of fetching values.
pub(crate) struct Fetched(u64);

impl Fetched {
    /// Bytes of payload.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.0 as u32 as usize
    }

    /// A value could not be read.
    #[inline(always)]
    pub(crate) fn faulted(&self) -> bool {
        self.0 & hook::FETCH_FAULTED != 0
    }
}
