//! How programs attach to functions of the kernel and of programs, and to raw tracepoints.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use aya_obj::generated::bpf_attach_type::{BPF_TRACE_FENTRY, BPF_TRACE_FEXIT};
use aya_obj::generated::bpf_prog_type::{
    BPF_PROG_TYPE_KPROBE, BPF_PROG_TYPE_RAW_TRACEPOINT, BPF_PROG_TYPE_TRACING,
};
use tracer_common::spec_flags;

use crate::probe::FunctionTarget;
use crate::record::attach::code::Abi;
use crate::sys::bpf::{self, ProgramKind};
use crate::sys::perf;

/// When a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// At the place itself, or when the function returns.
    Event,
    /// When the function is entered that will return.
    Entry,
}

/// The [`spec_flags`] of programs at `target`.
pub(super) fn flags(target: &FunctionTarget) -> u32 {
    match target {
        FunctionTarget::Kprobe { uniform: true, .. } => spec_flags::CLASS_IS_COOKIE,
        FunctionTarget::Kprobe { .. } | FunctionTarget::Kretprobe { .. } => 0,
        FunctionTarget::Fentry { .. } | FunctionTarget::Fexit { .. } => {
            spec_flags::TRAMPOLINE | spec_flags::NESTS
        }
        FunctionTarget::RawTracepoint { .. } => spec_flags::NESTS,
        FunctionTarget::Uprobe { .. } | FunctionTarget::Uretprobe { .. } => spec_flags::USER,
    }
}

/// Where a program at `target` finds arguments and results.
pub(super) fn abi(target: &FunctionTarget) -> Abi {
    match target {
        FunctionTarget::Kprobe { .. } | FunctionTarget::Kretprobe { .. } => Abi::Registers,
        FunctionTarget::Fentry { .. } | FunctionTarget::Fexit { .. } => Abi::Trampoline,
        FunctionTarget::RawTracepoint { .. } => Abi::Arguments,
        FunctionTarget::Uprobe { .. } | FunctionTarget::Uretprobe { .. } => Abi::UserRegisters,
    }
}

/// What the kernel is told about a program at `target` when it is loaded.
pub(super) fn kind(target: &FunctionTarget, moment: Moment) -> ProgramKind {
    let tracing = |attach_type, btf_id| ProgramKind {
        kind: BPF_PROG_TYPE_TRACING,
        attach_type: Some(attach_type as u32),
        btf_id,
    };
    match (target, moment) {
        (FunctionTarget::Fentry { btf_id }, _)
        | (FunctionTarget::Fexit { btf_id }, Moment::Entry) => tracing(BPF_TRACE_FENTRY, *btf_id),
        (FunctionTarget::Fexit { btf_id }, Moment::Event) => tracing(BPF_TRACE_FEXIT, *btf_id),
        (FunctionTarget::RawTracepoint { .. }, _) => ProgramKind::of(BPF_PROG_TYPE_RAW_TRACEPOINT),
        _ => ProgramKind::of(BPF_PROG_TYPE_KPROBE),
    }
}

/// The kernel's sources of events for functions, read when they are first needed.
#[derive(Debug)]
pub(super) struct FunctionSources {
    sys: PathBuf,
}

impl FunctionSources {
    /// Below the root of sysfs.
    pub(super) fn new(sys: &Path) -> Self {
        Self {
            sys: sys.to_owned(),
        }
    }

    /// Attaches a program, which can ask for `cookie`; it stays attached as long as the result
    /// is open.
    pub(super) fn attach(
        &self,
        target: &FunctionTarget,
        moment: Moment,
        program: &OwnedFd,
        cookie: u64,
    ) -> io::Result<OwnedFd> {
        let on_return = moment == Moment::Event;
        let event = match target {
            FunctionTarget::Kprobe { symbol, offset, .. } => {
                self.source("kprobe")?
                    .open(symbol.as_bytes(), *offset, false)?
            }
            FunctionTarget::Kretprobe { symbol } => {
                self.source("kprobe")?
                    .open(symbol.as_bytes(), 0, on_return)?
            }
            FunctionTarget::Uprobe { path, offset } => {
                let path = path.as_os_str().as_bytes();
                self.source("uprobe")?.open(path, *offset, false)?
            }
            FunctionTarget::Uretprobe { path, offset } => {
                let path = path.as_os_str().as_bytes();
                self.source("uprobe")?.open(path, *offset, on_return)?
            }
            FunctionTarget::Fentry { .. } | FunctionTarget::Fexit { .. } => {
                return bpf::link_to_raw_tracepoint(program.as_fd(), None);
            }
            FunctionTarget::RawTracepoint { name } => {
                let name = CString::new(name.as_str())?;
                return bpf::link_to_raw_tracepoint(program.as_fd(), Some(&name));
            }
        };
        bpf::link_to_perf_event(program.as_fd(), event.as_fd(), cookie)
    }

    fn source(&self, name: &str) -> io::Result<FunctionSource> {
        FunctionSource::read(&self.sys, name)
    }
}

/// The `kprobe` or `uprobe` event source of this kernel.
#[derive(Debug)]
struct FunctionSource {
    pmu_type: u32,
    return_bit: u32,
}

impl FunctionSource {
    /// Reads what `sys` (usually `/sys`) says about it.
    fn read(sys: &Path, name: &str) -> io::Result<Self> {
        let folder: PathBuf = sys.join("bus/event_source/devices").join(name);
        let pmu_type = read_number(&folder.join("type"), "")?;
        let return_bit = read_number(&folder.join("format/retprobe"), "config:")?;
        Ok(Self {
            pmu_type,
            return_bit,
        })
    }

    /// Opens the event of an entry (at `offset` bytes) or a return. `target` is the name of a
    /// kernel function or the path of a file.
    fn open(&self, target: &[u8], offset: u64, on_return: bool) -> io::Result<OwnedFd> {
        let target = CString::new(target)?;
        let return_bit = on_return.then_some(self.return_bit);
        perf::open_probe(self.pmu_type, &target, offset, return_bit)
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
        let source = FunctionSource::read(sys.path(), "kprobe").unwrap();
        assert_eq!((source.pmu_type, source.return_bit), (8, 0));
    }

    #[test]
    fn a_kernel_without_kprobes_is_told_apart() {
        let sys = tempfile::tempdir().unwrap();
        let error = FunctionSource::read(sys.path(), "kprobe").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
