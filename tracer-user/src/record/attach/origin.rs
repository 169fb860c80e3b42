//! Where events must happen to be recorded, whatever they are.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::probe::filter::Condition;
use crate::sys::bpf;

/// What is asked of the thread in which an event happens.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// What has to be true; no field of any event is in it.
    pub condition: Option<Condition>,
    /// The folder of the cgroup (version 2) that it is in, or below.
    pub cgroup: Option<PathBuf>,
}

impl Origin {
    /// The array of its cgroup, for the programs.
    pub(super) fn open_cgroup(&self) -> Result<Option<OwnedFd>> {
        let Some(path) = &self.cgroup else {
            return Ok(None);
        };
        let named = || format!("cannot record cgroup `{}`", path.display());
        let folder = File::open(path).with_context(named)?;
        let array = bpf::create_cgroup_array(folder.as_fd()).with_context(|| {
            format!(
                "{}: it must be a folder of a cgroup file system of version 2",
                named()
            )
        })?;
        Ok(Some(array))
    }
}
