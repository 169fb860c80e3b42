//! Programs that serve a single probe.

use std::borrow::Cow;

use crate::probe::fetch::Layout;
use crate::probe::{AttachPoint, FunctionTarget, ResolvedProbe, UserPlace};
use crate::record::attach::plan::{
    Attachment, Filter, Misses, OnRefusal, Planner, ProgramPlan, Step, Template, Values,
};

impl<'p> Planner<'_, 'p> {
    /// The programs of the probe in `row`; `None` for system calls, which share theirs.
    pub(super) fn single(&self, row: usize) -> Option<Step<'p>> {
        let probe = &self.probes[row];
        let programs = match &probe.attach_point {
            AttachPoint::Tracepoint {
                id,
                fetched,
                recipe,
                ..
            } => {
                let attachment = Attachment::PerfTracepoint { id: *id };
                let perf = self.emitting(row, Template::Tracepoint, attachment, fetched);
                match recipe {
                    Some(recipe) => return Some(self.by_recipe(row, recipe, perf)),
                    None => vec![perf],
                }
            }
            AttachPoint::Function {
                target,
                layout,
                entry: None,
            } => events(target)
                .map(|event| self.emitting(row, Template::Function, event, layout))
                .collect(),
            AttachPoint::Function {
                target,
                layout,
                entry: Some(entry),
            } => events(target)
                .flat_map(|event| {
                    let entered = function_entry(&event);
                    [
                        self.emitting(row, Template::Return, event, layout),
                        keeping(row, probe, entered, entry),
                    ]
                })
                .collect(),
            AttachPoint::Syscall { .. }
            | AttachPoint::RawSyscall { .. }
            | AttachPoint::Call { .. } => return None,
        };
        Some(Step {
            rows: vec![row],
            programs,
            on_refusal: last_resort(probe),
        })
    }

    /// A program that emits the probe's events.
    pub(super) fn emitting(
        &self,
        row: usize,
        template: Template,
        attachment: Attachment<'p>,
        fetched: &'p Layout,
    ) -> ProgramPlan<'p> {
        let probe = &self.probes[row];
        ProgramPlan {
            subject: subject(probe),
            name: name(probe),
            template,
            attachment,
            row,
            cookie: probe.class.id.into(),
            fetched: some(fetched),
            filter: self.filter(probe).map_or(Filter::None, Filter::One),
            misses: Misses::Event(probe.class.id),
        }
    }
}

/// What to do if there is no other way to attach a probe.
pub(super) fn last_resort<'p>(probe: &ResolvedProbe) -> OnRefusal<'p> {
    if probe.explicit {
        OnRefusal::Fail
    } else {
        OnRefusal::LeaveOut
    }
}

/// The program that keeps values from the entry of a function until it returns.
fn keeping<'p>(
    row: usize,
    probe: &'p ResolvedProbe,
    attachment: Attachment<'p>,
    entry: &'p Layout,
) -> ProgramPlan<'p> {
    ProgramPlan {
        subject: subject(probe),
        name: format!("entry_{}", name(probe)),
        template: Template::Entry,
        attachment,
        row,
        cookie: probe.class.id.into(),
        fetched: some(entry),
        filter: Filter::None,
        misses: Misses::Nothing,
    }
}

pub(super) fn subject(probe: &ResolvedProbe) -> String {
    format!("`{}`", probe.class.name)
}

pub(super) fn name(probe: &ResolvedProbe) -> String {
    probe.class.name.replace(':', "_")
}

fn some(layout: &Layout) -> Option<Values<'_>> {
    (!layout.is_empty()).then_some(Values::Listed(Cow::Borrowed(layout)))
}

/// Where the events of `target` happen.
fn events(target: &FunctionTarget) -> impl Iterator<Item = Attachment<'_>> {
    let (places, returns) = match target {
        FunctionTarget::Uprobe { places } => (&places[..], false),
        FunctionTarget::Uretprobe { places } => (&places[..], true),
        _ => (&[][..], false),
    };
    let of_places = places.iter().map(move |UserPlace { path, offset }| {
        let offset = *offset;
        if returns {
            Attachment::Uretprobe { path, offset }
        } else {
            Attachment::Uprobe { path, offset }
        }
    });
    of_places.chain(kernel_event(target))
}

/// Where the events of a target in the kernel happen.
fn kernel_event(target: &FunctionTarget) -> Option<Attachment<'_>> {
    Some(match target {
        FunctionTarget::Kprobe { symbol, offset, .. } => Attachment::Kprobe {
            symbol,
            offset: *offset,
        },
        FunctionTarget::Kretprobe { symbol } => Attachment::Kretprobe { symbol },
        FunctionTarget::Fentry { btf_id } => Attachment::Fentry { btf_id: *btf_id },
        FunctionTarget::Fexit { btf_id } => Attachment::Fexit { btf_id: *btf_id },
        FunctionTarget::RawTracepoint { name } => Attachment::RawTracepoint { name },
        FunctionTarget::Uprobe { .. } | FunctionTarget::Uretprobe { .. } => return None,
    })
}

/// The entry of the function whose return this is.
fn function_entry<'p>(event: &Attachment<'p>) -> Attachment<'p> {
    match event.clone() {
        Attachment::Kretprobe { symbol } => Attachment::Kprobe { symbol, offset: 0 },
        Attachment::Fexit { btf_id } => Attachment::Fentry { btf_id },
        Attachment::Uretprobe { path, offset } => Attachment::Uprobe { path, offset },
        entry => entry,
    }
}
