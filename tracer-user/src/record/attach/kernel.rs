//! The kernel's side of a recording before it begins: loaded, then attached.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use aya::Ebpf;
use aya_obj::generated::bpf_insn;
use aya_obj::generated::bpf_prog_type::BPF_PROG_TYPE_TRACEPOINT;
use tracer_common::hook;

use crate::probe::fetch::{ContextField, Layout};
use crate::probe::{AttachPoint, FunctionTarget, ResolvedProbe};
use crate::record::attach::attached::Attached;
use crate::record::attach::code::{self, Abi, Question, Tables};
use crate::record::attach::follow::{Following, Processes};
use crate::record::attach::functions::{self, FunctionSources, Moment};
use crate::record::attach::link::{AttachError, Emits, Link};
use crate::record::attach::many::{self, At, Group, Session};
use crate::record::attach::object::{self, fd};
use crate::record::attach::origin::Origin;
use crate::record::attach::syscalls;
use crate::record::attach::template::{Hooks, Templates};
use crate::record::attach::throttle::{self, Throttle};
use crate::record::ring::{CpuStates, Ring};
use crate::sys::bpf::{self, ProgramKind};
use crate::sys::{limits, perf};

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
    /// The only threads and processes to record, if any are chosen.
    pub processes: Processes<'a>,
    /// How many events are recorded, by class; classes that are not in it have no throttle.
    pub throttles: &'a [Throttle],
    /// What is recorded with each event, in its order in the event.
    pub contexts: &'a [ContextField],
    /// Where events must happen to be recorded.
    pub origin: &'a Origin,
    /// Whether the programs write log messages.
    pub log: bool,
}

/// Maps and templates are loaded; nothing is attached.
pub struct Kernel {
    /// Writes the contexts.
    context: Option<Vec<bpf_insn>>,
    origin: Origin,
    /// The array of the cgroup that threads must be in.
    cgroup: Option<OwnedFd>,
    pub(super) ebpf: Ebpf,
    pub(super) templates: Templates,
    pub(super) states: Arc<CpuStates>,
    pub(super) cpus: Vec<u32>,
    pub(super) cpu_count: u32,
    pub(super) class_count: u32,
    /// Classes with values that are read from memory.
    pub(super) fetching: Vec<u32>,
    pub(super) throttles: Vec<Throttle>,
    following: Option<Following>,
    rings: Vec<(u32, Ring)>,
    functions: FunctionSources,
    /// The root of sysfs.
    pub(super) sys: PathBuf,
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
        let following = settings.processes.following(settings.sys)?;
        let mut ebpf = object::load(settings, &config, following.as_ref(), probes)?;
        let states = Arc::new(
            CpuStates::map(fd(&ebpf, "CPUS")?, settings.cpu_count as usize)
                .context("cannot map the state of the CPUs")?,
        );
        let rings = object::create_rings(&ebpf, settings)?;
        settings.processes.enter(fd(&ebpf, "PIDS")?)?;
        throttle::fill(fd(&ebpf, "THROTTLES")?, settings.throttles)?;
        let templates = Templates::new(
            settings.object,
            ebpf.maps(),
            &object::specs(settings, probes),
            object::create_entries(probes)?,
        )?;
        if settings.log {
            object::forward_log(&mut ebpf)?;
        }
        let context = if settings.contexts.is_empty() {
            None
        } else {
            Some(code::context(settings.contexts)?)
        };
        Ok(Self {
            context,
            origin: settings.origin.clone(),
            cgroup: settings.origin.open_cgroup()?,
            ebpf,
            templates,
            states,
            cpus: settings.cpus.to_vec(),
            cpu_count: settings.cpu_count,
            class_count: probes.len() as u32,
            fetching: object::fetching(probes),
            throttles: settings.throttles.to_vec(),
            following,
            rings,
            functions: FunctionSources::new(settings.sys),
            sys: settings.sys.to_owned(),
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
        // Before the others: what is started while they are attached is followed.
        let followers = self.following.as_ref();
        let followers = followers
            .map(|following| following.attach(&self.templates))
            .transpose()?;
        let mut links = Vec::new();
        let mut done = vec![false; probes.len()];
        let groups = many::groups(probes, |row| self.is_throttled(&probes[row]));
        let session = Session::of_groups(&groups, &self.sys);
        let mut count = 0;
        for group in groups {
            match self.attach_many(probes, &group, session) {
                Ok(link) => {
                    links.push(link);
                    count += group.rows.len();
                    attached(count);
                    for row in group.rows {
                        done[row] = true;
                    }
                }
                Err(error) => log::debug!("functions are attached one by one: {error:#}"),
            }
        }
        for (row, probe) in probes.iter().enumerate().filter(|(row, _)| !done[*row]) {
            match self.attach_one(row, probe)? {
                Ok(attached) => links.extend(attached),
                Err(error) if probe.explicit => return Err(error.into()),
                Err(error) => refused(error),
            }
            count += 1;
            attached(count);
        }
        let filters = syscalls::filter_numbers(&self, probes)?;
        object::fill_syscall_tables(&self, probes, &filters)?;
        let shared = syscalls::attach(&self, probes)?;
        Ok(Attached {
            kernel: self,
            links,
            followers,
            shared,
            syscalls_skipped_before: 0,
        })
    }

    /// Attaches a probe that has programs of its own.
    fn attach_one(
        &self,
        row: usize,
        probe: &ResolvedProbe,
    ) -> Result<Result<Vec<Link>, AttachError>> {
        let mut links = Vec::new();
        for job in jobs(probe) {
            match self.attach_program(row, probe, &job)? {
                Ok(link) => links.push(link),
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(links))
    }

    /// Attaches one program to all functions of a group.
    fn attach_many(
        &self,
        probes: &[ResolvedProbe],
        group: &Group,
        session: Option<Session>,
    ) -> Result<Link> {
        let (first, at) = (group.rows[0], group.at);
        let probe = &probes[first];
        let job = Job {
            template: at.template(),
            kind: at.kind(),
            fetched: &group.fetched,
            ..jobs(probe).remove(0)
        };
        let mut tables = Tables::default();
        let mut hooks = self.hooks(probe, &job, &mut tables)?;
        if at == At::Return {
            let session = session.context("the kernel has no kprobe-session")?;
            session.set(&mut hooks);
        }
        let emits = group.emits(probes);
        let name = match emits {
            Emits::Many => at.program_name().to_owned(),
            _ => program_name(probe, Moment::Event),
        };
        let program = self
            .templates
            .load(job.template, job.kind, first, &name, &hooks)??;
        let attachment = group.attach(&program, probes)?;
        Ok(Link::new(emits, program, attachment))
    }

    fn attach_program(
        &self,
        row: usize,
        probe: &ResolvedProbe,
        job: &Job<'_>,
    ) -> Result<Result<Link, AttachError>> {
        // Its tables live until the program is loaded.
        let mut tables = Tables::default();
        let hooks = self.hooks(probe, job, &mut tables)?;
        let name = program_name(probe, job.moment);
        let program = match self
            .templates
            .load(job.template, job.kind, row, &name, &hooks)?
        {
            Ok(program) => program,
            Err(source) => {
                let probe = probe.class.name.clone();
                return Ok(Err(AttachError::Load { probe, source }));
            }
        };
        let cookie = probe.class.id.into();
        let attachment = match &probe.attach_point {
            AttachPoint::Tracepoint { id, .. } => perf::open_tracepoint(*id)
                .and_then(|event| bpf::link_to_perf_event(program.as_fd(), event.as_fd(), cookie)),
            AttachPoint::Function { target, .. } => {
                self.functions.attach(target, job.moment, &program, cookie)
            }
            AttachPoint::Syscall { .. } | AttachPoint::RawSyscall { .. } => {
                Err(io::ErrorKind::Unsupported.into())
            }
        };
        let emits = match job.moment {
            Moment::Event => Emits::Class(probe.class.id),
            Moment::Entry => Emits::Nothing,
        };
        Ok(attachment
            .map(|attachment| Link::new(emits, program, attachment))
            .map_err(|source| AttachError::Attach {
                probe: probe.class.name.clone(),
                hint: hint(&probe.attach_point, &source),
                source,
            }))
    }

    /// Whether not all events of the probe are recorded.
    pub(super) fn is_throttled(&self, probe: &ResolvedProbe) -> bool {
        throttle::is_throttled(&self.throttles, probe)
    }

    /// The code that is made for one program.
    fn hooks(&self, probe: &ResolvedProbe, job: &Job<'_>, tables: &mut Tables) -> Result<Hooks> {
        let mut hooks = self.common_hooks();
        if !job.fetched.is_empty() {
            hooks.set(hook::FETCH, job.fetched.code(job.abi)?);
        }
        let question = self.question(probe);
        if job.moment == Moment::Event && !question.is_trivial() {
            hooks.set(hook::FILTER, code::filter(question, job.abi, tables)?);
        }
        Ok(hooks)
    }

    /// What all programs have.
    pub(super) fn common_hooks(&self) -> Hooks {
        let mut hooks = Hooks::default();
        if let Some(context) = &self.context {
            hooks.set(hook::CONTEXT, context.clone());
        }
        hooks
    }

    /// What is asked of the events of a probe.
    pub(super) fn question<'a>(&'a self, probe: &'a ResolvedProbe) -> Question<'a> {
        Question {
            origin: self.origin.condition.as_ref(),
            cgroup: self.cgroup.as_ref(),
            condition: probe.filter.as_ref(),
            sources: &probe.sources,
        }
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
}

/// A program that a probe needs.
struct Job<'a> {
    template: &'static str,
    kind: ProgramKind,
    abi: Abi,
    moment: Moment,
    fetched: &'a Layout,
}

/// The programs that a probe has of its own, in the order in which they are attached.
fn jobs(probe: &ResolvedProbe) -> Vec<Job<'_>> {
    match &probe.attach_point {
        AttachPoint::Tracepoint { fetched, .. } => vec![Job {
            template: "on_tracepoint",
            kind: ProgramKind::of(BPF_PROG_TYPE_TRACEPOINT),
            abi: Abi::Record,
            moment: Moment::Event,
            fetched,
        }],
        AttachPoint::Function {
            target,
            layout,
            entry,
        } => {
            let job = |template, moment, fetched| Job {
                template,
                kind: functions::kind(target, moment),
                abi: functions::abi(target),
                moment,
                fetched,
            };
            match entry {
                None => vec![job("on_function", Moment::Event, layout)],
                Some(entry) => vec![
                    job("on_return", Moment::Event, layout),
                    job("on_entry", Moment::Entry, entry),
                ],
            }
        }
        AttachPoint::Syscall { .. } | AttachPoint::RawSyscall { .. } => Vec::new(),
    }
}

/// What `bpftool prog` shows of a program, as far as its 15 bytes go.
fn program_name(probe: &ResolvedProbe, moment: Moment) -> String {
    let class = probe.class.name.replace(':', "_");
    match moment {
        Moment::Event => class,
        Moment::Entry => format!("entry_{class}"),
    }
}

/// The files that a recording has open. System calls share their programs.
fn files_needed(settings: &Settings<'_>, probes: &[ResolvedProbe]) -> u64 {
    let programs: usize = probes.iter().map(|probe| jobs(probe).len()).sum();
    programs as u64 * FILES_PER_PROGRAM + settings.cpus.len() as u64 * FILES_PER_CPU + OTHER_FILES
}

/// What an error at a place may mean, starting with a separator, or nothing.
fn hint(place: &AttachPoint, error: &io::Error) -> &'static str {
    match (place, error.raw_os_error()) {
        (_, Some(libc::EMFILE | libc::ENFILE)) => {
            "; too many files are open: raise `ulimit -n` or name fewer probes"
        }
        (_, Some(libc::EPERM | libc::EACCES)) => {
            "; the kernel does not allow it: `tracer doctor` says why"
        }
        (AttachPoint::Function { target, .. }, Some(error)) => function_hint(target, error),
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
