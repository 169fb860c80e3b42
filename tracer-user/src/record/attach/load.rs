//! Loads what a plan needs: first the maps, then each program.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use anyhow::{Result, bail};
use aya_obj::generated::bpf_attach_type::{
    BPF_TRACE_FENTRY, BPF_TRACE_FEXIT, BPF_TRACE_KPROBE_MULTI, BPF_TRACE_RAW_TP,
};
use aya_obj::generated::bpf_insn;
use aya_obj::generated::bpf_prog_type::{
    BPF_PROG_TYPE_KPROBE, BPF_PROG_TYPE_RAW_TRACEPOINT, BPF_PROG_TYPE_TRACEPOINT,
    BPF_PROG_TYPE_TRACING,
};
use tracer_common::arch::NATIVE;
use tracer_common::hook;

use crate::kernel::features::{Features, Roots};
use crate::probe::{AttachPoint, FunctionTarget, ResolvedProbe};
use crate::record::attach::code::{self, Question, Tables};
use crate::record::attach::error::{AttachError, Refusal};
use crate::record::attach::follow::status_offset;
use crate::record::attach::link::Linker;
use crate::record::attach::object::{self, Maps};
use crate::record::attach::origin::Origin;
use crate::record::attach::plan::{
    AttachPlan, Attachment, EventFilter, Filter, ProgramPlan, Supported, Template, Values,
};
use crate::record::attach::program::AttachedProgram;
use crate::record::attach::settings::Settings;
use crate::record::attach::template::{Hooks, Templates};
use crate::record::attach::types::KernelTypes;
use crate::record::ring::{CpuStates, Ring};
use crate::sys::bpf::{self, BPF_TRACE_KPROBE_SESSION, ProgramKind};
use crate::sys::limits;

/// Files for a program: itself and its link.
const FILES_PER_PROGRAM: u64 = 2;
/// Files for a CPU: its ring, its stream, the index, both ends of the pipe to the stream, what
/// its drain waits with, and two to spare.
const FILES_PER_CPU: u64 = 8;
/// Other files of the recorder: maps, the control side.
const OTHER_FILES: u64 = 64;

/// The kernel's side of a recording, ready to attach: maps are made, programs are planned.
pub struct Loaded<'p> {
    plan: AttachPlan<'p>,
    loader: Loader,
    maps: Maps,
    rings: Vec<(u32, Ring)>,
}

impl<'p> Loaded<'p> {
    /// Plans the programs for `probes`, and creates their maps and rings.
    pub fn new(settings: &Settings<'_>, probes: &'p [ResolvedProbe]) -> Result<Self> {
        let features = Features::new(Roots {
            sys: settings.sys.to_owned(),
            ..Roots::default()
        });
        let plan = AttachPlan::new(settings, probes, supported(&features, probes))?;
        allow_files(settings, &plan, probes.len())?;
        let types = KernelTypes(&features);
        let mut layout = settings.processes.task_layout(types)?;
        if !plan.syscalls.is_empty() && NATIVE.compat_gate.is_some() {
            let btf = types.btf().map(|btf| status_offset(btf.vmlinux()));
            layout.status = btf.unwrap_or(0);
        }
        let (mut maps, rings) = object::load(settings, layout, &plan, probes)?;
        let templates = Templates::new(
            settings.object,
            maps.ebpf.maps(),
            &plan.specs,
            object::create_entries(probes)?,
            object::create_calls(probes)?,
        )?;
        if settings.log {
            object::forward_log(&mut maps.ebpf)?;
        }
        let context = if settings.contexts.is_empty() {
            None
        } else {
            Some(code::context(settings.contexts)?)
        };
        Ok(Self {
            plan,
            loader: Loader {
                templates,
                features,
                linker: Linker::new(settings.sys),
                context,
                origin: settings.origin.clone(),
                cgroup: settings.origin.open_cgroup()?,
            },
            maps,
            rings,
        })
    }

    /// The programs that will be attached.
    #[must_use]
    pub fn plan(&self) -> &AttachPlan<'p> {
        &self.plan
    }

    /// The state of the CPUs, shared with the programs.
    #[must_use]
    pub fn states(&self) -> Arc<CpuStates> {
        Arc::clone(&self.maps.states)
    }

    /// The rings, each with its CPU. Empty when called again.
    pub fn take_rings(&mut self) -> Vec<(u32, Ring)> {
        std::mem::take(&mut self.rings)
    }

    pub(super) fn into_parts(self) -> (Loader, AttachPlan<'p>, Maps) {
        (self.loader, self.plan, self.maps)
    }
}

/// What the kernel supports, as far as `probes` need to know.
fn supported(features: &Features, probes: &[ResolvedProbe]) -> Supported {
    let any = |wanted: fn(&FunctionTarget) -> bool| {
        probes.iter().any(|probe| {
            matches!(&probe.attach_point, AttachPoint::Function { target, .. } if wanted(target))
        })
    };
    let entries = any(|target| matches!(target, FunctionTarget::Kprobe { .. }));
    let returns = any(|target| matches!(target, FunctionTarget::Kretprobe { .. }));
    Supported {
        kprobe_multi: entries && features.kprobe_multi().is_ok(),
        kprobe_session: returns && features.kprobe_session().is_ok(),
    }
}

/// Raises the limit of open files to what the recording may need.
fn allow_files(settings: &Settings<'_>, plan: &AttachPlan<'_>, probe_count: usize) -> Result<()> {
    let needed = files_needed(plan.max_programs(), settings.cpus.len());
    let allowed = limits::raise_open_files(needed);
    if allowed < needed {
        bail!(
            "{probe_count} probes need {needed} open files but only {allowed} are allowed; raise \
             `ulimit -n` or record fewer probes"
        );
    }
    Ok(())
}

fn files_needed(programs: usize, cpus: usize) -> u64 {
    programs as u64 * FILES_PER_PROGRAM + cpus as u64 * FILES_PER_CPU + OTHER_FILES
}

/// Makes programs from plans, loads and attaches them.
pub(super) struct Loader {
    templates: Templates,
    features: Features,
    linker: Linker,
    /// Writes the contexts.
    context: Option<Vec<bpf_insn>>,
    origin: Origin,
    /// The array with the cgroup that threads must be in.
    cgroup: Option<OwnedFd>,
}

impl Loader {
    /// Loads and attaches a program.
    pub(super) fn attach(&self, plan: &ProgramPlan<'_>) -> Result<AttachedProgram, AttachError> {
        let refused = |refusal| AttachError::Refused {
            subject: plan.subject.clone(),
            refusal,
        };
        let kind = self.kind(&plan.attachment).map_err(refused)?;
        // Its tables live until the program is loaded.
        let mut tables = Tables::default();
        let mut hooks = self.hooks(plan, &mut tables)?;
        if plan.template == Template::Session {
            let session = self.features.kprobe_session();
            let session = session.map_err(|missing| refused((&missing).into()))?;
            hooks.set_of_kernel(hook::SESSION_IS_RETURN, session.is_return);
            hooks.set_of_kernel(hook::SESSION_COOKIE, session.cookie);
        }
        let copy = self
            .templates
            .copy(plan.template.symbol(), plan.row, &hooks)?;
        let program = bpf::load_program(kind, &plan.name, &copy, self.templates.license())
            .map_err(|error| refused(Refusal::Program(error)))?;
        let link = self
            .linker
            .link(&program, &plan.attachment, plan.cookie)
            .map_err(refused)?;
        Ok(AttachedProgram::new(plan.misses, program, link))
    }

    /// The kernel's type of a program that is attached by `attachment`.
    fn kind(&self, attachment: &Attachment<'_>) -> Result<ProgramKind, Refusal> {
        let typed = |kind, attach_type, btf_id| ProgramKind {
            kind,
            attach_type: Some(attach_type),
            btf_id,
        };
        let tracing =
            |attach_type, btf_id| typed(BPF_PROG_TYPE_TRACING, attach_type as u32, btf_id);
        Ok(match attachment {
            Attachment::PerfTracepoint { .. } => ProgramKind::of(BPF_PROG_TYPE_TRACEPOINT),
            Attachment::RawTracepoint { .. } => ProgramKind::of(BPF_PROG_TYPE_RAW_TRACEPOINT),
            Attachment::TypedRawTracepoint { name } => tracing(
                BPF_TRACE_RAW_TP,
                KernelTypes(&self.features).raw_tracepoint(name)?,
            ),
            Attachment::Kprobe { .. }
            | Attachment::Kretprobe { .. }
            | Attachment::Uprobe { .. }
            | Attachment::Uretprobe { .. } => ProgramKind::of(BPF_PROG_TYPE_KPROBE),
            Attachment::KprobeMulti(_) => {
                typed(BPF_PROG_TYPE_KPROBE, BPF_TRACE_KPROBE_MULTI as u32, 0)
            }
            Attachment::KprobeSession(_) => {
                typed(BPF_PROG_TYPE_KPROBE, BPF_TRACE_KPROBE_SESSION, 0)
            }
            Attachment::Fentry { btf_id } => tracing(BPF_TRACE_FENTRY, *btf_id),
            Attachment::Fexit { btf_id } => tracing(BPF_TRACE_FEXIT, *btf_id),
        })
    }

    /// The code that is generated for a program.
    fn hooks(&self, plan: &ProgramPlan<'_>, tables: &mut Tables) -> Result<Hooks> {
        let mut hooks = Hooks::default();
        let abi = plan.attachment.abi();
        if let Some(context) = &self.context {
            hooks.set(hook::CONTEXT, context.clone());
        }
        if let Some(fetched) = &plan.fetched {
            let code = match fetched {
                Values::Listed(layout) => layout.code(abi)?,
                Values::Record(layout) => layout.code(abi)?,
            };
            hooks.set(hook::FETCH, code);
        }
        match &plan.filter {
            Filter::None => {}
            Filter::One(filter) => {
                let code = code::filter(self.question(*filter), abi, tables)?;
                hooks.set(hook::FILTER, code);
            }
            Filter::Numbered { first, filters } => {
                let questions: Vec<_> = filters.iter().map(|it| self.question(*it)).collect();
                if matches!(plan.template, Template::CallEnter | Template::CallExit) {
                    let code = code::call_filter(&questions, *first, tables)?;
                    hooks.set(hook::CALL_FILTER, code);
                } else {
                    let code = code::syscall_filter(&questions, *first, tables)?;
                    hooks.set(hook::SYSCALL_FILTER, code);
                }
            }
        }
        Ok(hooks)
    }

    /// What is asked of an event.
    fn question<'a>(&'a self, filter: EventFilter<'a>) -> Question<'a> {
        Question {
            origin: self.origin.condition.as_ref(),
            cgroup: self.cgroup.as_ref(),
            condition: filter.condition,
            sources: filter.sources,
        }
    }
}
