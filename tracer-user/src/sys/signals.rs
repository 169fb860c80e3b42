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

/// Makes a write beyond the limit of file sizes (`ulimit -f`) fail with `EFBIG` instead of ending
/// this process. Programs that it starts are ended as before. No other thread may run yet.
pub fn fail_beyond_file_size_limit() {
    extern "C" fn nothing(_: libc::c_int) {}
    // SAFETY: the handler does nothing, which is safe at any time. The kernel resets it at exec.
    unsafe { libc::signal(libc::SIGXFSZ, nothing as *const () as libc::sighandler_t) };
}

#[cfg(test)]
mod tests {
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
    fn interrupts_are_ignored_only_meanwhile() {
        let before = disposition();
        assert_eq!(ignoring_interrupts(disposition), libc::SIG_IGN);
        assert_eq!(disposition(), before);
    }
}
