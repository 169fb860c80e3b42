//! Links a loaded program to its attach point.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use aya_obj::generated::bpf_attach_type::BPF_TRACE_KPROBE_MULTI;

use crate::record::attach::error::Refusal;
use crate::record::attach::plan::{Attachment, ProbedFunction};
use crate::sys::bpf::{self, BPF_TRACE_KPROBE_SESSION};
use crate::sys::perf;

/// Links programs to attach points.
#[derive(Debug)]
pub(super) struct Linker {
    /// The root of sysfs.
    sys: PathBuf,
}

impl Linker {
    pub(super) fn new(sys: &Path) -> Self {
        Self {
            sys: sys.to_owned(),
        }
    }

    /// Links a program, which can ask for `cookie`. It stays attached as long as the result is
    /// open.
    pub(super) fn link(
        &self,
        program: &OwnedFd,
        attachment: &Attachment<'_>,
        cookie: u64,
    ) -> Result<OwnedFd, Refusal> {
        self.try_link(program, attachment, cookie)
            .map_err(|cause| Refusal::Attachment {
                hint: hint(attachment, &cause),
                cause,
            })
    }

    fn try_link(
        &self,
        program: &OwnedFd,
        attachment: &Attachment<'_>,
        cookie: u64,
    ) -> io::Result<OwnedFd> {
        let event = match attachment {
            Attachment::PerfTracepoint { id } => perf::open_tracepoint(*id)?,
            Attachment::RawTracepoint { name } => {
                let name = CString::new(*name)?;
                return bpf::link_to_raw_tracepoint(program.as_fd(), Some(&name));
            }
            Attachment::TypedRawTracepoint { .. }
            | Attachment::Fentry { .. }
            | Attachment::Fexit { .. } => {
                return bpf::link_to_raw_tracepoint(program.as_fd(), None);
            }
            Attachment::KprobeMulti(functions) => {
                return link_to_functions(program, BPF_TRACE_KPROBE_MULTI as u32, functions);
            }
            Attachment::KprobeSession(functions) => {
                return link_to_functions(program, BPF_TRACE_KPROBE_SESSION, functions);
            }
            Attachment::Kprobe { symbol, offset } => {
                self.kprobes()?.open_entry(symbol.as_bytes(), *offset)?
            }
            Attachment::Kretprobe { symbol } => {
                self.kprobes()?.open_return(symbol.as_bytes(), 0)?
            }
            Attachment::Uprobe { path, offset } => {
                let path = path.as_os_str().as_bytes();
                self.uprobes()?.open_entry(path, *offset)?
            }
            Attachment::Uretprobe { path, offset } => {
                let path = path.as_os_str().as_bytes();
                self.uprobes()?.open_return(path, *offset)?
            }
        };
        bpf::link_to_perf_event(program.as_fd(), event.as_fd(), cookie)
    }

    fn kprobes(&self) -> io::Result<EventSource> {
        EventSource::read(&self.sys, "kprobe")
    }

    fn uprobes(&self) -> io::Result<EventSource> {
        EventSource::read(&self.sys, "uprobe")
    }
}

fn link_to_functions(
    program: &OwnedFd,
    attach_type: u32,
    functions: &[ProbedFunction<'_>],
) -> io::Result<OwnedFd> {
    let symbols = functions.iter().map(|it| CString::new(it.symbol));
    let symbols = symbols.collect::<Result<Vec<_>, _>>()?;
    let cookies: Vec<u64> = functions.iter().map(|it| it.cookie.to_bits()).collect();
    bpf::link_to_functions(program.as_fd(), attach_type, &symbols, &cookies)
}

/// What an error at an attach point may mean, starting with a separator, or nothing.
fn hint(attachment: &Attachment<'_>, error: &io::Error) -> &'static str {
    match (attachment, error.raw_os_error()) {
        (_, Some(libc::EMFILE | libc::ENFILE)) => {
            "; too many files are open: raise `ulimit -n` or record fewer probes"
        }
        (_, Some(libc::EPERM | libc::EACCES)) => {
            "; the kernel does not allow it: run `tracer doctor` to see why"
        }
        (Attachment::PerfTracepoint { .. }, _) | (_, None) => "",
        (Attachment::Kprobe { offset, .. }, Some(libc::EILSEQ)) if *offset > 0 => {
            "; the offset is not the start of an instruction"
        }
        (Attachment::RawTracepoint { .. }, Some(libc::ENOENT)) => {
            "; the kernel has no such raw tracepoint (its module may not be loaded)"
        }
        (_, Some(libc::EINVAL)) => "; the kernel does not allow probes in this function",
        (_, Some(libc::ENOENT)) => {
            "; the kernel has no such function (it may be inlined, or its module is not loaded)"
        }
        (_, Some(libc::EADDRNOTAVAIL)) => "; several functions have this name",
        _ => "",
    }
}

/// perf's source of events of kprobes or uprobes.
#[derive(Debug)]
struct EventSource {
    pmu_type: u32,
    return_bit: u32,
}

impl EventSource {
    /// Reads its description below `sys` (usually `/sys`).
    fn read(sys: &Path, name: &str) -> io::Result<Self> {
        let folder: PathBuf = sys.join("bus/event_source/devices").join(name);
        let pmu_type = read_number(&folder.join("type"), "")?;
        let return_bit = read_number(&folder.join("format/retprobe"), "config:")?;
        Ok(Self {
            pmu_type,
            return_bit,
        })
    }

    /// Opens the event of the instruction at `offset` bytes. `target` is the name of a kernel
    /// function or the path of a file.
    fn open_entry(&self, target: &[u8], offset: u64) -> io::Result<OwnedFd> {
        perf::open_probe(self.pmu_type, &CString::new(target)?, offset, None)
    }

    /// Opens the event of the return of the function at `offset` bytes.
    fn open_return(&self, target: &[u8], offset: u64) -> io::Result<OwnedFd> {
        let target = CString::new(target)?;
        perf::open_probe(self.pmu_type, &target, offset, Some(self.return_bit))
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
                "{}: `{}` has no number",
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
        let source = EventSource::read(sys.path(), "kprobe").unwrap();
        assert_eq!((source.pmu_type, source.return_bit), (8, 0));
    }

    #[test]
    fn a_kernel_without_kprobes_is_recognized() {
        let sys = tempfile::tempdir().unwrap();
        let error = EventSource::read(sys.path(), "kprobe").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn hints_fit_the_attach_point() {
        let hint_at = |attachment: &Attachment<'_>, error| {
            hint(attachment, &io::Error::from_raw_os_error(error)).to_owned()
        };
        let inside = Attachment::Kprobe {
            symbol: "f",
            offset: 1,
        };
        assert!(hint_at(&inside, libc::EILSEQ).contains("start of an instruction"));
        assert!(hint_at(&inside, libc::ENOENT).contains("no such function"));
        let tracepoint = Attachment::PerfTracepoint { id: 1 };
        assert_eq!(hint_at(&tracepoint, libc::ENOENT), "");
        assert!(hint_at(&tracepoint, libc::EMFILE).contains("ulimit -n"));
    }
}
