//! System calls: `syscall:NAME`.

use tracer_common::SyscallSpec;

use crate::names::{Suggestions, glob};
use crate::probe::catalog::find_call;
use crate::probe::error::ProbeError;
use crate::probe::resolve::AttachPoint;
use crate::probe::resolve::resolver::{NewProbe, Resolver};
use crate::probe::syscalls::{self, ENTER, SYSCALLS, other_names};

impl Resolver<'_> {
    pub(super) fn add_syscall(&mut self, name: &str) -> Result<(), ProbeError> {
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

    pub(super) fn add_syscalls(&mut self, pattern: &str) -> Result<bool, ProbeError> {
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

    pub(super) fn push_syscall(
        &mut self,
        call: &str,
        entry: bool,
        explicit: bool,
    ) -> Result<(), ProbeError> {
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
            NewProbe {
                fields,
                sources,
                attach_point: AttachPoint::Syscall { nr, entry, spec },
            }
        });
        Ok(())
    }
}
