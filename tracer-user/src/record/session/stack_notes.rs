//! What the addresses of stacks mean: the functions of the kernel, and where the code of
//! processes was. Both are sidecars of the trace.

use std::path::Path;
use std::sync::Arc;
use std::thread;

use anyhow::{Context as _, Result};

use crate::record::namespace::pids;
use crate::record::output::{Output, Retention, Sidecar};
use crate::record::session::mappings::{self, Watch, Watcher};
use crate::record::session::plan::Plan;
use crate::sys::stderr::message;
use crate::trace::sidecar::kallsyms;

/// Writes the functions of the kernel, if `plan` records its stacks.
pub(super) fn write_kernel_symbols(output: &dyn Output, plan: &Plan) -> Result<()> {
    let has_stacks = plan.probes.iter().any(|probe| probe.stacks.kernel);
    if !has_stacks || !output.takes(Sidecar::KernelSymbols) {
        return Ok(());
    }
    let symbols = kallsyms::read_running(Path::new("/proc"))
        .context("cannot save the kernel's symbols for reports")?;
    let Some(symbols) = symbols else {
        message!(
            "tracer: note: the kernel hides its addresses (kernel.kptr_restrict): reports show \
             kernel stacks without names"
        );
        return Ok(());
    };
    output.sidecar(Sidecar::KernelSymbols, &symbols)?;
    Ok(())
}

/// Starts writing where the code of processes is, if `plan` records their stacks. What is
/// executed from then on is known from its start.
pub(super) fn watch_mappings(output: &Arc<dyn Output>, plan: &Plan) -> Result<Option<Watch>> {
    let has_stacks = plan.probes.iter().any(|probe| probe.stacks.user);
    if !has_stacks || !output.takes(Sidecar::Mappings) {
        return Ok(None);
    }
    if pids::own()?.is_some() {
        // The mappings that the kernel reports have the ids of this namespace.
        message!(
            "tracer: note: in this PID namespace mappings of processes are not recorded: reports \
             show user stacks without names"
        );
        return Ok(None);
    }
    let rings = mappings::open_rings().unwrap_or_else(|error| {
        message!(
            "tracer: note: the kernel does not report mappings of processes ({error}): reports \
             show user stacks of short-lived processes without names"
        );
        Vec::new()
    });
    let (watch, watcher) =
        Watcher::new(rings, Path::new("/proc")).context("cannot wait for mappings")?;
    // The thread must not keep the folder of a recording that failed.
    let output = Arc::downgrade(output);
    let write = move |lines: &str| {
        let Some(output) = output.upgrade() else {
            return Retention::Kept;
        };
        output
            .sidecar(Sidecar::Mappings, lines)
            .unwrap_or_else(|error| {
                // Addresses stay without names, which is no reason to end a recording.
                log::warn!("cannot write mappings of processes: {error}");
                Retention::Kept
            })
    };
    thread::Builder::new()
        .name("mappings".to_owned())
        .spawn(move || watcher.run(write))
        .context("cannot start the thread that follows mappings")?;
    Ok(Some(watch))
}
