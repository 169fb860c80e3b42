//! LTTng's names, fields and values, applied to resolved probes.

use tracer_common::spec_flags;

use crate::kernel::KernelFiles;
use crate::probe::{AttachPoint, ProbeError, ResolvedProbe, tracepoint};
use crate::trace::lttng;

/// Gives probes on tracepoints of [`EVENTS`](lttng::EVENTS) the names and the layout there.
///
/// # Errors
/// If the kernel's description of a tracepoint is gone or cannot be parsed.
pub fn rename(files: &KernelFiles, probes: &mut [ResolvedProbe]) -> Result<(), ProbeError> {
    for probe in probes {
        let AttachPoint::Tracepoint {
            system,
            name,
            spec,
            fetched,
            ..
        } = &mut probe.attach_point
        else {
            continue;
        };
        let Some(event) = lttng::of_tracepoint(system, name) else {
            continue;
        };
        let format = files.format(system, name)?;
        let layout = tracepoint::layout_as(&format, Some(event));
        let layout = layout.map_err(|cause| ProbeError::Layout {
            probe: format!("{system}:{name}"),
            cause,
        })?;
        let flags = layout.spec.flags | spec.flags & spec_flags::UNFILTERED;
        let class = spec.class;
        **spec = layout.spec;
        (spec.class, spec.flags) = (class, flags);
        event.name.clone_into(&mut probe.class.name);
        let own = layout.fields.into_iter().zip(layout.sources);
        (probe.class.fields, probe.sources) = own.chain(fetched.fields()).unzip();
    }
    Ok(())
}

#[cfg(test)]
mod tests;
