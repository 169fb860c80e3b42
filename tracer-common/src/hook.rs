//! Places in the programs for code that the recorder generates for each probe.
//!
//! A template calls helper functions that do not exist in any kernel, by these numbers. In each
//! copy of the program, the recorder points such a call at a function that it appends or at a
//! kernel function (kfunc), or replaces it by its default result.

/// `fn(ctx, duration, entry) -> u64`: not zero if the event passes the filter. Default: 1.
pub const FILTER: u32 = 0x7ead_0001;

/// `fn(payload) -> u64`: writes the contexts of the event. Default: 0, without writing.
pub const CONTEXT: u32 = 0x7ead_0002;

/// `fn(ctx, payload) -> u64`: writes the fetched values; returns the number of bytes written and
/// [`FETCH_FAULTED`]. Default: 0.
pub const FETCH: u32 = 0x7ead_0003;

/// `fn(regs, filter, ret) -> u64`: as [`FILTER`], for the filter with this number in the
/// system-call table. Default: 1.
pub const SYSCALL_FILTER: u32 = 0x7ead_0004;

/// `fn(ctx) -> bool`: the kernel's `bpf_session_is_return`, whether the program runs for the
/// return of a call, not for its entry. Without a default.
pub const SESSION_IS_RETURN: u32 = 0x7ead_0005;

/// `fn(ctx) -> *mut u64`: the kernel's `bpf_session_cookie`, a number kept from the entry of a
/// call to its return. Without a default.
pub const SESSION_COOKIE: u32 = 0x7ead_0006;

/// `fn(values, filter, call) -> u64`: as [`SYSCALL_FILTER`], for whole calls. `values` are those of
/// the [`KeptCall`](crate::KeptCall) `call`. Default: 1.
pub const CALL_FILTER: u32 = 0x7ead_0007;

/// Bit of the result of [`FETCH`]: a value could not be read.
pub const FETCH_FAULTED: u64 = 1 << 32;
