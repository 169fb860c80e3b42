//! What signals do to this process.
#![allow(unsafe_code)]

/// Runs `work` while an interrupt from the terminal (Ctrl-C) does nothing to this process.
/// To be called with no other thread that changes what signals do.
pub fn ignoring_interrupts<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: no handler is installed; the kernel discards the signal.
    let before = unsafe { libc::signal(libc::SIGINT, libc::SIG_IGN) };
    let done = work();
    if before != libc::SIG_ERR {
        // SAFETY: what was there before, and so was valid.
        unsafe { libc::signal(libc::SIGINT, before) };
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an interrupt does now.
    fn disposition() -> usize {
        // SAFETY: a query into a structure of our own.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            libc::sigaction(libc::SIGINT, std::ptr::null(), &raw mut action);
            action.sa_sigaction
        }
    }

    #[test]
    fn interrupts_are_ignored_meanwhile_and_no_longer() {
        let before = disposition();
        assert_eq!(ignoring_interrupts(disposition), libc::SIG_IGN);
        assert_eq!(disposition(), before);
    }
}
