//! Features of the running kernel.
//!
//! One object answers for `doctor` and for attaching, so that they cannot disagree. Each
//! feature is probed when it is first asked for, and the answer is kept. What BPF can do is
//! found by trying it with minimal programs and maps; nothing stays loaded or attached. The
//! roots of procfs and sysfs are parameters, so that recorded files test the answers.

mod bpf;
mod support;
mod system;

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use crate::kernel::btf::{KernelBtf, NameKind, Type};
use crate::kernel::tracefs::mount::{Tracefs, TracefsError};

pub use self::support::{Missing, Support};
pub use self::system::{Capabilities, Cpus, Lockdown, Release, SyscallEvents};

/// Where the files of a kernel are.
#[derive(Clone, Debug)]
pub struct Roots {
    /// Root of procfs.
    pub proc: PathBuf,
    /// Root of sysfs.
    pub sys: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self {
            proc: "/proc".into(),
            sys: "/sys".into(),
        }
    }
}

/// The kernel functions that programs for kprobe-session call, by their BTF types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionFunctions {
    /// `bpf_session_is_return`
    pub is_return: u32,
    /// `bpf_session_cookie`
    pub cookie: u32,
}

/// What the running kernel can do; probed on demand, each feature at most once.
#[derive(Debug, Default)]
pub struct Features {
    roots: Roots,
    release: OnceCell<Option<Release>>,
    capabilities: OnceCell<Option<Capabilities>>,
    tracefs: OnceCell<Result<Tracefs, TracefsError>>,
    types: OnceCell<Support<KernelBtf>>,
    tracepoint_programs: OnceCell<Support>,
    ring_buffer: OnceCell<Support>,
    dynptr: OnceCell<Support>,
    perf_links: OnceCell<Support>,
    kprobe_multi: OnceCell<Support>,
    kprobe_session: OnceCell<Support<SessionFunctions>>,
    fentry: OnceCell<Support>,
    fexit: OnceCell<Support>,
    lockdown: OnceCell<Option<Lockdown>>,
}

impl Features {
    /// Features of the running kernel, with the files below `roots`.
    #[must_use]
    pub fn new(roots: Roots) -> Self {
        Self {
            roots,
            ..Self::default()
        }
    }

    /// Where the files are that answers come from.
    #[must_use]
    pub fn roots(&self) -> &Roots {
        &self.roots
    }

    /// The kernel's release, if procfs has it.
    pub fn release(&self) -> Option<&Release> {
        let read = || Release::read(&self.roots.proc);
        self.release.get_or_init(read).as_ref()
    }

    /// What this process is permitted to do, if procfs has it.
    pub fn capabilities(&self) -> Option<Capabilities> {
        let read = || Capabilities::read(&self.roots.proc);
        *self.capabilities.get_or_init(read)
    }

    /// Whether this process is permitted to record. If its capabilities cannot be read, the
    /// kernel has to say.
    pub fn permits_recording(&self) -> bool {
        let capabilities = self.capabilities();
        capabilities.is_none_or(Capabilities::allow_recording)
    }

    /// tracefs: where it is mounted, else a private mount.
    pub fn tracefs(&self) -> Result<&Tracefs, &TracefsError> {
        let open = || Tracefs::open_below(&self.roots.proc);
        self.tracefs.get_or_init(open).as_ref()
    }

    /// Events of tracefs that describe system calls.
    pub fn syscall_events(&self) -> Support<SyscallEvents> {
        match self.tracefs() {
            Ok(tracefs) => SyscallEvents::read(tracefs.path()),
            Err(_) => Err(Missing::Needs("tracefs")),
        }
    }

    /// The size of the kernel's BTF in bytes.
    pub fn btf_len(&self) -> Support<u64> {
        let file = self.roots.sys.join("kernel/btf/vmlinux").metadata();
        let file = file.map_err(|_| Missing::NotBuilt("CONFIG_DEBUG_INFO_BTF"))?;
        Ok(file.len())
    }

    /// The kernel's types.
    ///
    /// # Errors
    /// If the kernel was built without BTF, or its BTF cannot be read.
    pub fn types(&self) -> Result<&KernelBtf, &Missing> {
        let read = || {
            self.btf_len()?;
            let btf = KernelBtf::read(&self.roots.sys);
            btf.map_err(|error| Missing::Unknown(error.to_string()))
        };
        self.types.get_or_init(read).as_ref()
    }

    /// Programs for tracepoints.
    pub fn tracepoint_programs(&self) -> Support {
        let probe = self
            .tracepoint_programs
            .get_or_init(bpf::tracepoint_programs);
        probe.clone()
    }

    /// BPF ring buffers.
    pub fn ring_buffer(&self) -> Support {
        self.ring_buffer.get_or_init(bpf::ring_buffer).clone()
    }

    /// Ring-buffer records whose length is known only when they are written.
    pub fn dynptr(&self) -> Support {
        self.dynptr.get_or_init(bpf::dynptr).clone()
    }

    /// Links between programs and perf events.
    pub fn perf_links(&self) -> Support {
        self.perf_links.get_or_init(bpf::perf_links).clone()
    }

    /// Probes at instructions and returns of kernel functions.
    pub fn kprobes(&self) -> Support {
        if has_kprobes(&self.roots.sys) {
            Ok(())
        } else {
            Err(Missing::NotBuilt("CONFIG_KPROBE_EVENTS"))
        }
    }

    /// One program and one link for the entries of many kernel functions.
    pub fn kprobe_multi(&self) -> Support {
        let probe = || {
            self.kprobes().map_err(|_| Missing::Needs("kprobes"))?;
            bpf::kprobe_multi()
        };
        self.kprobe_multi.get_or_init(probe).clone()
    }

    /// One program and one link for the entries and returns of many kernel functions.
    pub fn kprobe_session(&self) -> Support<SessionFunctions> {
        let probe = || {
            self.kprobe_multi()
                .map_err(|_| Missing::Needs("kprobe-multi"))?;
            bpf::kprobe_session()?;
            let types = self.types().map_err(|_| Missing::Needs("kernel BTF"))?;
            let function = |name| {
                let function = types.vmlinux().find(NameKind::Function, name);
                function.map(Type::id).ok_or(bpf::NO_SESSION)
            };
            Ok(SessionFunctions {
                is_return: function("bpf_session_is_return")?,
                cookie: function("bpf_session_cookie")?,
            })
        };
        self.kprobe_session.get_or_init(probe).clone()
    }

    /// Trampolines at entries of kernel functions.
    pub fn fentry(&self) -> Support {
        let probe = || self.refused(bpf::fentry(self.trampoline_target()?));
        self.fentry.get_or_init(probe).clone()
    }

    /// Trampolines at returns of kernel functions.
    pub fn fexit(&self) -> Support {
        let probe = || self.refused(bpf::fexit(self.trampoline_target()?));
        self.fexit.get_or_init(probe).clone()
    }

    /// A refusal is not for want of privileges if this process may load other programs.
    fn refused(&self, support: Support) -> Support {
        match support {
            Err(Missing::NotPermitted(cause)) if self.tracepoint_programs().is_ok() => {
                Err(Missing::Refused(cause))
            }
            support => support,
        }
    }

    /// The BTF type of a function that the kernel has for tests of trampolines only
    /// (`net/bpf/test_run.c`): nothing else calls it.
    fn trampoline_target(&self) -> Support<u32> {
        let types = self.types().map_err(|_| Missing::Needs("kernel BTF"))?;
        let target = types.vmlinux().find(NameKind::Function, "bpf_fentry_test1");
        target
            .map(Type::id)
            .ok_or_else(|| Missing::Unknown("the kernel has no `bpf_fentry_test1` to try".into()))
    }

    /// Probes in programs and libraries. For these, `CAP_PERFMON` is not enough
    /// (`perf_uprobe_event_init`, `kernel/events/core.c`).
    pub fn uprobes(&self) -> Support {
        if !event_source(&self.roots.sys, "uprobe").exists() {
            return Err(Missing::NotBuilt("CONFIG_UPROBE_EVENTS"));
        }
        match self.capabilities() {
            Some(capabilities) if !capabilities.is_admin() => {
                Err(Missing::NotPermitted("needs CAP_SYS_ADMIN".into()))
            }
            _ => Ok(()),
        }
    }

    /// Missed events are counted: in `trace_call_bpf`, and in the information on links to
    /// kprobes.
    pub fn recursion_misses(&self) -> Support {
        self.at_least(6, 7)
    }

    /// BPF memory is charged to the control group instead of `RLIMIT_MEMLOCK`.
    pub fn memory_by_cgroup(&self) -> Support {
        self.at_least(5, 11)
    }

    fn at_least(&self, major: u32, minor: u32) -> Support {
        match self.release() {
            None => Err(Missing::Unknown("the kernel's release is unknown".into())),
            Some(release) if release.version < (major, minor) => Err(Missing::Older(major, minor)),
            Some(_) => Ok(()),
        }
    }

    /// The mode of the lockdown module, if it can be found out.
    pub fn lockdown(&self) -> Option<&Lockdown> {
        let probe = || match Lockdown::read(&self.roots.sys) {
            None => bpf::reads_kernel_memory().map(Lockdown::Inferred),
            mode => mode,
        };
        self.lockdown.get_or_init(probe).as_ref()
    }

    /// `perf_event_paranoid`, if the kernel has perf events.
    pub fn perf_event_paranoid(&self) -> Support<String> {
        system::read(&self.roots.proc, "sys/kernel/perf_event_paranoid")
            .ok_or(Missing::NotBuilt("CONFIG_PERF_EVENTS"))
    }

    /// Whether BPF programs are compiled rather than interpreted, if that can be read.
    pub fn jit(&self) -> Option<bool> {
        system::read(&self.roots.proc, "sys/net/core/bpf_jit_enable").map(|text| text != "0")
    }

    /// CPUs of this machine.
    pub fn cpus(&self) -> Option<Cpus> {
        Cpus::read(&self.roots.sys)
    }
}

/// Whether the kernel offers kprobes, by its files below the root of sysfs.
pub(super) fn has_kprobes(sys: &Path) -> bool {
    event_source(sys, "kprobe").exists()
}

/// The file with the number of an event source of perf.
fn event_source(sys: &Path, name: &str) -> PathBuf {
    sys.join("bus/event_source/devices").join(name).join("type")
}

#[cfg(test)]
mod tests;
