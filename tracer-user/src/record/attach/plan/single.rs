//! Programs that serve a single probe.

use std::borrow::Cow;

use crate::probe::fetch::Layout;
use crate::probe::{AttachPoint, FunctionTarget, ResolvedProbe};
use crate::record::attach::plan::{
    Attachment, Filter, Misses, OnRefusal, Planner, ProgramPlan, Step, Template,
};

impl<'p> Planner<'_, 'p> {
    /// The programs of the probe in `row`; `None` for system calls, which share theirs.
    pub(super) fn single(&self, row: usize) -> Option<Step<'p>> {
        let probe = &self.probes[row];
        let programs = match &probe.attach_point {
            AttachPoint::Tracepoint { id, fetched, .. } => {
                let attachment = Attachment::PerfTracepoint { id: *id };
                vec![self.emitting(row, Template::Tracepoint, attachment, fetched)]
            }
            AttachPoint::Function {
                target,
                layout,
                entry: None,
            } => vec![self.emitting(row, Template::Function, event(target), layout)],
            AttachPoint::Function {
                target,
                layout,
                entry: Some(entry),
            } => vec![
                self.emitting(row, Template::Return, event(target), layout),
                keeping(row, probe, target, entry),
            ],
            AttachPoint::Syscall { .. }
            | AttachPoint::RawSyscall { .. }
            | AttachPoint::Call { .. } => return None,
        };
        let on_refusal = if probe.explicit {
            OnRefusal::Fail
        } else {
            OnRefusal::LeaveOut
        };
        Some(Step {
            rows: vec![row],
            programs,
            on_refusal,
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

/// The program that keeps values from the entry of a function until it returns.
fn keeping<'p>(
    row: usize,
    probe: &'p ResolvedProbe,
    target: &'p FunctionTarget,
    entry: &'p Layout,
) -> ProgramPlan<'p> {
    ProgramPlan {
        subject: subject(probe),
        name: format!("entry_{}", name(probe)),
        template: Template::Entry,
        attachment: function_entry(target),
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

fn some(layout: &Layout) -> Option<Cow<'_, Layout>> {
    (!layout.is_empty()).then_some(Cow::Borrowed(layout))
}

/// Where the events of `target` happen.
fn event(target: &FunctionTarget) -> Attachment<'_> {
    match target {
        FunctionTarget::Kprobe { symbol, offset, .. } => Attachment::Kprobe {
            symbol,
            offset: *offset,
        },
        FunctionTarget::Kretprobe { symbol } => Attachment::Kretprobe { symbol },
        FunctionTarget::Fentry { btf_id } => Attachment::Fentry { btf_id: *btf_id },
        FunctionTarget::Fexit { btf_id } => Attachment::Fexit { btf_id: *btf_id },
        FunctionTarget::RawTracepoint { name } => Attachment::RawTracepoint { name },
        FunctionTarget::Uprobe { path, offset } => Attachment::Uprobe {
            path,
            offset: *offset,
        },
        FunctionTarget::Uretprobe { path, offset } => Attachment::Uretprobe {
            path,
            offset: *offset,
        },
    }
}

/// The entry of the function that returns at `target`.
fn function_entry(target: &FunctionTarget) -> Attachment<'_> {
    match event(target) {
        Attachment::Kretprobe { symbol } => Attachment::Kprobe { symbol, offset: 0 },
        Attachment::Fexit { btf_id } => Attachment::Fentry { btf_id },
        Attachment::Uretprobe { path, offset } => Attachment::Uprobe { path, offset },
        entry => entry,
    }
}
