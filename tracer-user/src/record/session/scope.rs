//! Which processes are recorded.

use anyhow::{Result, bail};

use crate::record::attach::Processes;
use crate::record::session::ends::Target;
use crate::record::session::ids;
use crate::record::session::options::Options;

/// The processes to record, checked.
#[derive(Debug, Default)]
pub(super) struct Scope {
    /// The processes and threads that the user named.
    pub(super) targets: Vec<Target>,
    /// The kernel's ids.
    ids: Vec<u32>,
    /// How many threads and processes are followed at a time, if any are.
    max_followed: Option<u32>,
    /// The command is recorded, from its exec on.
    pub(super) command: bool,
}

impl Scope {
    /// What `options` ask for. What a command starts is part of it, so `--only-command` implies
    /// `--follow`.
    pub(super) fn new(options: &Options) -> Result<Self> {
        if options.only_command && options.command.is_empty() {
            bail!("--only-command needs a command; add it after `--`, as in `-- make`");
        }
        if options.follow && options.pids.is_empty() && !options.only_command {
            bail!(
                "--follow needs a process to start from; name one with --pid, or record a command \
                 with --only-command"
            );
        }
        let targets = options.pids.iter().map(|id| Target::find(*id));
        let targets = targets.collect::<Result<_>>()?;
        let follows = options.follow || options.only_command;
        Ok(Self {
            targets,
            ids: ids::of_processes(&options.pids)?,
            max_followed: follows.then_some(options.max_followed),
            command: options.only_command,
        })
    }

    /// The kernel's ids of the processes and threads that the user named.
    pub(super) fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// The same as the user named them.
    pub(super) fn pids(&self) -> Vec<u32> {
        self.targets.iter().map(Target::id).collect()
    }

    /// Whether what they start is recorded, too.
    pub(super) fn follows(&self) -> bool {
        self.max_followed.is_some()
    }

    /// For the programs.
    pub(super) fn processes(&self) -> Processes<'_> {
        Processes {
            ids: &self.ids,
            follow: self.max_followed,
            command: self.command,
        }
    }
}
