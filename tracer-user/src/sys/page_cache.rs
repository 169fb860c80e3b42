//! How much of a file is in the page cache.
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd};
use std::{io, ptr};

use crate::sys::memory::MemoryMap;
use crate::sys::{checked, page_size};

/// `cachestat(2)` (Linux 6.5); the number is the same on all architectures.
const CACHESTAT: libc::c_long = 451;

/// `struct cachestat_range` of `include/uapi/linux/mman.h`.
#[repr(C)]
struct Range {
    offset: u64,
    len: u64,
}

/// `struct cachestat` of the same header, in pages.
#[repr(C)]
#[derive(Default)]
struct Counts {
    cached: u64,
    dirty: u64,
    writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

/// Number of bytes of a file of `len` bytes in the page cache, in whole pages.
pub fn resident_bytes(file: BorrowedFd<'_>, len: u64) -> io::Result<u64> {
    let pages = match by_cachestat(file) {
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => by_mincore(file, len)?,
        counted => counted?,
    };
    Ok(pages * page_size() as u64)
}

fn by_cachestat(file: BorrowedFd<'_>) -> io::Result<u64> {
    // A length of 0 means up to the end.
    let whole = Range { offset: 0, len: 0 };
    let mut counts = Counts::default();
    // SAFETY: both pointers are to live values in the kernel's layout; it reads the first and
    // writes the second.
    let done = unsafe {
        libc::syscall(
            CACHESTAT,
            file.as_raw_fd(),
            ptr::from_ref(&whole),
            ptr::from_mut(&mut counts),
            0,
        )
    };
    checked(done).map(|_| counts.cached)
}

fn by_mincore(file: BorrowedFd<'_>, len: u64) -> io::Result<u64> {
    if len == 0 {
        return Ok(0);
    }
    let mapping = MemoryMap::of_file(file, 0, len as usize, false)?;
    let mut pages = vec![0_u8; mapping.len().div_ceil(page_size())];
    // SAFETY: the range is a live mapping, and `pages` has a byte for each of its pages.
    let done = unsafe { libc::mincore(mapping.as_ptr().cast(), mapping.len(), pages.as_mut_ptr()) };
    checked(done.into())?;
    Ok(pages.iter().filter(|page| **page & 1 != 0).count() as u64)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn data_just_written_is_in_the_page_cache() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[1; 10_000]).unwrap();
        let whole = 10_000_u64.next_multiple_of(page_size() as u64);
        assert_eq!(resident_bytes(file.as_fd(), 10_000).unwrap(), whole);
    }

    #[test]
    fn cachestat_and_mincore_agree() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[1; 10_000]).unwrap();
        file.set_len(1 << 20).unwrap();
        let counted = by_cachestat(file.as_fd());
        // Absent before Linux 6.5.
        if let Ok(pages) = counted {
            assert_eq!(by_mincore(file.as_fd(), 1 << 20).unwrap(), pages);
        }
    }
}
