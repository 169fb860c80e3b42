//! Asks the kernel's files what exists, expands patterns, merges what was named twice,
//! and numbers the classes.

use std::collections::HashMap;

use tracer_common::SyscallSpec;

use super::catalog::{Catalog, find_call, raw_syscall_fields};
use super::error::ProbeError;
use super::format::Format;
use super::functions::{
    self, Types, Way, kernel_function, one_of_many, raw_tracepoint, user_function,
};
use super::kernel::{FTRACE, KernelFiles};
use super::kprobe::{Functions, Source};
use super::resolve::{Place, ResolvedProbe, Stacks};
use super::spec::{ProbeText, SpecError, Target};
use super::syscalls::{self, ENTER, SYSCALLS, other_names, split_event};
use super::tracepoint;
use crate::event::{EventClass, Field};
use crate::fetch::{self, FetchList, Layout, Scope};
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
    /// What is to be fetched there.
    fetch: Option<FetchList>,
    /// What was to be fetched, by class name.
    lists: HashMap<String, Option<FetchList>>,
    /// Read when they are first needed.
    types: Types,
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
            fetch: None,
            lists: HashMap::new(),
            types: Types::default(),
        }
    }

    /// In the order of their class ids.
    pub(super) fn into_resolved(self) -> Vec<ResolvedProbe> {
        self.resolved
    }

    /// Looks one text up and adds what it names. What was there before belongs to this
    /// `request` from now on.
    pub(super) fn add(&mut self, probe: &ProbeText, request: usize) -> Result<(), ProbeError> {
        self.request = request;
        self.fetch.clone_from(&probe.fetch);
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
            Target::Kprobe { .. }
            | Target::Kretprobe { .. }
            | Target::Fentry { .. }
            | Target::Fexit { .. }
            | Target::Func { .. } => self.add_kernel_functions(probe)?,
            Target::RawTracepoint { name } => self.add_raw_tracepoints(probe, name)?,
            Target::Uprobe { .. } | Target::Uretprobe { .. } => self.add_user_functions(probe)?,
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
        let is_call = matches!(system, "raw_syscalls" | SYSCALLS);
        if let (true, Some(_)) = (is_call, &self.fetch) {
            return Err(SpecError::FetchOfSyscall(format!("{system}:{name}")).into());
        }
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
        self.check_list(&probe)?;
        if self.is_known(&probe, explicit) {
            return Ok(());
        }
        let format = self.files.format(system, name)?;
        let tracepoint::Layout {
            mut fields,
            mut sources,
            spec,
        } = tracepoint::layout(&format).map_err(|source| ProbeError::Layout {
            probe: probe.clone(),
            source,
        })?;
        let mut spec = Box::new(spec);
        let fetched = self.fetched_from(&probe, &format)?;
        for (field, source) in fetched.fields() {
            fields.push(field);
            sources.push(source);
        }
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

    /// What is fetched behind the record of a tracepoint.
    fn fetched_from(&mut self, probe: &str, format: &Format) -> Result<Layout, ProbeError> {
        let Some(list) = self.fetch.clone() else {
            return Ok(Layout::default());
        };
        let btf = self.types.get(&self.files.sys);
        let scope = Scope::record(btf.as_ref().map(|btf| btf.vmlinux()), format);
        let values = list.resolve(&scope).map_err(|source| ProbeError::Fetch {
            probe: probe.to_owned(),
            source,
        })?;
        Ok(Layout::new(&values))
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

    /// Functions of the kernel that a name or a pattern stands for.
    fn add_kernel_functions(&mut self, probe: &ProbeText) -> Result<bool, ProbeError> {
        let (function, offset) = match &probe.target {
            Target::Kprobe { function, offset } => (function.as_str(), *offset),
            Target::Kretprobe { function }
            | Target::Fentry { function }
            | Target::Fexit { function }
            | Target::Func { function } => (function.as_str(), 0),
            _ => return Ok(false),
        };
        let functions = functions(&mut self.functions, self.files, probe)?;
        if probe.is_explicit() {
            functions
                .check(function, offset)
                .map_err(|source| ProbeError::Kprobe {
                    probe: probe.to_string(),
                    source,
                })?;
            return self
                .add_kernel_function(probe, function, offset)
                .map(|()| true);
        }
        let names: Vec<String> = functions.matching(function).map(Into::into).collect();
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
        let way = self.way(probe, symbol, found.as_ref())?;
        let kind = match way {
            Way::Kprobe => "kprobe",
            Way::Kretprobe => "kretprobe",
            Way::Fentry => "fentry",
            Way::Fexit => "fexit",
        };
        let name = match offset {
            0 => format!("{kind}:{symbol}"),
            _ => format!("{kind}:{symbol}+{offset:#x}"),
        };
        if way == Way::Kprobe && !probe.is_explicit() && probe.fetch.is_none() {
            return self.push_function(name, false, one_of_many(symbol, found.as_ref()));
        }
        let resolved = kernel_function(
            way,
            symbol,
            offset,
            found.as_ref(),
            btf.as_ref().map(|btf| btf.vmlinux()),
            probe.fetch.as_ref(),
        )
        .map_err(|source| ProbeError::Fetch {
            probe: name.clone(),
            source,
        })?;
        self.push_function(name, probe.is_explicit(), resolved)
    }

    /// How a function is probed: `func:` by trampoline, where the kernel has one for it.
    fn way(
        &mut self,
        probe: &ProbeText,
        symbol: &str,
        found: Option<&crate::btf::Found<'_>>,
    ) -> Result<Way, ProbeError> {
        let has_trampolines = self
            .functions
            .as_ref()
            .is_some_and(|functions| functions.source() == Source::FilterFunctions);
        let obstacle = match found {
            None => Some(format!("the kernel does not describe `{symbol}`")),
            Some(found) if found.is_in_module() => {
                Some(format!("`{symbol}` is in module `{}`", found.object))
            }
            Some(_) => None,
        };
        let trampoline = |way, instead| match &obstacle {
            None => Ok(way),
            Some(reason) => Err(ProbeError::NoTrampoline {
                probe: probe.to_string(),
                reason: reason.clone(),
                instead,
            }),
        };
        match &probe.target {
            Target::Kretprobe { .. } => Ok(Way::Kretprobe),
            Target::Fentry { .. } => trampoline(Way::Fentry, "kprobe"),
            Target::Fexit { .. } => trampoline(Way::Fexit, "kretprobe"),
            Target::Func { .. } if obstacle.is_none() && has_trampolines => Ok(Way::Fentry),
            _ => Ok(Way::Kprobe),
        }
    }

    fn add_raw_tracepoints(&mut self, probe: &ProbeText, name: &str) -> Result<bool, ProbeError> {
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
            let resolved =
                raw_tracepoint(name, &found, probe.fetch.as_ref()).map_err(|source| {
                    ProbeError::Fetch {
                        probe: format!("rawtp:{name}"),
                        source,
                    }
                })?;
            self.push_function(format!("rawtp:{name}"), probe.is_explicit(), resolved)?;
        }
        Ok(!names.is_empty())
    }

    fn add_user_functions(&mut self, probe: &ProbeText) -> Result<bool, ProbeError> {
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
        resolved: functions::Resolved,
    ) -> Result<(), ProbeError> {
        self.check_list(&name)?;
        self.push(name, explicit, |_| {
            let (fields, sources) = resolved.fields();
            Found {
                fields,
                sources,
                place: Place::Function {
                    target: resolved.target,
                    layout: resolved.layout,
                    entry: resolved.entry,
                },
            }
        });
        Ok(())
    }

    /// A class has one list of values.
    fn check_list(&mut self, name: &str) -> Result<(), ProbeError> {
        let known = self.lists.insert(name.to_owned(), self.fetch.clone());
        match known {
            Some(list) if list != self.fetch => Err(ProbeError::TwoLists(name.to_owned())),
            _ => Ok(()),
        }
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
    sources: Vec<fetch::Source>,
    place: Place,
}
