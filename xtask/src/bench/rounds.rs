//! Loops of the workload; each round causes the same events.

/// The system call of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Round {
    Getppid,
    /// openat(2) of a file below one that is not a folder, so that it is not there and the kernel
    /// keeps nothing of it.
    Open,
    /// A process sends itself a signal that it ignores.
    Signal,
    /// A byte is read, by one call of the kernel's `vfs_read`.
    Read,
    /// A function of the workload is called.
    Function,
}

impl Round {
    pub(super) const ALL: [Self; 5] = [
        Self::Getppid,
        Self::Open,
        Self::Signal,
        Self::Read,
        Self::Function,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Getppid => "getppid",
            Self::Open => "open",
            Self::Signal => "signal",
            Self::Read => "read",
            Self::Function => "function",
        }
    }

    /// The command of `count` rounds by the program `work`, pinned to a CPU.
    pub(super) fn command(self, work: &str, cpu: u32, count: u64) -> Vec<String> {
        let (cpu, count) = (cpu.to_string(), count.to_string());
        let words: &[&str] = match self {
            Self::Getppid => &["getppid", &count],
            Self::Open => &["open", "/dev/null/none", &count],
            Self::Signal => &["signal", &count],
            Self::Read => &["read", work, &count],
            Self::Function => &["function", &count],
        };
        let head = [work, "--cpu", &cpu];
        let words = head.iter().chain(words);
        words.map(|&word| word.to_owned()).collect()
    }
}
