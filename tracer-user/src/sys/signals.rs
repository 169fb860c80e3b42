//! Signal dispositions of this process.
#![allow(unsafe_code)]

/// Runs `work` while this process ignores interrupts from the terminal (Ctrl-C). No other thread
/// may change signal dispositions meanwhile.
pub fn ignoring_interrupts<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: no handler is installed; the kernel discards the signal.
    let before = unsafe { libc::signal(libc::SIGINT, libc::SIG_IGN) };
    let done = work();
    if before != libc::SIG_ERR {
        // SAFETY: the previous disposition, which was valid.
        unsafe { libc::signal(libc::SIGINT, before) };
    }
    done
}

/// Runs `work` while signals to this thread wait, such as while handlers are installed: a signal
/// that comes in the middle of that would be lost.
pub fn holding_signals<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: sets of signals are integers, for which zeroes are a valid value; the kernel reads
    // and writes live ones.
    let before = unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut before = all;
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, &raw mut before);
        before
    };
    let done = work();
    // SAFETY: as above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut()) };
    done
}

/// Makes a write beyond the limit of file sizes (`ulimit -f`) fail with `EFBIG` instead of ending
/// this process. Programs that it starts are ended as before. No other thread may run yet.
pub fn fail_beyond_file_size_limit() {
    extern "C" fn nothing(_: libc::c_int) {}
    // SAFETY: the handler does nothing, which is safe at any time. The kernel resets it at exec.
    unsafe { libc::signal(libc::SIGXFSZ, nothing as *const () as libc::sighandler_t) };
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// The current disposition of interrupts.
    fn disposition() -> usize {
        // SAFETY: the kernel writes the disposition to a live structure.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            libc::sigaction(libc::SIGINT, std::ptr::null(), &raw mut action);
            action.sa_sigaction
        }
    }

    #[test]
    fn a_held_signal_comes_afterwards() {
        static SEEN: AtomicBool = AtomicBool::new(false);
        extern "C" fn see(_: libc::c_int) {
            SEEN.store(true, Ordering::SeqCst);
        }
        // SAFETY: the handler only writes an atomic.
        unsafe { libc::signal(libc::SIGUSR2, see as *const () as libc::sighandler_t) };
        let meanwhile = holding_signals(|| {
            // SAFETY: sends a signal to this thread, which has a handler.
            unsafe { libc::raise(libc::SIGUSR2) };
            SEEN.load(Ordering::SeqCst)
        });
        assert!(!meanwhile);
        assert!(SEEN.load(Ordering::SeqCst));
    }

    #[test]
    fn interrupts_are_ignored_only_meanwhile() {
        let before = disposition();
        assert_eq!(ignoring_interrupts(disposition), libc::SIG_IGN);
        assert_eq!(disposition(), before);
    }
}
