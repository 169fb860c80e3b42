//! Asks the kernel's files what exists, expands patterns, merges what was named twice,
//! and numbers the classes.

use std::collections::HashMap;

use tracer_common::SyscallSpec;

use super::catalog::{Catalog, find_call, raw_syscall_fields};
use super::error::ProbeError;
use super::kernel::{FTRACE, KernelFiles};
use super::kprobe::{self, Functions};
use super::resolve::{FunctionTarget, Place, ResolvedProbe, Stacks};
use super::spec::{ProbeText, Target};
use super::syscalls::{self, ENTER, SYSCALLS, other_names, split_event};
use super::tracepoint;
use crate::event::{EventClass, Field};
use crate::fetch::{Layout, Source};
use crate::names::Suggestions;
use crate::names::glob::{self, is_glob};

/// What has been resolved so far.
pub(super) struct Resolver<'a> {
    files: &'a KernelFiles,
    catalog: Catalog<'a>,
    /// Read when the first function is named.
    functions: Option<Functions>,
    resolved: Vec<ResolvedProbe>,
    /// Position in `resolved` by class name.
    by_name: HashMap<String, usize>,
    /// What is being added was asked for by this request.
    request: usize,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(files: &'a KernelFiles) -> Self {
        Self {
            files,
            catalog: Catalog::new(files),
            functions: None,
            resolved: Vec::new(),
            by_name: HashMap::new(),
            request: 0,
        }
    }

    /// In the order of their class ids.
    pub(super) fn into_resolved(self) -> Vec<ResolvedProbe> {
        self.resolved
    }

    /// Looks one text up and adds what it names. What was there before belongs to this
    /// `request` from now on.
    pub(super) fn add(&mut self, probe: &ProbeText, request: usize) -> Result<(), ProbeError> {
        if probe.fetch.is_some() {
            return Err(ProbeError::NotRecorded(probe.to_string()));
        }
        self.request = request;
        let before = self.resolved.len();
        let found = match &probe.target {
            Target::Tracepoint { system, name } if probe.is_explicit() => {
                self.add_tracepoint(system, name)?;
                true
            }
            Target::Tracepoint { system, name } => self.add_tracepoints(system, name)?,
            Target::Syscall { name } if probe.is_explicit() => {
                self.add_syscall(name)?;
                true
            }
            Target::Syscall { name } => self.add_syscalls(name)?,
            Target::Kprobe { function, offset } if probe.is_explicit() => {
                self.check_function(probe, function, *offset)?;
                self.push_kprobe(function, *offset, true);
                true
            }
            Target::Kretprobe { function } if probe.is_explicit() => {
                self.check_function(probe, function, 0)?;
                self.push_kretprobe(function, true);
                true
            }
            Target::Kprobe { function, .. } | Target::Kretprobe { function } => {
                let functions = functions(&mut self.functions, self.files, probe)?;
                let names: Vec<String> = functions.matching(function).map(Into::into).collect();
                for name in &names {
                    if matches!(probe.target, Target::Kprobe { .. }) {
                        self.push_kprobe(name, 0, false);
                    } else {
                        self.push_kretprobe(name, false);
                    }
                }
                !names.is_empty()
            }
            Target::Fentry { .. }
            | Target::Fexit { .. }
            | Target::Func { .. }
            | Target::RawTracepoint { .. }
            | Target::Uprobe { .. }
            | Target::Uretprobe { .. } => {
                return Err(ProbeError::NotRecorded(probe.to_string()));
            }
        };
        log::debug!("`{probe}` adds {} probes", self.resolved.len() - before);
        if found {
            Ok(())
        } else {
            Err(ProbeError::NothingMatches(probe.to_string()))
        }
    }

    fn add_tracepoint(&mut self, system: &str, name: &str) -> Result<(), ProbeError> {
        let probe = format!("{system}:{name}");
        if system == FTRACE {
            return Err(ProbeError::NotATracepoint(probe));
        }
        if self.files.has_event(system, name) {
            return self.push_tracepoint(system, name, true);
        }
        if let Some(known) = self.known_under_other_name(system, name) {
            return self.push_tracepoint(system, &known, true);
        }
        let systems = self.catalog.systems()?;
        if systems.iter().any(|known| known == system) {
            let events = self.catalog.events(system)?;
            let suggestions = Suggestions::near(name, events.iter().map(String::as_str))
                .prefixed(&format!("{system}:"));
            Err(ProbeError::NoSuchTracepoint { probe, suggestions })
        } else {
            let suggestions = Suggestions::near(system, systems.iter().map(String::as_str));
            Err(ProbeError::NoSuchSystem { probe, suggestions })
        }
    }

    /// `syscalls:sys_enter_fstat` is `sys_enter_newfstat` to tracefs.
    fn known_under_other_name(&self, system: &str, name: &str) -> Option<String> {
        let (prefix, call) = split_event(name).filter(|_| system == SYSCALLS)?;
        other_names(call)
            .map(|other| format!("{prefix}{other}"))
            .find(|other| self.files.has_event(system, other))
    }

    fn add_tracepoints(&mut self, system: &str, name: &str) -> Result<bool, ProbeError> {
        let systems: Vec<String> = if is_glob(system) {
            let mut systems = self.catalog.systems()?.to_vec();
            systems.retain(|known| glob::matches(system, known));
            systems
        } else if system == FTRACE {
            return Err(ProbeError::NotATracepoint(format!("{system}:{name}")));
        } else {
            vec![system.to_owned()]
        };
        if !is_glob(system) && !self.catalog.systems()?.contains(&system.to_owned()) {
            let known = self.catalog.systems()?;
            return Err(ProbeError::NoSuchSystem {
                probe: format!("{system}:{name}"),
                suggestions: Suggestions::near(system, known.iter().map(String::as_str)),
            });
        }
        let mut found = false;
        for system in systems {
            let events = self.catalog.events(&system)?.to_vec();
            for event in events.iter().filter(|event| glob::matches(name, event)) {
                found = true;
                match self.push_tracepoint(&system, event, false) {
                    Err(ProbeError::NoNumber(_)) => {}
                    Err(error @ (ProbeError::Layout { .. } | ProbeError::Kernel(_))) => {
                        log::warn!("`{system}:{event}` is left out: {error}");
                    }
                    other => other?,
                }
            }
        }
        Ok(found)
    }

    fn push_tracepoint(
        &mut self,
        system: &str,
        name: &str,
        explicit: bool,
    ) -> Result<(), ProbeError> {
        match (system, name) {
            ("raw_syscalls", "sys_enter" | "sys_exit") => {
                let entry = name == "sys_enter";
                self.push(format!("{system}:{name}"), explicit, |_| Found {
                    fields: raw_syscall_fields(entry),
                    sources: syscalls::raw_sources(entry),
                    place: Place::RawSyscall { entry },
                });
                return Ok(());
            }
            (SYSCALLS, _) => {
                if let Some((prefix, call)) = split_event(name) {
                    return self.push_syscall(call, prefix == ENTER, explicit);
                }
            }
            _ => {}
        }
        let probe = format!("{system}:{name}");
        if self.is_known(&probe, explicit) {
            return Ok(());
        }
        let format = self.files.format(system, name)?;
        let tracepoint::Layout {
            fields,
            sources,
            spec,
        } = tracepoint::layout(&format).map_err(|source| ProbeError::Layout {
            probe: probe.clone(),
            source,
        })?;
        let mut spec = Box::new(spec);
        let fetched = Layout::default();
        self.push(probe, explicit, |class| {
            spec.class = class;
            let place = Place::Tracepoint {
                system: system.into(),
                name: name.into(),
                id: format.id,
                spec,
                fetched,
            };
            Found {
                fields,
                sources,
                place,
            }
        });
        Ok(())
    }

    fn add_syscall(&mut self, name: &str) -> Result<(), ProbeError> {
        let calls = self.catalog.calls()?;
        if calls.is_empty() {
            return Err(ProbeError::NoSyscallEvents(format!("syscall:{name}")));
        }
        let Some(call) = find_call(calls, name).map(ToOwned::to_owned) else {
            let suggestions =
                Suggestions::near(name, calls.iter().map(String::as_str)).prefixed("syscall:");
            return Err(ProbeError::NoSuchSyscall {
                probe: format!("syscall:{name}"),
                suggestions,
            });
        };
        self.push_syscall(&call, true, true)?;
        self.push_syscall(&call, false, true)
    }

    fn add_syscalls(&mut self, pattern: &str) -> Result<bool, ProbeError> {
        let mut calls = self.catalog.calls()?.to_vec();
        if calls.is_empty() {
            return Err(ProbeError::NoSyscallEvents(format!("syscall:{pattern}")));
        }
        calls.retain(|call| {
            glob::matches(pattern, call)
                || other_names(call).any(|other| glob::matches(pattern, other))
        });
        for call in &calls {
            for entry in [true, false] {
                match self.push_syscall(call, entry, false) {
                    Err(ProbeError::NoNumber(_)) => {}
                    Err(error @ ProbeError::Kernel(_)) => {
                        log::warn!("`syscall:{call}` is left out: {error}");
                    }
                    other => other?,
                }
            }
        }
        Ok(!calls.is_empty())
    }

    fn push_syscall(&mut self, call: &str, entry: bool, explicit: bool) -> Result<(), ProbeError> {
        let Some(nr) = self.catalog.number(call) else {
            log::debug!("`syscall:{call}` has no number in the table of system calls");
            return Err(ProbeError::NoNumber(format!("syscall:{call}")));
        };
        let class_name = format!("syscall_{}_{call}", if entry { "entry" } else { "exit" });
        if self.is_known(&class_name, explicit) {
            return Ok(());
        }
        let (fields, sources, spec) = if entry {
            let format = self.files.format(SYSCALLS, &format!("{ENTER}{call}"))?;
            let (fields, spec) = syscalls::entry_layout(call, &format);
            (fields, syscalls::entry_sources(&spec), spec)
        } else {
            let (fields, spec) = syscalls::exit_layout(call);
            (fields, syscalls::exit_sources(), spec)
        };
        self.push(class_name, explicit, |class| {
            let spec = SyscallSpec { class, ..spec };
            Found {
                fields,
                sources,
                place: Place::Syscall { nr, entry, spec },
            }
        });
        Ok(())
    }

    fn check_function(
        &mut self,
        probe: &ProbeText,
        function: &str,
        offset: u64,
    ) -> Result<(), ProbeError> {
        functions(&mut self.functions, self.files, probe)?
            .check(function, offset)
            .map_err(|source| ProbeError::Kprobe {
                probe: probe.to_string(),
                source,
            })
    }

    fn push_kprobe(&mut self, symbol: &str, offset: u64, explicit: bool) {
        let name = Target::Kprobe {
            function: symbol.into(),
            offset,
        };
        let target = FunctionTarget::Kprobe {
            symbol: symbol.into(),
            offset,
        };
        let layout = Layout::new(&kprobe::registers());
        self.push_function(name.to_string(), explicit, target, layout);
    }

    fn push_kretprobe(&mut self, symbol: &str, explicit: bool) {
        let target = FunctionTarget::Kretprobe {
            symbol: symbol.into(),
        };
        let layout = Layout::new(&[kprobe::returned()]);
        self.push_function(format!("kretprobe:{symbol}"), explicit, target, layout);
    }

    fn push_function(
        &mut self,
        name: String,
        explicit: bool,
        target: FunctionTarget,
        layout: Layout,
    ) {
        self.push(name, explicit, |_| {
            let (fields, sources) = layout.fields().unzip();
            Found {
                fields,
                sources,
                place: Place::Function {
                    target,
                    layout,
                    entry: None,
                },
            }
        });
    }

    /// Whether a class is there already; that it was named again, maybe exactly, is noted.
    fn is_known(&mut self, class_name: &str, explicit: bool) -> bool {
        let Some(&index) = self.by_name.get(class_name) else {
            return false;
        };
        self.resolved[index].explicit |= explicit;
        self.resolved[index].request = self.request;
        true
    }

    /// Adds a class under the next free id, unless it is known.
    fn push(&mut self, class_name: String, explicit: bool, make: impl FnOnce(u32) -> Found) {
        if self.is_known(&class_name, explicit) {
            return;
        }
        let id = self.resolved.len() as u32;
        let Found {
            fields,
            sources,
            place,
        } = make(id);
        self.by_name.insert(class_name.clone(), self.resolved.len());
        self.resolved.push(ResolvedProbe {
            class: EventClass {
                id,
                name: class_name,
                context: Vec::new(),
                fields,
            },
            place,
            sources,
            filter: None,
            stacks: Stacks::default(),
            explicit,
            request: self.request,
        });
    }
}

/// The kernel's functions, read at first use.
fn functions<'a>(
    slot: &'a mut Option<Functions>,
    files: &KernelFiles,
    probe: &ProbeText,
) -> Result<&'a Functions, ProbeError> {
    if slot.is_none() {
        let functions = Functions::read(files).map_err(|source| ProbeError::Kprobe {
            probe: probe.to_string(),
            source,
        })?;
        log::debug!("functions come from {}", functions.source().describe());
        *slot = Some(functions);
    }
    // Filled just above.
    slot.as_ref()
        .ok_or_else(|| ProbeError::NothingMatches(probe.to_string()))
}

/// What a probe turned out to be.
struct Found {
    fields: Vec<Field>,
    sources: Vec<Source>,
    place: Place,
}
