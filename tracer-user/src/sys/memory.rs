//! Memory mappings that are unmapped when dropped.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;

/// A mapping of whole pages.
#[derive(Debug)]
pub struct MemoryMap {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: plain memory, not tied to a thread; its owners synchronize accesses (atomics in
// `ring`, exclusive borrows in `PageBuffer`).
unsafe impl Send for MemoryMap {}
// SAFETY: as above; a shared `MemoryMap` only exposes its address.
unsafe impl Sync for MemoryMap {}

impl MemoryMap {
    /// Maps `len` bytes of `file` from `offset` for reading and, if `writable`, writing;
    /// changes are shared with all other mappings of the file.
    pub fn of_file(
        file: BorrowedFd<'_>,
        offset: usize,
        len: usize,
        writable: bool,
    ) -> io::Result<Self> {
        let protection = if writable {
            libc::PROT_READ | libc::PROT_WRITE
        } else {
            libc::PROT_READ
        };
        Self::map(len, protection, libc::MAP_SHARED, file.as_raw_fd(), offset)
    }

    /// Maps `len` bytes of private, zeroed memory; the kernel allocates pages on first access.
    pub fn anonymous(len: usize) -> io::Result<Self> {
        Self::map(
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    }

    fn map(len: usize, protection: i32, flags: i32, fd: i32, offset: usize) -> io::Result<Self> {
        // SAFETY: the kernel chooses a free place for a new mapping.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                protection,
                flags,
                fd,
                offset as libc::off_t,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mapped at 0"))?;
        Ok(Self { start, len })
    }

    /// Start address.
    #[must_use]
    pub fn as_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// Size in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Never true: a mapping has at least one page.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Drop for MemoryMap {
    fn drop(&mut self) {
        // SAFETY: we own the mapping, and it is not used any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// Whole pages of private memory, used as bytes.
#[derive(Debug)]
pub struct PageBuffer(MemoryMap);

impl PageBuffer {
    /// `len` zeroed bytes; the kernel allocates pages on first access.
    pub fn new(len: usize) -> io::Result<Self> {
        MemoryMap::anonymous(len).map(Self)
    }
}

impl std::ops::Deref for PageBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the mapping is readable in its whole length, private, and borrowed.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr(), self.0.len) }
    }
}

impl std::ops::DerefMut for PageBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and exclusively borrowed.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_ptr(), self.0.len) }
    }
}
