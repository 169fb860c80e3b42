//! Calls as one event each: `call:NAME`, of system calls or of functions of the kernel.

use crate::names::{Suggestions, glob};
use crate::probe::catalog::find_call;
use crate::probe::error::ProbeError;
use crate::probe::resolve::AttachPoint;
use crate::probe::resolve::resolver::{NewProbe, Resolver};
use crate::probe::spec::ProbeText;
use crate::probe::syscall_call::{call_layout, call_sources, keeps_strings};
use crate::probe::syscalls::{ENTER, SYSCALLS, other_names};

impl Resolver<'_> {
    pub(super) fn add_call(&mut self, probe: &ProbeText, name: &str) -> Result<bool, ProbeError> {
        let calls = self.catalog.calls()?;
        if let Some(call) = find_call(calls, name).map(ToOwned::to_owned) {
            return self.push_call(&call, true).map(|()| true);
        }
        let suggestions = Suggestions::near(name, calls.iter().map(String::as_str));
        self.add_kernel_functions(probe).map_err(|error| {
            if suggestions.names().is_empty() {
                return error;
            }
            ProbeError::NoSuchSyscall {
                probe: probe.to_string(),
                suggestions: suggestions.prefixed("call:"),
            }
        })
    }

    /// Functions only if the pattern matches no system call: `call:*` is all of those.
    pub(super) fn add_calls(
        &mut self,
        probe: &ProbeText,
        pattern: &str,
    ) -> Result<bool, ProbeError> {
        let mut calls = self.catalog.calls()?.to_vec();
        if calls.is_empty() && pattern == "*" {
            return Err(ProbeError::NoSyscallEvents(probe.to_string()));
        }
        let matches = |name: &str| glob::matches(pattern, name);
        calls.retain(|call| matches(call) || other_names(call).any(matches));
        if calls.is_empty() {
            return self.add_kernel_functions(probe);
        }
        for call in &calls {
            match self.push_call(call, false) {
                Err(ProbeError::NoNumber(_)) => {}
                Err(error @ ProbeError::Kernel(_)) => {
                    log::warn!("`call:{call}` is left out: {error}");
                }
                other => other?,
            }
        }
        Ok(true)
    }

    fn push_call(&mut self, call: &str, explicit: bool) -> Result<(), ProbeError> {
        let class_name = format!("call:{call}");
        let Some(nr) = self.catalog.number(call) else {
            log::debug!("`{class_name}` has no number in the table of system calls");
            return Err(ProbeError::NoNumber(class_name));
        };
        if self.is_known(&class_name, explicit) {
            return Ok(());
        }
        let format = self.files.format(SYSCALLS, &format!("{ENTER}{call}"))?;
        let (fields, spec) = call_layout(call, &format);
        debug_assert!(keeps_strings(&spec), "{class_name} has too many strings");
        let sources = call_sources(&spec);
        self.push(class_name, explicit, |_| NewProbe {
            fields,
            sources,
            attach_point: AttachPoint::Call { nr, spec },
        });
        Ok(())
    }
}
