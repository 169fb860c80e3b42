//! The threads that exist, for a sidecar of names.

use std::fs;
use std::path::{Path, PathBuf};

use crate::record::namespace::pids::ProcIds;
use crate::trace::sidecar::tasks::format_line;

/// Lines with the name of each thread that exists now, under the time `at_ns`
/// (`CLOCK_MONOTONIC`) and its id in events. Threads whose id is not known are left out.
pub(crate) fn running_threads(at_ns: u64) -> String {
    let ids = ProcIds::now();
    let mut lines = String::new();
    for process in numbered(Path::new("/proc")) {
        for thread in numbered(&process.join("task")) {
            let tid = thread
                .file_name()
                .and_then(|name| ids.kernel_id(name.to_str()?.parse().ok()?));
            let comm = fs::read(thread.join("comm"));
            if let (Some(tid), Ok(comm)) = (tid, comm) {
                lines.push_str(&format_line(at_ns, tid, comm.trim_ascii_end()));
            }
        }
    }
    lines
}

/// Folders in `folder` whose names are numbers.
fn numbered(folder: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().as_encoded_bytes()[0].is_ascii_digit())
        .map(|entry| entry.path())
}
