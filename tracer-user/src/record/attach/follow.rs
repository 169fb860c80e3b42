//! Which processes and threads are recorded, and what it takes to follow what they start.

use std::os::fd::BorrowedFd;

use anyhow::{Context, Result, bail};
use tracer_common::{TaskLayout, Wanted};

use crate::kernel::btf::{Btf, Kind, NameKind, Type};
use crate::record::attach::types::KernelTypes;
use crate::sys::bpf;

/// Which processes and threads are recorded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Processes<'a> {
    /// Ids of the processes and threads to begin with.
    pub ids: &'a [u32],
    /// Follow what they start, up to this number of threads and processes at a time.
    pub follow: Option<u32>,
    /// A process will enter itself (a command), to be recorded from its exec on.
    pub command: bool,
}

impl Processes<'_> {
    /// Whether only some processes are recorded.
    pub(super) fn are_chosen(&self) -> bool {
        !self.ids.is_empty() || self.command
    }

    /// The id, if it is and stays the only one.
    pub(super) fn only_id(&self) -> Option<u32> {
        match (self.ids, self.follow, self.command) {
            ([id], None, false) => Some(*id),
            _ => None,
        }
    }

    /// Number of ids that the map holds. Its memory is allocated from the start, about 5 MB for
    /// 65,536 ids: a program that runs in a fork cannot wait for memory.
    pub(super) fn map_entries(&self) -> u32 {
        let named = self.ids.len() as u32 + u32::from(self.command);
        self.follow.unwrap_or(0).saturating_add(named).max(1)
    }

    /// Enters `ids` into the map.
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

    /// Where this kernel keeps what the programs that follow processes read.
    ///
    /// # Errors
    /// If processes are followed and the kernel does not describe its types.
    pub(super) fn task_layout(&self, types: KernelTypes<'_>) -> Result<TaskLayout> {
        if self.follow.is_none() {
            return Ok(TaskLayout::EMPTY);
        }
        let read = || task_layout(types.btf().map_err(Clone::clone)?.vmlinux());
        read().context(
            "cannot follow processes, which needs the kernel's BTF; leave out --follow and \
             --only-command",
        )
    }
}

fn task_layout(btf: &Btf) -> Result<TaskLayout> {
    let task = btf.find(NameKind::Struct, "task_struct").map(Type::kind);
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
        status: 0,
    })
}

/// Offset of `thread_info.status` in `struct task_struct`; 0 if the kernel has no such member.
pub(super) fn status_offset(btf: &Btf) -> u32 {
    let member = |structure: &str, name: &str| {
        let found = btf.find(NameKind::Struct, structure).map(Type::kind);
        let Some(Kind::Composite(composite)) = found else {
            return None;
        };
        u32::try_from(composite.member(name)?.bit_offset / 8).ok()
    };
    let info = member("task_struct", "thread_info");
    let status = member("thread_info", "status");
    info.zip(status).map_or(0, |(info, status)| info + status)
}

/// The entry of a process that is recorded after its next exec.
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
    fn an_entry_is_encoded_as_programs_read_it() {
        let bytes = pending();
        assert_eq!(bytes[core::mem::offset_of!(Wanted, pending)], 1);
        assert_eq!(bytes.iter().filter(|byte| **byte != 0).count(), 1);
    }

    #[test]
    fn members_of_anonymous_structures_are_found() {
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
            status: 0,
        };
        assert_eq!(task_layout(&types.build()).unwrap(), expected);
    }

    #[test]
    fn the_status_of_a_thread_is_in_its_task() {
        let mut types = Builder::new();
        let int = types.integer("int", 4, false);
        let info = types.structure("thread_info", 16, &[("status", int, 8)]);
        types.structure("task_struct", 32, &[("thread_info", info, 4)]);
        assert_eq!(status_offset(&types.build()), 12);
        assert_eq!(status_offset(&Builder::new().build()), 0);
    }

    #[test]
    fn an_error_names_the_missing_member() {
        let mut types = Builder::new();
        let int = types.integer("int", 4, true);
        types.structure("task_struct", 4, &[("pid", int, 0)]);
        let error = task_layout(&types.build()).unwrap_err().to_string();
        assert_eq!(error, "no `signal` in `struct task_struct`");
    }

    #[test]
    fn a_single_process_needs_no_map() {
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
