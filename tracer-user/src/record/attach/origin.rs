//! The threads whose events are recorded, whatever the events are.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::probe::filter::Condition;
use crate::sys::bpf;

/// Conditions on the thread in which an event happens.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// A condition that uses no field of an event.
    pub condition: Option<Condition>,
    /// The folder of a cgroup (version 2) that the thread must be in, or below.
    pub cgroup: Option<PathBuf>,
}

impl Origin {
    /// Whether some threads are left out.
    #[must_use]
    pub fn is_restricted(&self) -> bool {
        self.condition.is_some() || self.cgroup.is_some()
    }

    /// Makes the array with the cgroup, for the programs.
    pub(super) fn open_cgroup(&self) -> Result<Option<OwnedFd>> {
        let Some(path) = &self.cgroup else {
            return Ok(None);
        };
        let named = || format!("cannot record cgroup `{}`", path.display());
        let folder = File::open(path).with_context(named)?;
        let array = bpf::create_cgroup_array(folder.as_fd())
            .with_context(|| format!("{}: not a directory of a cgroup v2 file system", named()))?;
        Ok(Some(array))
    }
}
