//! Which processes and threads are recorded, and the programs that follow what they start.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use anyhow::{Context, Result, bail};
use tracer_common::{TaskLayout, Wanted};

use crate::kernel::btf::{Btf, KernelBtf, Kind, Named, Type};
use crate::record::attach::syscalls::SharedProgram;
use crate::record::attach::template::{Hooks, Templates};
use crate::sys::bpf;

/// The programs, with the tracepoint that each attaches to.
const PROGRAMS: [(&str, &str); 3] = [
    ("on_newtask", "task_newtask"),
    ("on_exec", "sched_process_exec"),
    ("on_free", "sched_process_free"),
];

/// Which processes and threads are recorded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Processes<'a> {
    /// Ids of processes and threads.
    pub ids: &'a [u32],
    /// Follow what they start, at most so many threads and processes at a time.
    pub follow: Option<u32>,
    /// A process will enter itself, to be recorded from its exec on.
    pub command: bool,
}

impl Processes<'_> {
    /// Whether others are left out.
    pub(super) fn are_chosen(&self) -> bool {
        !self.ids.is_empty() || self.command
    }

    /// The id that is the only one, now and later.
    pub(super) fn only_id(&self) -> Option<u32> {
        match (self.ids, self.follow, self.command) {
            ([id], None, false) => Some(*id),
            _ => None,
        }
    }

    /// How many ids the map holds. A map for all that are followed has its memory from the
    /// start, some 5 MB for 65,536: a program that runs in a fork cannot wait for memory.
    pub(super) fn map_entries(&self) -> u32 {
        let named = self.ids.len() as u32 + u32::from(self.command);
        self.follow.unwrap_or(0).saturating_add(named).max(1)
    }

    /// Enters those that are named.
    pub(super) fn enter(&self, map: BorrowedFd<'_>) -> Result<()> {
        for id in self.ids {
            bpf::update(
                map,
                &id.to_ne_bytes(),
                bytemuck::bytes_of(&Wanted::default()),
            )
            .context("cannot set the processes to record")?;
        }
        Ok(())
    }

    /// What it takes to follow on this kernel, if any are followed.
    pub(super) fn following(&self, sys: &Path) -> Result<Option<Following>> {
        if self.follow.is_none() {
            return Ok(None);
        }
        Following::read(sys).map(Some).context(
            "cannot follow processes, which takes the kernel's description of its types; leave \
             --follow and --only-command out",
        )
    }
}

/// Where this kernel has what the programs that follow processes need.
#[derive(Debug)]
pub(super) struct Following {
    pub(super) layout: TaskLayout,
    /// The numbers of the tracepoints' types, in the order of the programs.
    tracepoints: Vec<u32>,
}

impl Following {
    fn read(sys: &Path) -> Result<Self> {
        let btf = KernelBtf::read(sys)?;
        let tracepoints = PROGRAMS.into_iter().map(|(_, tracepoint)| {
            let found = btf.raw_tracepoint(tracepoint);
            let found = found.with_context(|| format!("no raw tracepoint `{tracepoint}`"))?;
            Ok(found.ty.id())
        });
        Ok(Self {
            tracepoints: tracepoints.collect::<Result<_>>()?,
            layout: task_layout(btf.vmlinux())?,
        })
    }

    /// Attaches the programs.
    pub(super) fn attach(&self, templates: &Templates) -> Result<Followers> {
        let attached =
            PROGRAMS
                .into_iter()
                .zip(&self.tracepoints)
                .map(|((name, tracepoint), btf_id)| {
                    let program =
                        SharedProgram::attach(templates, name, *btf_id, &Hooks::default());
                    program.with_context(|| format!("cannot follow processes by `{tracepoint}`"))
                });
        Ok(Followers(attached.collect::<Result<_>>()?))
    }
}

fn task_layout(btf: &Btf) -> Result<TaskLayout> {
    let task = btf.find(Named::Struct, "task_struct").map(Type::kind);
    let Some(Kind::Composite(task)) = task else {
        bail!("no `struct task_struct`");
    };
    let offset = |name: &str| {
        let member = task.member(name);
        let member = member.with_context(|| format!("no `{name}` in `struct task_struct`"))?;
        u32::try_from(member.bit_offset / 8).context("`struct task_struct` is too long")
    };
    Ok(TaskLayout {
        pid: offset("pid")?,
        signal: offset("signal")?,
    })
}

/// The programs that follow processes, attached, in the order of [`PROGRAMS`].
pub(super) struct Followers(Vec<SharedProgram>);

impl Followers {
    /// New threads that the program for them was not shown, because it ran on that CPU already.
    pub(super) fn skipped(&self) -> u64 {
        let newtask = self.0.first();
        newtask.map_or(0, |shared| {
            bpf::recursion_misses(shared.program.as_fd()).unwrap_or(0)
        })
    }
}

/// The entry of a process that is recorded from its next exec on.
pub(super) fn pending() -> [u8; size_of::<Wanted>()] {
    bytemuck::cast(Wanted {
        pending: 1,
        ..Wanted::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::btf::builder::Builder;

    #[test]
    fn an_entry_has_the_bytes_that_programs_read() {
        let bytes = pending();
        assert_eq!(bytes[core::mem::offset_of!(Wanted, pending)], 1);
        assert_eq!(bytes.iter().filter(|byte| **byte != 0).count(), 1);
    }

    #[test]
    fn members_of_a_thread_are_found_also_in_structures_without_a_name() {
        let mut types = Builder::new();
        let int = types.integer("int", 4, true);
        let pointer = types.pointer(int);
        let inner = types.structure("", 8, &[("flags", int, 0), ("pid", int, 4)]);
        types.structure(
            "task_struct",
            32,
            &[("", inner, 8), ("signal", pointer, 24)],
        );
        let expected = TaskLayout {
            pid: 12,
            signal: 24,
        };
        assert_eq!(task_layout(&types.build()).unwrap(), expected);
    }

    #[test]
    fn a_member_that_is_missing_is_named() {
        let mut types = Builder::new();
        let int = types.integer("int", 4, true);
        types.structure("task_struct", 4, &[("pid", int, 0)]);
        let error = task_layout(&types.build()).unwrap_err().to_string();
        assert_eq!(error, "no `signal` in `struct task_struct`");
    }

    #[test]
    fn one_process_alone_needs_no_map() {
        let one = Processes {
            ids: &[7],
            ..Processes::default()
        };
        assert_eq!(one.only_id(), Some(7));
        let more = [
            Processes {
                ids: &[7, 8],
                ..one
            },
            Processes {
                follow: Some(9),
                ..one
            },
            Processes {
                command: true,
                ..one
            },
        ];
        assert_eq!(more.map(|processes| processes.only_id()), [None; 3]);
        assert_eq!(more.map(|processes| processes.map_entries()), [2, 10, 2]);
    }
}
