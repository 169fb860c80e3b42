//! Where kprobes attach: the kernel's dynamic event source for functions.

use std::{
    ffi::CString,
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use crate::sys::perf;

/// The `kprobe` event source of this kernel.
#[derive(Debug)]
pub(super) struct FunctionSource {
    pmu_type: u32,
    return_bit: u32,
}

impl FunctionSource {
    /// Reads what `sys` (usually `/sys`) says about it.
    pub(super) fn read(sys: &Path) -> io::Result<Self> {
        let folder: PathBuf = sys.join("bus/event_source/devices/kprobe");
        let pmu_type = read_number(&folder.join("type"), "")?;
        let return_bit = read_number(&folder.join("format/retprobe"), "config:")?;
        Ok(Self {
            pmu_type,
            return_bit,
        })
    }

    /// Opens the event of a function's entry (at `offset` bytes) or return.
    pub(super) fn open(&self, symbol: &str, offset: u64, on_return: bool) -> io::Result<OwnedFd> {
        let symbol = CString::new(symbol)?;
        let return_bit = on_return.then_some(self.return_bit);
        perf::open_kprobe(self.pmu_type, &symbol, offset, return_bit)
    }
}

fn read_number(path: &Path, prefix: &str) -> io::Result<u32> {
    let text = fs::read_to_string(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    text.trim()
        .strip_prefix(prefix)
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| {
            io::Error::other(format!(
                "{}: no number in `{}`",
                path.display(),
                text.trim()
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_event_source_is_read_from_its_folder() {
        let sys = tempfile::tempdir().unwrap();
        let folder = sys.path().join("bus/event_source/devices/kprobe");
        fs::create_dir_all(folder.join("format")).unwrap();
        fs::write(folder.join("type"), "8\n").unwrap();
        fs::write(folder.join("format/retprobe"), "config:0\n").unwrap();
        let source = FunctionSource::read(sys.path()).unwrap();
        assert_eq!((source.pmu_type, source.return_bit), (8, 0));
    }

    #[test]
    fn a_kernel_without_kprobes_is_told_apart() {
        let sys = tempfile::tempdir().unwrap();
        let error = FunctionSource::read(sys.path()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
