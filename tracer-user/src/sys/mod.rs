//! System calls without a safe wrapper elsewhere, and memory mappings.
//!
//! Besides [`ring`](crate::record::ring) and the storage of sub-buffers, the only place with
//! `unsafe` code. Readers of traces need only [`signals`] and [`stderr`].

#[cfg(feature = "record")]
pub mod bell;
#[cfg(feature = "record")]
pub mod bpf;
#[cfg(feature = "record")]
pub mod descriptors;
#[cfg(feature = "record")]
pub mod limits;
#[cfg(feature = "record")]
pub mod memory;
#[cfg(feature = "record")]
pub mod mount;
#[cfg(feature = "record")]
pub mod output;
#[cfg(feature = "record")]
pub mod page_cache;
#[cfg(feature = "record")]
pub mod perf;
#[cfg(feature = "record")]
pub mod perf_ring;
#[cfg(feature = "record")]
pub mod readable;
pub mod signals;
#[cfg(feature = "record")]
pub mod socket;
pub mod stderr;
#[cfg(feature = "record")]
pub mod zero_copy;

#[cfg(feature = "record")]
use std::io;

#[cfg(feature = "record")]
use rustix::time::{ClockId, clock_gettime};

#[cfg(feature = "record")]
pub use rustix::param::page_size;

/// CPU time that the calling thread has used, in nanoseconds.
#[cfg(feature = "record")]
#[must_use]
pub fn thread_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Converts the result of a C library call.
#[cfg(feature = "record")]
fn checked(ret: libc::c_long) -> io::Result<libc::c_long> {
    if ret < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(ret)
    }
}
