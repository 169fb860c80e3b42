//! A private mount of tracefs, which no other process sees and which disappears with its owner, so
//! that recording works on systems where tracefs is not mounted.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use libc::{c_long, c_uint};

/// `enum fsconfig_command` of `include/uapi/linux/mount.h`: make the superblock.
const FSCONFIG_CMD_CREATE: c_uint = 6;
const FSOPEN_CLOEXEC: c_uint = 1;
const FSMOUNT_CLOEXEC: c_uint = 1;
const MOUNT_ATTR_NOSUID: c_uint = 0x2;
const MOUNT_ATTR_NODEV: c_uint = 0x4;
const MOUNT_ATTR_NOEXEC: c_uint = 0x8;

/// A detached mount of tracefs. It is not in any mount table; the kernel removes it when its last
/// file descriptor is closed, however the process ends.
#[derive(Debug)]
pub struct TracefsMount {
    path: PathBuf,
    /// Keeps the mount alive.
    _fd: OwnedFd,
}

impl TracefsMount {
    /// Mounts tracefs for this process alone (Linux 5.2).
    ///
    /// # Errors
    /// `EPERM` without `CAP_SYS_ADMIN`, `ENODEV` on a kernel without tracefs, `ENOSYS`
    /// before Linux 5.2.
    pub fn new() -> io::Result<Self> {
        let fd = mount_detached(c"tracefs")?;
        Ok(Self {
            path: PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd())),
            _fd: fd,
        })
    }

    /// Path of the mount; valid in this process while `self` lives.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The new mount API in three steps: a file system context, its superblock, and a mount that is
/// not attached to any path.
fn mount_detached(file_system: &CStr) -> io::Result<OwnedFd> {
    // SAFETY: the name is NUL-terminated and outlives the call.
    let context =
        owned(unsafe { libc::syscall(libc::SYS_fsopen, file_system.as_ptr(), FSOPEN_CLOEXEC) })?;
    // SAFETY: this command takes neither key nor value; both are null.
    check(unsafe {
        libc::syscall(
            libc::SYS_fsconfig,
            context.as_raw_fd(),
            FSCONFIG_CMD_CREATE,
            std::ptr::null::<u8>(),
            std::ptr::null::<u8>(),
            0,
        )
    })?;
    // SAFETY: no pointers are passed.
    owned(unsafe {
        libc::syscall(
            libc::SYS_fsmount,
            context.as_raw_fd(),
            FSMOUNT_CLOEXEC,
            MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
        )
    })
}

fn check(result: c_long) -> io::Result<c_long> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

fn owned(result: c_long) -> io::Result<OwnedFd> {
    let fd = check(result)?;
    // SAFETY: the kernel just returned this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount_table() -> String {
        std::fs::read_to_string("/proc/self/mounts").expect("procfs is mounted")
    }

    #[test]
    fn a_file_system_that_does_not_exist_is_an_error() {
        assert!(mount_detached(c"no-such-file-system").is_err());
    }

    #[test]
    fn a_failed_mount_leaves_the_mount_table_alone() {
        let before = mount_table();
        drop(mount_detached(c"no-such-file-system"));
        assert_eq!(mount_table(), before);
    }
}
