//! Descriptors passed from one process to another.
#![allow(unsafe_code)]

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use crate::sys::checked;

/// The most descriptors in a message (the kernel's `SCM_MAX_FD`).
const MAX_IN_MESSAGE: usize = 253;

/// A message needs a byte to go with its descriptors.
const BYTE: &[u8] = &[0];

/// Sends descriptors. The files stay open in the socket until they are [received](receive), or
/// the socket is closed.
///
/// # References
/// unix(7), `SCM_RIGHTS`.
pub fn send(socket: &UnixStream, descriptors: &[OwnedFd]) -> io::Result<()> {
    for some in descriptors.chunks(MAX_IN_MESSAGE) {
        let some: Vec<BorrowedFd<'_>> = some.iter().map(AsFd::as_fd).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_IN_MESSAGE))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !ancillary.push(SendAncillaryMessage::ScmRights(&some)) {
            return Err(io::Error::other("a message with descriptors is too long"));
        }
        sendmsg(
            socket,
            &[IoSlice::new(BYTE)],
            &mut ancillary,
            SendFlags::NOSIGNAL,
        )?;
    }
    Ok(())
}

/// Receives `count` descriptors that were [sent](send) together.
pub fn receive(socket: &UnixStream, count: usize) -> io::Result<Vec<OwnedFd>> {
    let mut descriptors = Vec::with_capacity(count);
    while descriptors.len() < count {
        let mut byte = [0];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_IN_MESSAGE))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = recvmsg(
            socket,
            &mut [IoSliceMut::new(&mut byte)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        )?;
        if received.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(some) = message {
                descriptors.extend(some);
            }
        }
    }
    Ok(descriptors)
}

/// Keeps children that are started from now on from inheriting any descriptor of this process but
/// the standard ones: also those that this process inherited itself.
pub fn keep_from_children() -> io::Result<()> {
    let (first, last) = (3, libc::c_uint::MAX);
    // SAFETY: no descriptor is closed in this process.
    checked(unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first,
            last,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    })
    .map(drop)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn descriptors_arrive_in_order_between_other_bytes() {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        let count = 2 * MAX_IN_MESSAGE + 1;
        let folder = tempfile::tempdir().unwrap();
        let sent: Vec<OwnedFd> = (0..count)
            .map(|i| {
                let mut file = File::create(folder.path().join(i.to_string())).unwrap();
                write!(file, "{i}").unwrap();
                File::open(folder.path().join(i.to_string()))
                    .unwrap()
                    .into()
            })
            .collect();
        one.write_all(b"before").unwrap();
        send(&one, &sent).unwrap();
        drop(sent);
        one.write_all(b"after").unwrap();
        drop(one);
        let mut before = [0; 6];
        other.read_exact(&mut before).unwrap();
        assert_eq!(&before, b"before");
        let received = receive(&other, count).unwrap();
        for (i, descriptor) in received.into_iter().enumerate() {
            let mut text = String::new();
            File::from(descriptor).read_to_string(&mut text).unwrap();
            assert_eq!(text, i.to_string());
        }
        let mut after = String::new();
        other.read_to_string(&mut after).unwrap();
        assert_eq!(after, "after");
    }

    #[test]
    fn missing_descriptors_are_an_error() {
        let (one, other) = UnixStream::pair().unwrap();
        drop(one);
        let error = receive(&other, 1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
