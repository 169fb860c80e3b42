//! Resource limits of this process.
#![allow(unsafe_code)]

use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit of open files of this process to `wanted`, or as far as its privileges allow.
/// Returns the new limit.
#[must_use]
pub fn raise_open_files(wanted: u64) -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let current = limit.current.unwrap_or(u64::MAX);
    if current >= wanted {
        return current;
    }
    let hard = limit.maximum.unwrap_or(u64::MAX);
    let attempts = [
        (wanted, hard.max(wanted)), // needs CAP_SYS_RESOURCE beyond the hard limit
        (hard, hard),
    ];
    for (current, maximum) in attempts {
        let raised = Rlimit {
            current: Some(current),
            maximum: Some(maximum),
        };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            return current;
        }
    }
    current
}

/// Makes `command` start with the current limit of open files, even if this process raises its own
/// in the meantime.
pub fn keep_open_files(command: &mut Command) {
    let limit = getrlimit(Resource::Nofile);
    // SAFETY: only one system call runs between fork and exec; it takes no lock and allocates
    // nothing.
    unsafe { command.pre_exec(move || Ok(setrlimit(Resource::Nofile, limit)?)) };
}
