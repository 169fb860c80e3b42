//! Functions of the kernel and of programs, and raw tracepoints.

use crate::kernel::btf;
use crate::kernel::files::KernelFiles;
use crate::kernel::functions::{FunctionList, Functions};
use crate::names::{Suggestions, glob};
use crate::probe::error::ProbeError;
use crate::probe::function_layout::{
    FunctionLayout, FunctionProbeKind, kernel_function, one_of_many, raw_tracepoint, user_function,
};
use crate::probe::resolve::AttachPoint;
use crate::probe::resolve::resolver::{NewProbe, Resolver};
use crate::probe::spec::{ProbeText, Target};

impl Resolver<'_> {
    /// Functions of the kernel that a name or a pattern matches.
    pub(super) fn add_kernel_functions(&mut self, probe: &ProbeText) -> Result<bool, ProbeError> {
        let (function, offset) = match &probe.target {
            Target::Kprobe { function, offset } => (function.as_str(), *offset),
            Target::Kretprobe { function }
            | Target::Fentry { function }
            | Target::Fexit { function }
            | Target::Func { function }
            | Target::Call { name: function } => (function.as_str(), 0),
            _ => return Ok(false),
        };
        let functions = functions(&mut self.functions, self.files, probe)?;
        if probe.is_explicit() {
            functions
                .check(function, offset)
                .map_err(|cause| ProbeError::Kprobe {
                    probe: probe.to_string(),
                    cause,
                })?;
            return self
                .add_kernel_function(probe, function, offset)
                .map(|()| true);
        }
        let names = functions.matching(function).into_iter();
        let names: Vec<String> = names.map(Into::into).collect();
        let mut refused = None;
        let mut found = false;
        for name in &names {
            match self.add_kernel_function(probe, name, 0) {
                Ok(()) => found = true,
                Err(error) => {
                    log::debug!("`{name}` is left out: {error}");
                    refused.get_or_insert(error);
                }
            }
        }
        match refused {
            Some(error) if !found => Err(error),
            _ => Ok(found),
        }
    }

    fn add_kernel_function(
        &mut self,
        probe: &ProbeText,
        symbol: &str,
        offset: u64,
    ) -> Result<(), ProbeError> {
        let btf = self.types.get(&self.files.sys);
        let found = btf.as_ref().and_then(|btf| btf.function(symbol));
        let kind = self.probe_kind(probe, symbol, found.as_ref())?;
        let prefix = match kind {
            FunctionProbeKind::Kprobe => "kprobe",
            FunctionProbeKind::Kretprobe => "kretprobe",
            FunctionProbeKind::Fentry => "fentry",
            FunctionProbeKind::Fexit => "fexit",
            FunctionProbeKind::Call => "call",
        };
        let mut name = match offset {
            0 => format!("{prefix}:{symbol}"),
            _ => format!("{prefix}:{symbol}+{offset:#x}"),
        };
        let functions = self.functions.as_ref();
        let place = functions.and_then(|functions| functions.place(symbol));
        let place = place.filter(|_| offset == 0).map(|place| (kind, place));
        // A program for many functions identifies them by address.
        if !probe.is_explicit()
            && let Some(known) = place.and_then(|place| self.named.get(&place))
        {
            name.clone_from(known);
        }
        let resolved =
            if kind == FunctionProbeKind::Kprobe && !probe.is_explicit() && probe.fetch.is_none() {
                one_of_many(symbol, found.as_ref())
            } else {
                kernel_function(
                    kind,
                    symbol,
                    offset,
                    found.as_ref(),
                    btf.as_ref().map(|btf| btf.vmlinux()),
                    probe.fetch.as_ref(),
                )
                .map_err(|cause| ProbeError::Fetch {
                    probe: name.clone(),
                    cause,
                })?
            };
        self.push_function(name.clone(), probe.is_explicit(), resolved)?;
        if let Some(place) = place {
            self.named.entry(place).or_insert(name);
        }
        Ok(())
    }

    /// The kind of probe for a function: `func:` uses a trampoline if the kernel has one for it.
    fn probe_kind(
        &mut self,
        probe: &ProbeText,
        symbol: &str,
        found: Option<&btf::Found<'_>>,
    ) -> Result<FunctionProbeKind, ProbeError> {
        let has_trampolines = self
            .functions
            .as_ref()
            .is_some_and(|functions| functions.source() == FunctionList::FilterFunctions);
        let obstacle = match found {
            None => Some(format!("the kernel's BTF does not describe `{symbol}`")),
            Some(found) if found.is_in_module() => {
                Some(format!("`{symbol}` is in module `{}`", found.object))
            }
            Some(_) => None,
        };
        let trampoline = |kind, instead| match &obstacle {
            None => Ok(kind),
            Some(reason) => Err(ProbeError::NoTrampoline {
                probe: probe.to_string(),
                reason: reason.clone(),
                instead,
            }),
        };
        match &probe.target {
            Target::Kretprobe { .. } => Ok(FunctionProbeKind::Kretprobe),
            Target::Call { .. } => Ok(FunctionProbeKind::Call),
            Target::Fentry { .. } => trampoline(FunctionProbeKind::Fentry, "kprobe"),
            Target::Fexit { .. } => trampoline(FunctionProbeKind::Fexit, "kretprobe"),
            Target::Func { .. } if obstacle.is_none() && has_trampolines => {
                Ok(FunctionProbeKind::Fentry)
            }
            _ => Ok(FunctionProbeKind::Kprobe),
        }
    }

    pub(super) fn add_raw_tracepoints(
        &mut self,
        probe: &ProbeText,
        name: &str,
    ) -> Result<bool, ProbeError> {
        let btf = self
            .types
            .get(&self.files.sys)
            .ok_or_else(|| ProbeError::NoTypes(probe.to_string()))?;
        let mut names: Vec<&str> = if probe.is_explicit() {
            vec![name]
        } else {
            let all = btf.raw_tracepoints();
            all.filter(|known| glob::matches(name, known)).collect()
        };
        names.sort_unstable();
        for name in &names {
            let found =
                btf.raw_tracepoint(name)
                    .ok_or_else(|| ProbeError::NoSuchRawTracepoint {
                        probe: probe.to_string(),
                        suggestions: Suggestions::near(name, btf.raw_tracepoints())
                            .prefixed("rawtp:"),
                    })?;
            let resolved = raw_tracepoint(name, &found, probe.fetch.as_ref()).map_err(|cause| {
                ProbeError::Fetch {
                    probe: format!("rawtp:{name}"),
                    cause,
                }
            })?;
            self.push_function(format!("rawtp:{name}"), probe.is_explicit(), resolved)?;
        }
        Ok(!names.is_empty())
    }

    pub(super) fn add_user_functions(&mut self, probe: &ProbeText) -> Result<bool, ProbeError> {
        let btf = probe
            .fetch
            .as_ref()
            .and_then(|_| self.types.get(&self.files.sys));
        let places = user_function(probe, btf.as_ref().map(|btf| btf.vmlinux()))?;
        let found = !places.is_empty();
        for (name, resolved) in places {
            self.push_function(name, probe.is_explicit(), resolved)?;
        }
        Ok(found)
    }

    fn push_function(
        &mut self,
        name: String,
        explicit: bool,
        resolved: FunctionLayout,
    ) -> Result<(), ProbeError> {
        self.check_list(&name)?;
        self.push(name, explicit, |_| {
            let (fields, sources) = resolved.fields();
            NewProbe {
                fields,
                sources,
                attach_point: AttachPoint::Function {
                    target: resolved.target,
                    layout: resolved.layout,
                    entry: resolved.entry,
                },
            }
        });
        Ok(())
    }
}

/// The kernel's functions, read at first use.
fn functions<'a>(
    slot: &'a mut Option<Functions>,
    files: &KernelFiles,
    probe: &ProbeText,
) -> Result<&'a Functions, ProbeError> {
    if slot.is_none() {
        let functions = Functions::read(files).map_err(|cause| ProbeError::Kprobe {
            probe: probe.to_string(),
            cause,
        })?;
        log::debug!("functions come from {}", functions.source().describe());
        *slot = Some(functions);
    }
    // Filled just above.
    slot.as_ref()
        .ok_or_else(|| ProbeError::NothingMatches(probe.to_string()))
}
