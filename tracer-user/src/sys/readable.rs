//! Waiting until a file is readable, as a task.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::BorrowedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Completes when `file` is readable.
///
/// # Errors
/// If the file cannot be waited for.
pub async fn readable(file: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the descriptor is borrowed for longer than it is registered.
    let file = unsafe { AsyncFd::register_with_interest(file, Interest::READABLE)? };
    file.readable().await.map(drop)
}
