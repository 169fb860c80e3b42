//! Tracepoints: `SYSTEM:NAME`.

use crate::kernel::files::FTRACE;
use crate::kernel::tracefs::format::Format;
use crate::names::Suggestions;
use crate::names::glob::{self, is_glob};
use crate::probe::catalog::raw_syscall_fields;
use crate::probe::error::ProbeError;
use crate::probe::fetch::{Layout, Scope};
use crate::probe::resolve::AttachPoint;
use crate::probe::resolve::resolver::{NewProbe, Resolver};
use crate::probe::spec::SpecError;
use crate::probe::syscalls::{self, ENTER, SYSCALLS, other_names, split_event};
use crate::probe::tracepoint;

impl Resolver<'_> {
    pub(super) fn add_tracepoint(&mut self, system: &str, name: &str) -> Result<(), ProbeError> {
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

    pub(super) fn add_tracepoints(&mut self, system: &str, name: &str) -> Result<bool, ProbeError> {
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
                self.push(format!("{system}:{name}"), explicit, |_| NewProbe {
                    fields: raw_syscall_fields(entry),
                    sources: syscalls::raw_sources(entry),
                    attach_point: AttachPoint::RawSyscall { entry },
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
            ..
        } = tracepoint::layout(&format).map_err(|cause| ProbeError::Layout {
            probe: probe.clone(),
            cause,
        })?;
        let mut spec = Box::new(spec);
        let fetched = self.fetched_from(&probe, &format)?;
        for (field, source) in fetched.fields() {
            fields.push(field);
            sources.push(source);
        }
        self.push(probe, explicit, |class| {
            spec.class = class;
            let attach_point = AttachPoint::Tracepoint {
                system: system.into(),
                name: name.into(),
                id: format.id,
                spec,
                fetched,
                recipe: None,
            };
            NewProbe {
                fields,
                sources,
                attach_point,
            }
        });
        Ok(())
    }

    /// What is fetched after the record of a tracepoint.
    fn fetched_from(&mut self, probe: &str, format: &Format) -> Result<Layout, ProbeError> {
        let Some(list) = self.fetch.clone() else {
            return Ok(Layout::default());
        };
        let btf = self.types.get(&self.files.sys);
        let scope = Scope::record(btf.as_ref().map(|btf| btf.vmlinux()), format);
        let values = list.resolve(&scope).map_err(|cause| ProbeError::Fetch {
            probe: probe.to_owned(),
            cause,
        })?;
        Ok(Layout::new(&values))
    }
}
