//! The kernel's side of a recording before it begins: loaded, then attached.

use std::{io, os::fd::OwnedFd, path::Path, sync::Arc};

use anyhow::{Context, Result, bail};
use aya::Ebpf;
use aya_obj::generated::bpf_prog_type::{BPF_PROG_TYPE_KPROBE, BPF_PROG_TYPE_TRACEPOINT};

use tracer_common::hook;

use super::{
    attached::Attached,
    code::{self, Abi, Question, Tables},
    functions::FunctionSource,
    link::{AttachError, Link},
    object::{self, fd},
    syscalls,
    template::{Hooks, Templates},
};
use crate::{
    probe::{FunctionTarget, Place, ResolvedProbe},
    ring::{CpuStates, Ring},
    sys::{
        bpf::{self, ProgramKind},
        limits, perf,
    },
};

/// Files for a probe with a program of its own: the program and its link.
const FILES_PER_PROGRAM: u64 = 2;
/// Files for a CPU: its ring, its stream, the index, both ends of the pipe to the stream, and
/// what its drain waits with, and two to spare.
const FILES_PER_CPU: u64 = 8;
/// Files that the recorder needs besides: maps, shared programs, the control side.
const OTHER_FILES: u64 = 64;

/// What the programs are told before they are loaded.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// The eBPF object.
    pub object: &'a [u8],
    /// Where sysfs is (usually `/sys`).
    pub sys: &'a Path,
    /// Size of each CPU's ring in bytes, a power of two of whole pages.
    pub ring_bytes: u32,
    /// Number of possible CPUs.
    pub cpu_count: u32,
    /// The CPUs to record.
    pub cpus: &'a [u32],
    /// A process that is never recorded.
    pub excluded_pid: Option<u32>,
    /// The only threads and processes to record; empty: all.
    pub pids: &'a [u32],
    /// Whether the programs write log messages.
    pub log: bool,
}

/// Maps and templates are loaded; nothing is attached.
pub struct Kernel {
    pub(super) ebpf: Ebpf,
    templates: Templates,
    pub(super) states: Arc<CpuStates>,
    pub(super) cpus: Vec<u32>,
    pub(super) cpu_count: u32,
    pub(super) class_count: u32,
    rings: Vec<(u32, Ring)>,
    functions: Option<FunctionSource>,
}

impl Kernel {
    /// Creates the maps and rings for `probes`.
    pub fn load(settings: &Settings<'_>, probes: &[ResolvedProbe]) -> Result<Self> {
        let files = files_needed(settings, probes);
        let allowed = limits::raise_open_files(files);
        if allowed < files {
            bail!(
                "{} probes need {files} open files and {allowed} are allowed; raise `ulimit -n` \
                 or name fewer probes",
                probes.len()
            );
        }
        let config = object::config(settings, probes);
        let mut ebpf = object::load(settings, &config, probes.len())?;
        let states = Arc::new(
            CpuStates::map(fd(&ebpf, "CPUS")?, settings.cpu_count as usize)
                .context("cannot map the state of the CPUs")?,
        );
        let rings = object::create_rings(&ebpf, settings)?;
        for pid in settings.pids {
            bpf::update(fd(&ebpf, "PIDS")?, &pid.to_ne_bytes(), &[1])
                .context("cannot set the processes to record")?;
        }
        object::fill_syscall_tables(&ebpf, probes)?;
        let templates = Templates::new(settings.object, ebpf.maps(), &object::specs(probes))?;
        if settings.log {
            object::forward_log(&mut ebpf)?;
        }
        let wants_functions = probes
            .iter()
            .any(|probe| matches!(probe.place, Place::Function { .. }));
        let functions = wants_functions
            .then(|| FunctionSource::read(settings.sys))
            .transpose()
            .context("this kernel was built without kprobes (CONFIG_KPROBES)")?;
        Ok(Self {
            ebpf,
            templates,
            states,
            cpus: settings.cpus.to_vec(),
            cpu_count: settings.cpu_count,
            class_count: probes.len() as u32,
            rings,
            functions,
        })
    }

    /// The state of the CPUs, shared with the programs.
    #[must_use]
    pub fn states(&self) -> Arc<CpuStates> {
        Arc::clone(&self.states)
    }

    /// The rings and the CPUs they are of. Empty when called again.
    pub fn take_rings(&mut self) -> Vec<(u32, Ring)> {
        std::mem::take(&mut self.rings)
    }

    /// Attaches all probes. One that was named by the user must attach; one that came from
    /// a pattern may be refused, and is then given to `refused`. `attached` is told how many
    /// are done.
    pub fn attach(
        self,
        probes: &[ResolvedProbe],
        mut attached: impl FnMut(usize),
        mut refused: impl FnMut(AttachError),
    ) -> Result<Attached> {
        let mut links = Vec::new();
        for (row, probe) in probes.iter().enumerate() {
            match self.attach_one(row, probe)? {
                Ok(Some(link)) => links.push(link),
                Ok(None) => {}
                Err(error) if probe.explicit => return Err(error.into()),
                Err(error) => refused(error),
            }
            attached(row + 1);
        }
        let shared = syscalls::attach(&self.templates, probes)?;
        Ok(Attached {
            kernel: self,
            links,
            shared,
            syscalls_skipped_before: 0,
        })
    }

    /// Attaches a probe that has a program of its own.
    fn attach_one(
        &self,
        row: usize,
        probe: &ResolvedProbe,
    ) -> Result<Result<Option<Link>, AttachError>> {
        let (template, kind, abi) = match &probe.place {
            Place::Tracepoint { .. } => ("on_tracepoint", BPF_PROG_TYPE_TRACEPOINT, Abi::Record),
            Place::Function { .. } => ("on_function", BPF_PROG_TYPE_KPROBE, Abi::Registers),
            Place::Syscall { .. } | Place::RawSyscall { .. } => return Ok(Ok(None)),
        };
        // Its tables live until the program is loaded.
        let mut tables = Tables::default();
        let hooks = hooks(probe, abi, &mut tables)?;
        let kind = ProgramKind::of(kind);
        let name = probe.class.name.replace(':', "_");
        let program = match self.templates.load(template, kind, row, &name, &hooks)? {
            Ok(program) => program,
            Err(source) => {
                let probe = probe.class.name.clone();
                return Ok(Err(AttachError::Load { probe, source }));
            }
        };
        let link = self
            .open_event(&probe.place)
            .and_then(|event| Link::to_perf_event(probe.class.id, program, &event));
        Ok(link.map(Some).map_err(|source| AttachError::Attach {
            probe: probe.class.name.clone(),
            hint: hint(&probe.place, &source),
            source,
        }))
    }

    /// Waits until every program that may have begun before is done: the kernel does so
    /// when an element of an array of maps changes (`maybe_wait_bpf_programs`).
    pub(super) fn wait_for_programs(&self) -> Result<()> {
        let cpu = self.cpus.first().context("no CPU is recorded")?;
        let spare = bpf::create_ring(crate::sys::page_size() as u32)?;
        let spare_fd = std::os::fd::AsRawFd::as_raw_fd(&spare);
        bpf::update(
            fd(&self.ebpf, "RINGS")?,
            &cpu.to_ne_bytes(),
            &spare_fd.to_ne_bytes(),
        )
        .context("cannot wait for the programs to end")
    }

    fn open_event(&self, place: &Place) -> io::Result<OwnedFd> {
        let functions = || {
            self.functions
                .as_ref()
                .ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))
        };
        match place {
            Place::Tracepoint { id, .. } => perf::open_tracepoint(*id),
            Place::Function { target, .. } => match target {
                FunctionTarget::Kprobe { symbol, offset } => {
                    functions()?.open(symbol, *offset, false)
                }
                FunctionTarget::Kretprobe { symbol } => functions()?.open(symbol, 0, true),
            },
            Place::Syscall { .. } | Place::RawSyscall { .. } => {
                Err(io::ErrorKind::Unsupported.into())
            }
        }
    }
}

/// The files that a recording has open. System calls share their programs.
fn files_needed(settings: &Settings<'_>, probes: &[ResolvedProbe]) -> u64 {
    let programs = probes
        .iter()
        .filter(|probe| {
            !matches!(
                probe.place,
                Place::Syscall { .. } | Place::RawSyscall { .. }
            )
        })
        .count() as u64;
    programs * FILES_PER_PROGRAM + settings.cpus.len() as u64 * FILES_PER_CPU + OTHER_FILES
}

/// What an error at a place may mean, starting with a separator, or nothing.
fn hint(place: &Place, error: &io::Error) -> &'static str {
    match (place, error.raw_os_error()) {
        (_, Some(libc::EMFILE | libc::ENFILE)) => {
            "; too many files are open: raise `ulimit -n` or name fewer probes"
        }
        (_, Some(libc::EPERM | libc::EACCES)) => {
            "; the kernel does not allow it: `tracer doctor` says why"
        }
        (Place::Function { target, .. }, Some(error)) => function_hint(target, error),
        _ => "",
    }
}

fn function_hint(target: &FunctionTarget, error: i32) -> &'static str {
    match (target, error) {
        (FunctionTarget::Kprobe { offset, .. }, libc::EILSEQ) if *offset > 0 => {
            "; the offset is not the start of an instruction"
        }
        (_, libc::EINVAL) => "; the kernel does not allow probes in this function",
        (_, libc::ENOENT) => {
            "; the kernel has no such function (it may be inlined, or its module is not loaded)"
        }
        (_, libc::EADDRNOTAVAIL) => "; several functions have this name",
        _ => "",
    }
}

/// The code that is made for one probe.
fn hooks(probe: &ResolvedProbe, abi: Abi, tables: &mut Tables) -> Result<Hooks> {
    let mut hooks = Hooks::default();
    if let Some(condition) = &probe.filter {
        let question = Question {
            condition,
            sources: &probe.sources,
        };
        hooks.set(hook::FILTER, code::filter(question, abi, tables)?);
    }
    let fetched = match &probe.place {
        Place::Tracepoint { fetched, .. } => fetched,
        Place::Function { layout, .. } => layout,
        Place::Syscall { .. } | Place::RawSyscall { .. } => return Ok(hooks),
    };
    if !fetched.is_empty() {
        hooks.set(hook::FETCH, fetched.code(abi)?);
    }
    Ok(hooks)
}
