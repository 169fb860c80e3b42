//! Zero copy for sockets: an option, and a queue that reports when pages are free again.
//!
//! See the kernel's `Documentation/networking/msg_zerocopy.rst`.
#![allow(unsafe_code)]

use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::{io, ptr};

use rustix::io::Errno;

use crate::sys::checked;

/// `SO_EE_ORIGIN_ZEROCOPY` in `include/uapi/linux/errqueue.h`.
const ORIGIN_ZERO_COPY: u8 = 5;

/// `SO_EE_CODE_ZEROCOPY_COPIED`, a bit.
const CODE_COPIED: u8 = 1;

/// Reports that the kernel is done with the pages of some sends. Successful sends of a socket with
/// `MSG_ZEROCOPY` are numbered from 0; the number wraps around.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Number of the first send.
    pub first: u32,
    /// Number of the last send.
    pub last: u32,
    /// Whether the kernel copied the pages after all.
    pub copied: bool,
}

/// Enables `MSG_ZEROCOPY` for the socket, which ignores it otherwise (`SO_ZEROCOPY`).
pub(super) fn switch_on(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    let on: libc::c_int = 1;
    // SAFETY: the pointer is to a live value of the given size.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ZEROCOPY,
            (&raw const on).cast(),
            mem::size_of_val(&on) as libc::socklen_t,
        )
    };
    checked(libc::c_long::from(set))
        .map(drop)
        .map_err(|error| errno(&error))
}

/// Reads one completion from the socket's error queue without waiting.
///
/// # Errors
/// `EAGAIN` if there is none.
pub(super) fn completion(socket: BorrowedFd<'_>) -> Result<Completion, Errno> {
    loop {
        // Room for the error and the address that follows it; `u64` for alignment.
        let mut control = [0_u64; 16];
        // SAFETY: plain numbers and pointers, for which zero is valid.
        let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = mem::size_of_val(&control) as _;
        // SAFETY: the message's only pointer is to the live buffer above, with its size.
        let received = unsafe {
            libc::recvmsg(
                socket.as_raw_fd(),
                &raw mut message,
                libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT,
            )
        };
        checked(received as libc::c_long).map_err(|error| errno(&error))?;
        // SAFETY: the kernel has filled the message and its buffer, which is still there.
        if let Some(completion) = unsafe { parse(&message) } {
            return Ok(completion);
        }
        // An error of another kind, which does not matter here.
    }
}

/// # Safety
/// `recvmsg` has filled `message` and its buffer.
unsafe fn parse(message: &libc::msghdr) -> Option<Completion> {
    // SAFETY: by the contract; returns null or a complete header in the buffer.
    let header = unsafe { libc::CMSG_FIRSTHDR(message).as_ref() }?;
    let is_error = matches!(
        (header.cmsg_level, header.cmsg_type),
        (libc::SOL_IP, libc::IP_RECVERR) | (libc::SOL_IPV6, libc::IPV6_RECVERR)
    );
    // SAFETY: computes a size and reads nothing.
    let needed = unsafe { libc::CMSG_LEN(mem::size_of::<libc::sock_extended_err>() as u32) };
    if !is_error || (header.cmsg_len as usize) < needed as usize {
        return None;
    }
    // SAFETY: the data follows the header, and its length was just checked.
    let error = unsafe { ptr::read_unaligned(libc::CMSG_DATA(header).cast()) };
    let libc::sock_extended_err {
        ee_errno,
        ee_origin,
        ee_code,
        ee_info,
        ee_data,
        ..
    } = error;
    (ee_origin == ORIGIN_ZERO_COPY && ee_errno == 0).then_some(Completion {
        first: ee_info,
        last: ee_data,
        copied: ee_code & CODE_COPIED != 0,
    })
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
