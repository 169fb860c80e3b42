//! Places in the programs at which the recorder puts code that it makes for one probe.
//!
//! A template calls a helper function that no kernel has, by one of these numbers. The
//! recorder points each such call at a function that it appends to the copy of the program,
//! or at a function of the kernel that is no helper, or replaces the call by its default
//! result.

/// `fn(ctx, ret) -> u64`: whether the event is wanted. Default: 1.
pub const FILTER: u32 = 0x7ead_0001;

/// `fn(payload) -> u64`: writes the contexts of the event. Default: 0, nothing is written.
pub const CONTEXT: u32 = 0x7ead_0002;

/// `fn(ctx, payload) -> u64`: writes the values that are fetched; the bytes that were
/// written, and in bit 32 whether one of them could not be read. Default: 0.
pub const FETCH: u32 = 0x7ead_0003;

/// `fn(regs, filter, ret) -> u64`: as [`FILTER`], for the filter of that number of the
/// system-call table. Default: 1.
pub const SYSCALL_FILTER: u32 = 0x7ead_0004;

/// `fn(ctx) -> bool`: the kernel's `bpf_session_is_return`, whether the program runs for the
/// return of a call and not for its entry. Has no default.
pub const SESSION_IS_RETURN: u32 = 0x7ead_0005;

/// `fn(ctx) -> *mut u64`: the kernel's `bpf_session_cookie`, which the program has to itself
/// from the entry of a call to its return. Has no default.
pub const SESSION_COOKIE: u32 = 0x7ead_0006;

/// Bit of the result of [`FETCH`]: a value could not be read.
pub const FETCH_FAULTED: u64 = 1 << 32;
