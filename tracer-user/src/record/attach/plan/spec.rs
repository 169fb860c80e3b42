//! The specification of each probe, which its programs read as constants.

use tracer_common::{ProbeSpec, spec_flags};

use crate::probe::fetch::Layout;
use crate::probe::{AttachPoint, FunctionTarget, ResolvedProbe, Stacks};
use crate::record::attach::plan::Planner;

impl Planner<'_, '_> {
    /// In the order of the probes.
    pub(super) fn specs(&self) -> Vec<ProbeSpec> {
        let spec_of = |probe| {
            let spec = spec(probe);
            ProbeSpec {
                flags: spec.flags | self.scope_flags(probe),
                ..spec
            }
        };
        self.probes.iter().map(spec_of).collect()
    }

    /// Flags that follow from the scope of the recording.
    fn scope_flags(&self, probe: &ResolvedProbe) -> u32 {
        let is_exec = matches!(&probe.attach_point, AttachPoint::Tracepoint { system, name, .. }
            if system == "sched" && name == "sched_process_exec");
        let mut flags = 0;
        if self.is_throttled(probe) {
            flags |= spec_flags::THROTTLED;
        }
        if is_exec && self.settings.processes.command {
            flags |= spec_flags::AT_EXEC;
        }
        flags
    }
}

fn spec(probe: &ResolvedProbe) -> ProbeSpec {
    let (spec, layout, entry) = match &probe.attach_point {
        AttachPoint::Tracepoint {
            spec,
            fetched,
            recipe,
            ..
        } => {
            let mut spec = **spec;
            if recipe.is_some() {
                spec.flags |= spec_flags::NESTS;
            }
            (spec, fetched, None)
        }
        AttachPoint::Function {
            target,
            layout,
            entry,
        } => {
            let spec = ProbeSpec {
                flags: target_flags(target),
                ..ProbeSpec::EMPTY
            };
            (spec, layout, entry.as_ref())
        }
        AttachPoint::Syscall { .. } | AttachPoint::RawSyscall { .. } | AttachPoint::Call { .. } => {
            return ProbeSpec::EMPTY;
        }
    };
    let mut flags = spec.flags | probe.stacks.flags();
    if !layout.is_empty() {
        flags |= spec_flags::FETCHES;
    }
    let is_variable = |layout: &Layout| layout.fixed_len().is_none();
    if is_variable(layout) || entry.is_some_and(is_variable) || probe.stacks != Stacks::default() {
        flags |= spec_flags::VARIABLE;
    }
    ProbeSpec {
        class: probe.class.id,
        flags,
        fetch_len: layout.fixed_len().unwrap_or(0),
        entry_len: entry.map_or(0, |entry| entry.len),
        entry_strings: entry.map_or(0, |entry| entry.strings.len() as u32),
        ..spec
    }
}

/// Flags that follow from where the programs run.
fn target_flags(target: &FunctionTarget) -> u32 {
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
