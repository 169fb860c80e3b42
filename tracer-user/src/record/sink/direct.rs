//! Whether a file can be written past the page cache.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, StatxFlags, fstatfs, statx};

use crate::sys::output::{Call, Calls};
use crate::sys::page_size;

/// `TMPFS_MAGIC` of `include/uapi/linux/magic.h`.
const TMPFS_MAGIC: i64 = 0x0102_1994;

/// `STATX_DIOALIGN` (Linux 6.1): what direct I/O asks of memory and offsets.
const DIRECT_ALIGNMENT: StatxFlags = StatxFlags::from_bits_retain(libc::STATX_DIOALIGN);

/// True if the file is kept in memory alone.
pub(super) fn is_in_memory(file: BorrowedFd<'_>) -> bool {
    fstatfs(file).is_ok_and(|system| system.f_type == TMPFS_MAGIC)
}

/// Sets `O_DIRECT` for the file.
///
/// # Errors
/// Why it cannot be, or would do nothing: a file system may take the flag and copy all the
/// same.
pub(super) fn switch_on(calls: &mut impl Calls, file: BorrowedFd<'_>) -> Result<(), String> {
    if is_in_memory(file) {
        return Err("tmpfs keeps its files in memory".to_owned());
    }
    // If the kernel or the file system does not support the query, the attempt decides.
    let answer = statx(file, c"", AtFlags::EMPTY_PATH, DIRECT_ALIGNMENT)
        .ok()
        .filter(|answer| answer.stx_mask & DIRECT_ALIGNMENT.bits() != 0);
    if let Some(answer) = answer {
        check_alignment(answer.stx_dio_mem_align, answer.stx_dio_offset_align)?;
    }
    calls
        .call(Call::SetDirect {
            file: file.as_fd(),
            on: true,
        })
        .map(drop)
        .map_err(|error| format!("the file system refuses O_DIRECT: {error}"))
}

/// Sub-buffers and packets are whole pages. That must do.
fn check_alignment(memory: u32, offset: u32) -> Result<(), String> {
    let page = page_size();
    if memory == 0 || offset == 0 {
        return Err("the file system does no direct I/O for this file".to_owned());
    }
    if !page.is_multiple_of(memory as usize) || !page.is_multiple_of(offset as usize) {
        return Err(format!(
            "direct I/O needs memory aligned to {memory} and offsets aligned to {offset} bytes, \
             pages have {page}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_pages_satisfy_what_devices_ask_for() {
        assert_eq!(check_alignment(4, 512), Ok(()));
        assert_eq!(check_alignment(512, 4096), Ok(()));
    }

    #[test]
    fn a_file_without_direct_io_reports_zeros() {
        assert!(check_alignment(0, 0).unwrap_err().contains("no direct I/O"));
    }

    #[test]
    fn blocks_larger_than_a_page_are_too_large() {
        let error = check_alignment(512, 1 << 20).unwrap_err();
        assert!(error.contains("1048576"), "{error}");
    }
}
