//! The programs that system calls share, and the filters of each call.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};

use anyhow::{Context, Result};
use aya_obj::generated::bpf_attach_type::BPF_TRACE_RAW_TP;
use aya_obj::generated::bpf_prog_type::BPF_PROG_TYPE_TRACING;
use tracer_common::hook;

use crate::kernel::btf::KernelBtf;
use crate::probe::{AttachPoint, ResolvedProbe};
use crate::record::attach::code::{Question, Tables, syscall_filter};
use crate::record::attach::kernel::Kernel;
use crate::record::attach::template::{Hooks, Templates};
use crate::sys::bpf::{self, ProgramKind};

/// A program that serves many classes.
struct Shared {
    template: &'static str,
    /// The raw tracepoint that it attaches to.
    tracepoint: &'static str,
    serves: fn(&AttachPoint) -> bool,
    /// The number of the first filter: calls without one have 0 in the table, where there is
    /// a table.
    first_filter: u32,
}

const SHARED: [Shared; 4] = [
    Shared {
        template: "on_sys_enter",
        tracepoint: "sys_enter",
        serves: |place| matches!(place, AttachPoint::Syscall { entry: true, .. }),
        first_filter: 1,
    },
    Shared {
        template: "on_sys_exit",
        tracepoint: "sys_exit",
        serves: |place| matches!(place, AttachPoint::Syscall { entry: false, .. }),
        first_filter: 1,
    },
    Shared {
        template: "on_raw_sys_enter",
        tracepoint: "sys_enter",
        serves: |place| matches!(place, AttachPoint::RawSyscall { entry: true }),
        first_filter: 0,
    },
    Shared {
        template: "on_raw_sys_exit",
        tracepoint: "sys_exit",
        serves: |place| matches!(place, AttachPoint::RawSyscall { entry: false }),
        first_filter: 0,
    },
];

/// An attached program; it stays attached as long as this lives.
pub(super) struct SharedProgram {
    pub(super) program: OwnedFd,
    _link: OwnedFd,
}

/// Loads and attaches the programs that the system calls among `probes` need.
pub(super) fn attach(kernel: &Kernel, probes: &[ResolvedProbe]) -> Result<Vec<SharedProgram>> {
    let needed: Vec<&Shared> = SHARED
        .iter()
        .filter(|shared| {
            probes
                .iter()
                .any(|probe| (shared.serves)(&probe.attach_point))
        })
        .collect();
    if needed.is_empty() {
        return Ok(Vec::new());
    }
    let btf = KernelBtf::read(&kernel.sys).context("cannot attach to system calls")?;
    needed
        .into_iter()
        .map(|shared| shared.attach(kernel, &btf, probes))
        .collect()
}

impl Shared {
    fn served<'a>(
        &self,
        probes: &'a [ResolvedProbe],
    ) -> impl Iterator<Item = &'a ResolvedProbe> + use<'a> {
        let serves = self.serves;
        probes
            .iter()
            .filter(move |probe| serves(&probe.attach_point))
    }

    fn attach(
        &self,
        kernel: &Kernel,
        btf: &KernelBtf,
        probes: &[ResolvedProbe],
    ) -> Result<SharedProgram> {
        let (name, tracepoint) = (self.template, self.tracepoint);
        let btf_id = btf
            .raw_tracepoint(tracepoint)
            .with_context(|| format!("this kernel has no raw tracepoint `{tracepoint}`"))?
            .ty
            .id();
        let mut tables = Tables::default();
        let mut hooks = kernel.common_hooks();
        let numbers = Numbers::of(kernel, self.served(probes))?;
        if !numbers.questions.is_empty() {
            let code = syscall_filter(&numbers.questions, self.first_filter, &mut tables)?;
            hooks.set(hook::SYSCALL_FILTER, code);
        }
        SharedProgram::attach(&kernel.templates, name, btf_id, &hooks)
            .with_context(|| format!("cannot attach to the raw tracepoint `{tracepoint}`"))
    }
}

impl SharedProgram {
    /// Loads the program `name` of the object and attaches it to the raw tracepoint whose type
    /// has the number `btf_id`.
    pub(super) fn attach(
        templates: &Templates,
        name: &str,
        btf_id: u32,
        hooks: &Hooks,
    ) -> Result<Self> {
        let kind = ProgramKind {
            kind: BPF_PROG_TYPE_TRACING,
            attach_type: Some(BPF_TRACE_RAW_TP as u32),
            btf_id,
        };
        let program = templates
            .load(name, kind, 0, name, hooks)?
            .with_context(|| format!("the kernel refused the program `{name}`"))?;
        let link = bpf::link_to_raw_tracepoint(program.as_fd(), None)?;
        Ok(Self {
            program,
            _link: link,
        })
    }
}

/// The number of each system call's filter, by class; calls without one have none.
pub(super) fn filter_numbers(
    kernel: &Kernel,
    probes: &[ResolvedProbe],
) -> Result<HashMap<u32, u8>> {
    let mut by_class = HashMap::new();
    for shared in SHARED.iter().filter(|shared| shared.first_filter > 0) {
        let numbers = Numbers::of(kernel, shared.served(probes))?;
        for (class, number) in numbers.by_class {
            by_class.insert(class, number + shared.first_filter as u8);
        }
    }
    Ok(by_class)
}

/// Filters that are asked by one program. Calls whose filters are the same, field by field,
/// have one together.
struct Numbers<'a> {
    questions: Vec<Question<'a>>,
    /// From 0.
    by_class: Vec<(u32, u8)>,
}

impl<'a> Numbers<'a> {
    fn of(kernel: &'a Kernel, probes: impl Iterator<Item = &'a ResolvedProbe>) -> Result<Self> {
        let mut numbers = Self {
            questions: Vec::new(),
            by_class: Vec::new(),
        };
        let mut known: HashMap<String, u8> = HashMap::new();
        for probe in probes {
            let question = kernel.question(probe);
            if question.is_trivial() {
                continue;
            }
            let key = format!("{:?}", question.condition);
            let number = if let Some(&number) = known.get(&key) {
                number
            } else {
                let number = u8::try_from(numbers.questions.len())
                    .ok()
                    .filter(|&number| number < u8::MAX)
                    .context("more than 254 different filters for system calls")?;
                numbers.questions.push(question);
                known.insert(key, number);
                number
            };
            numbers.by_class.push((probe.class.id, number));
        }
        Ok(numbers)
    }
}
