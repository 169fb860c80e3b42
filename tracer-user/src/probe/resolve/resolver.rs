//! Looks up probes in the kernel's files, expands patterns, merges duplicates, and numbers
//! the classes.

use std::collections::HashMap;

use crate::kernel::files::KernelFiles;
use crate::kernel::functions::Functions;
use crate::probe::catalog::Catalog;
use crate::probe::error::ProbeError;
use crate::probe::fetch::{self, FetchList};
use crate::probe::function_layout::{FunctionProbeKind, Types};
use crate::probe::resolve::{AttachPoint, ResolvedProbe, Stacks};
use crate::probe::spec::{ProbeText, Target};
use crate::trace::event::{EventClass, Field};

/// What has been resolved so far.
pub(super) struct Resolver<'a> {
    pub(super) files: &'a KernelFiles,
    pub(super) catalog: Catalog<'a>,
    /// Read when first needed.
    pub(super) functions: Option<Functions>,
    resolved: Vec<ResolvedProbe>,
    /// Position in `resolved` by class name.
    by_name: HashMap<String, usize>,
    /// Class names of functions of the kernel by their addresses: some have several names.
    pub(super) named: HashMap<(FunctionProbeKind, u64), String>,
    /// The request that is being added.
    request: usize,
    /// Its fetch list.
    pub(super) fetch: Option<FetchList>,
    /// Fetch lists by class name.
    lists: HashMap<String, Option<FetchList>>,
    /// Read when first needed.
    pub(super) types: Types,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(files: &'a KernelFiles) -> Self {
        Self {
            files,
            catalog: Catalog::new(files),
            functions: None,
            resolved: Vec::new(),
            by_name: HashMap::new(),
            named: HashMap::new(),
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

    /// Looks up one text and adds what it names. Probes that were known before now belong to
    /// this `request`.
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
            Target::Call { name } if probe.is_explicit() => self.add_call(probe, name)?,
            Target::Call { name } => self.add_calls(probe, name)?,
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

    /// Makes sure that a class has only one fetch list.
    pub(super) fn check_list(&mut self, name: &str) -> Result<(), ProbeError> {
        let known = self.lists.insert(name.to_owned(), self.fetch.clone());
        match known {
            Some(list) if list != self.fetch => Err(ProbeError::TwoLists(name.to_owned())),
            _ => Ok(()),
        }
    }

    /// Whether a class is known already; updates its request and whether it is explicit.
    pub(super) fn is_known(&mut self, class_name: &str, explicit: bool) -> bool {
        let Some(&index) = self.by_name.get(class_name) else {
            return false;
        };
        self.resolved[index].explicit |= explicit;
        self.resolved[index].request = self.request;
        true
    }

    /// Adds a class under the next free id, unless it is known.
    pub(super) fn push(
        &mut self,
        class_name: String,
        explicit: bool,
        make: impl FnOnce(u32) -> NewProbe,
    ) {
        if self.is_known(&class_name, explicit) {
            return;
        }
        let id = self.resolved.len() as u32;
        let NewProbe {
            fields,
            sources,
            attach_point,
        } = make(id);
        self.by_name.insert(class_name.clone(), self.resolved.len());
        self.resolved.push(ResolvedProbe {
            class: EventClass {
                id,
                name: class_name,
                context: Vec::new(),
                fields,
            },
            attach_point,
            sources,
            filter: None,
            stacks: Stacks::default(),
            explicit,
            request: self.request,
        });
    }
}

/// A class to add.
pub(super) struct NewProbe {
    pub(super) fields: Vec<Field>,
    pub(super) sources: Vec<fetch::FieldSource>,
    pub(super) attach_point: AttachPoint,
}
