//! The kernel's side of a recording that runs: started, stopped, detached.

use std::io;
use std::os::fd::AsFd;
use std::process::Command;

use anyhow::{Context, Result};

use crate::record::attach::follow::{self, Followers};
use crate::record::attach::kernel::Kernel;
use crate::record::attach::link::{Emits, Link};
use crate::record::attach::object::fd;
use crate::record::attach::syscalls::SharedProgram;
use crate::record::attach::throttle::{self, LeftOut};
use crate::sys::bpf;

/// All programs are attached; they record between [`start`](Self::start) and
/// [`stop`](Self::stop).
pub struct Attached {
    pub(super) kernel: Kernel,
    pub(super) links: Vec<Link>,
    pub(super) followers: Option<Followers>,
    /// The programs that system calls share.
    pub(super) shared: Vec<SharedProgram>,
    pub(super) syscalls_skipped_before: u64,
}

/// What the kernel counted, exact because nothing is attached any more.
#[derive(Clone, Debug, Default)]
pub struct KernelCounts {
    /// Events lost in full rings, by class and then by CPU.
    pub lost: Vec<Vec<u64>>,
    /// Events that the kernel did not show to a program because another ran on the CPU,
    /// by class; classes without any are left out.
    pub skipped: Vec<(u32, u64)>,
    /// As `skipped`, for functions that share a program.
    pub skipped_of_many: u64,
    /// As `skipped`, for entries and exits of system calls, whose programs serve all classes.
    pub skipped_syscalls: u64,
    /// 32-bit system calls, which are not recorded.
    pub compat_syscalls: u64,
    /// Events that were left out as asked for, by class and then by CPU; of the classes with
    /// a throttle.
    pub left_out: Vec<(u32, Vec<LeftOut>)>,
    /// Events with a fetched value that could not be read, by class; classes without any are
    /// left out.
    pub faults: Vec<(u32, u64)>,
    /// Threads and processes that should have been followed and could not be.
    pub not_followed: u64,
}

impl Attached {
    /// Number of programs that were attached one by one.
    #[must_use]
    pub fn link_count(&self) -> usize {
        self.links.len()
    }

    /// Lets the programs record, on all CPUs that were asked for.
    pub fn start(&mut self) {
        for link in &mut self.links {
            link.start_counting();
        }
        self.syscalls_skipped_before = self.syscalls_skipped();
        self.set_enabled(true);
    }

    /// Ends recording. When this returns, no program emits any more and what they emitted
    /// lies finished in the rings. They are still attached.
    pub fn stop(&mut self) -> Result<KernelCounts> {
        self.set_enabled(false);
        let skipped = self
            .links
            .iter()
            .filter_map(|link| match link.emits() {
                Emits::Class(class) => Some((class, link.skipped())),
                Emits::Many | Emits::Nothing => None,
            })
            .filter(|(_, skipped)| *skipped > 0)
            .collect();
        let many = self.links.iter().filter(|link| link.emits() == Emits::Many);
        let skipped_of_many = many.map(Link::skipped).sum();
        let skipped_syscalls = self
            .syscalls_skipped()
            .saturating_sub(self.syscalls_skipped_before);
        self.kernel.wait_for_programs()?;
        let kernel = &self.kernel;
        let lost = fd(&kernel.ebpf, "LOST")?;
        let counts = |class: u32| {
            (0..kernel.cpu_count)
                .map(|cpu| bpf::lookup_u64(lost, class * kernel.cpu_count + cpu))
                .collect::<io::Result<Vec<u64>>>()
        };
        let faults = fd(&kernel.ebpf, "FAULTS")?;
        let faults = kernel
            .fetching
            .iter()
            .map(|class| {
                let rows = class * kernel.cpu_count..(class + 1) * kernel.cpu_count;
                let sum = rows
                    .map(|row| bpf::lookup_u64(faults, row))
                    .sum::<io::Result<u64>>();
                Ok((*class, sum?))
            })
            .filter(|count| count.as_ref().map_or(true, |(_, faults)| *faults > 0))
            .collect::<io::Result<_>>()?;
        let any_lost = kernel.cpus.iter().any(|cpu| kernel.states.lost(*cpu) > 0);
        let classes = if any_lost { kernel.class_count } else { 0 };
        Ok(KernelCounts {
            lost: (0..classes).map(counts).collect::<io::Result<_>>()?,
            skipped,
            skipped_of_many,
            skipped_syscalls,
            compat_syscalls: kernel
                .cpus
                .iter()
                .map(|cpu| kernel.states.compat_syscalls(*cpu))
                .sum(),
            left_out: throttle::left_out(
                fd(&kernel.ebpf, "LEFT_OUT")?,
                &kernel.throttles,
                kernel.cpu_count,
            )?,
            faults,
            not_followed: self.not_followed(),
        })
    }

    /// Detaches everything; `detached` is told how many are done. The kernel takes tens of
    /// milliseconds for each probe, one after the other (`perf_trace_event_unreg` waits for
    /// two grace periods under a lock).
    pub fn detach(self, mut detached: impl FnMut(usize)) {
        for (done, link) in self.links.into_iter().enumerate() {
            drop(link);
            detached(done + 1);
        }
    }

    /// Has `command` be recorded from its exec on. Its process enters itself into the map of
    /// processes, before it is anything but a copy of this one.
    pub fn record_command(&self, command: &mut Command) -> Result<()> {
        let map = fd(&self.kernel.ebpf, "PIDS")?
            .try_clone_to_owned()
            .context("cannot hand the map of processes to the command")?;
        bpf::enter_own_id(command, map, follow::pending());
        Ok(())
    }

    fn not_followed(&self) -> u64 {
        let states = &self.kernel.states;
        let counted: u64 = (0..self.kernel.cpu_count)
            .map(|cpu| states.not_followed(cpu))
            .sum();
        counted + self.followers.as_ref().map_or(0, Followers::skipped)
    }

    fn syscalls_skipped(&self) -> u64 {
        let misses =
            |shared: &SharedProgram| bpf::recursion_misses(shared.program.as_fd()).unwrap_or(0);
        self.shared.iter().map(misses).sum()
    }

    fn set_enabled(&self, enabled: bool) {
        for cpu in &self.kernel.cpus {
            self.kernel.states.set_enabled(*cpu, enabled);
        }
    }
}
