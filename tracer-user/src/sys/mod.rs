//! System calls that have no safe wrapper elsewhere, and memory mappings.
//!
//! With [`ring`](crate::record::ring) the only place with `unsafe` code.

pub mod bell;
pub mod bpf;
pub mod limits;
pub mod memory;
pub mod mount;
pub mod output;
pub mod page_cache;
pub mod perf;
pub mod perf_ring;
pub mod signals;
pub mod socket;
pub mod zero_copy;

use std::io;

use rustix::time::{ClockId, clock_gettime};

pub use rustix::param::page_size;

/// CPU time of the calling thread so far, in nanoseconds.
#[must_use]
pub fn thread_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The result of a system call as the C library gives it.
fn checked(ret: libc::c_long) -> io::Result<libc::c_long> {
    if ret < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(ret)
    }
}
