//! Which processes a recording is about.

use anyhow::{Result, bail};

use crate::record::attach::Processes;
use crate::record::session::options::Options;

/// The processes to record, checked.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    ids: Vec<u32>,
    /// How many threads and processes are followed at a time, if any are.
    max_followed: Option<u32>,
    /// The command is recorded, from its exec on.
    pub(super) command: bool,
}

impl Scope {
    /// What `options` ask for. What a command starts is its own work, so a recording of it
    /// alone follows.
    pub(super) fn new(options: &Options) -> Result<Self> {
        if options.only_command && options.command.is_empty() {
            bail!("--only-command: there is no command; add it behind `--`, as in `-- make`");
        }
        if options.follow && options.pids.is_empty() && !options.only_command {
            bail!(
                "--follow: nothing to begin with; name processes by -p PID, or record a command \
                 by --only-command"
            );
        }
        let follows = options.follow || options.only_command;
        Ok(Self {
            ids: options.pids.clone(),
            max_followed: follows.then_some(options.max_followed),
            command: options.only_command,
        })
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
