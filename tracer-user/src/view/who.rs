//! Names of threads and processes.

use crate::trace::folder::Trace;

/// A thread name that an event had in its context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Comm {
    bytes: [u8; Self::LEN],
    len: u8,
    /// It is of the main thread of its process.
    is_main: bool,
}

impl Comm {
    /// The longest name that the kernel keeps (`TASK_COMM_LEN` without the NUL), and one.
    const LEN: usize = 16;

    fn new(comm: &[u8], is_main: bool) -> Self {
        let mut bytes = [0; Self::LEN];
        let len = comm.len().min(Self::LEN);
        bytes[..len].copy_from_slice(&comm[..len]);
        Self {
            bytes,
            len: len as u8,
            is_main,
        }
    }

    pub(super) fn name(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// Keeps the last name of the main thread, or else the first of any.
    pub(super) fn note(known: &mut Option<Self>, comm: &[u8], is_main: bool) {
        if is_main || known.is_none() {
            *known = Some(Self::new(comm, is_main));
        }
    }

    /// The same for a name from a later piece.
    pub(super) fn merge(known: &mut Option<Self>, later: Option<Self>) {
        if let Some(comm) = later
            && (comm.is_main || known.is_none())
        {
            *known = later;
        }
    }
}

/// The name of a process, or of a thread: as its events have it, or as the trace has it for the
/// time `at_ns`.
pub(super) fn process_name(trace: &Trace, pid: u32, comm: Option<&Comm>, at_ns: u64) -> Vec<u8> {
    let name = comm.map_or_else(|| trace.tasks().name_at(pid, at_ns), Comm::name);
    name.to_vec()
}
