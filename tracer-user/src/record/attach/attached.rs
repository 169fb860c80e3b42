//! The kernel's side of a running recording: started, stopped, detached.

use std::io;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tracer_common::CpuState;

use crate::record::attach::follow;
use crate::record::attach::object::Maps;
use crate::record::attach::plan::Misses;
use crate::record::attach::program::AttachedProgram;
use crate::record::attach::throttle::{self, LeftOut};
use crate::sys::bpf;

/// All programs are attached. They record between [`start`](Self::start) and
/// [`stop`](Self::stop).
pub struct Attached {
    maps: Maps,
    programs: Vec<AttachedProgram>,
}

/// Counts of the kernel's side, final when recording has stopped.
#[derive(Clone, Debug, Default)]
pub struct KernelCounts {
    /// Events lost in full rings, by class and then by CPU.
    pub lost: Vec<Vec<u64>>,
    /// Events that a program missed because another one was running on the CPU, by class.
    /// Classes without any are left out.
    pub skipped: Vec<(u32, u64)>,
    /// As `skipped`, for functions that share a program.
    pub skipped_of_many: u64,
    /// As `skipped`, for entries and exits of system calls, whose programs serve all classes.
    pub skipped_syscalls: u64,
    /// 32-bit system calls, which are not recorded.
    pub compat_syscalls: u64,
    /// Events dropped by a throttle, by class and then by CPU, for the classes with one.
    pub left_out: Vec<(u32, Vec<LeftOut>)>,
    /// Events with a fetched value that could not be read, by class. Classes without any are
    /// left out.
    pub faults: Vec<(u32, u64)>,
    /// System calls that had not returned and are not recorded.
    pub calls_under_way: u64,
    /// Threads and processes that should have been followed and could not be.
    pub not_followed: u64,
    /// Events on CPUs that came online during the recording, by CPU. CPUs without any are left
    /// out.
    pub unrecorded: Vec<(u32, u64)>,
}

/// Programs that do not record any more and are still attached.
pub struct StillAttached {
    /// Closing a link detaches its program.
    pub links: Vec<OwnedFd>,
    /// The map of the rings, whose memory the programs keep.
    pub rings: Option<OwnedFd>,
    /// Elements of `rings`.
    pub cpu_count: u32,
}

impl Attached {
    pub(super) fn new(maps: Maps, programs: Vec<AttachedProgram>) -> Self {
        Self { maps, programs }
    }

    /// Number of attached programs.
    #[must_use]
    pub fn program_count(&self) -> usize {
        self.programs.len()
    }

    /// Lets the programs record, on all CPUs that are recorded.
    pub fn start(&mut self) {
        for program in &mut self.programs {
            program.start_counting();
        }
        self.set_enabled(true);
    }

    /// Ends recording. When this returns, no program emits any more, and all events are
    /// complete in the rings. The programs are still attached.
    pub fn stop(&mut self) -> Result<KernelCounts> {
        self.set_enabled(false);
        let mut counts = self.count_missed();
        self.maps.wait_for_programs()?;
        let maps = &self.maps;
        let states = || maps.cpus.iter().map(|cpu| (*cpu, &maps.states));
        if states().any(|(cpu, states)| states.lost(cpu) > 0) {
            counts.lost = maps.lost()?;
        }
        let compat = states().map(|(cpu, states)| states.compat_syscalls(cpu));
        counts.compat_syscalls = compat.sum();
        counts.left_out =
            throttle::left_out(maps.fd("LEFT_OUT")?, &maps.throttles, maps.cpu_count)?;
        counts.faults = maps.faults()?;
        let under_way = (0..maps.cpu_count).map(|cpu| maps.states.calls_under_way(cpu));
        counts.calls_under_way = under_way.sum::<i64>().try_into().unwrap_or(0);
        // On any CPU: a thread may be started on one that is not recorded.
        let not_followed = (0..maps.cpu_count).map(|cpu| maps.states.not_followed(cpu));
        counts.not_followed += not_followed.sum::<u64>();
        let unrecorded = (0..maps.cpu_count).map(|cpu| (cpu, maps.states.unrecorded(cpu)));
        counts.unrecorded = unrecorded.filter(|(_, events)| *events > 0).collect();
        Ok(counts)
    }

    /// Counts the runs that the kernel skipped.
    fn count_missed(&self) -> KernelCounts {
        let mut counts = KernelCounts::default();
        for program in &self.programs {
            let missed = program.missed();
            match program.misses() {
                Misses::Event(class) if missed > 0 => counts.skipped.push((class, missed)),
                Misses::Event(_) | Misses::Nothing => {}
                Misses::FunctionEvent => counts.skipped_of_many += missed,
                Misses::SyscallEvent => counts.skipped_syscalls += missed,
                Misses::NewThread => counts.not_followed += missed,
            }
        }
        counts
    }

    /// Detaches as many programs as `time` allows, the fast ones first, and returns the others.
    pub fn detach(self, time: Duration) -> StillAttached {
        let start = Instant::now();
        let slow = AttachedProgram::is_slow_to_detach;
        let (slow, mut programs): (Vec<_>, Vec<_>) = self.programs.into_iter().partition(slow);
        programs.extend(slow);
        let mut links = programs.into_iter().map(AttachedProgram::into_link);
        while start.elapsed() < time
            && let Some(link) = links.next()
        {
            drop(link);
        }
        let rings = self
            .maps
            .fd("RINGS")
            .and_then(|map| Ok(map.try_clone_to_owned()?));
        StillAttached {
            links: links.collect(),
            rings: rings.ok(),
            cpu_count: self.maps.cpu_count,
        }
    }

    /// Makes `command` recorded from its exec on. Its process enters itself into the map of
    /// processes while it is still a copy of this one. In a PID namespace the program `own_id`
    /// returns the kernel's id of the process that runs it.
    pub fn record_command(&self, command: &mut Command, own_id: Option<OwnedFd>) -> Result<()> {
        let map = self.maps.fd("PIDS")?;
        let map = map
            .try_clone_to_owned()
            .context("cannot pass the map of processes to the command")?;
        bpf::enter_own_id(command, map, own_id, follow::pending());
        Ok(())
    }

    /// Whether threads or processes are followed besides `named`.
    pub fn follows_others(&self, named: &[u32]) -> io::Result<bool> {
        let map = self.maps.fd("PIDS").map_err(io::Error::other)?;
        let mut key = None;
        loop {
            match bpf::next_key(map, key)? {
                None => return Ok(false),
                Some(id) if named.contains(&id) => key = Some(id),
                Some(_) => return Ok(true),
            }
        }
    }

    fn set_enabled(&self, enabled: bool) {
        let maps = &self.maps;
        for cpu in 0..maps.cpu_count {
            let state = if enabled && maps.cpus.contains(&cpu) {
                CpuState::RECORDED
            } else if enabled && maps.counts_others {
                CpuState::COUNTED
            } else {
                CpuState::OFF
            };
            maps.states.set_enabled(cpu, state);
        }
    }
}

impl Maps {
    /// Events lost in full rings, by class and then by CPU.
    fn lost(&self) -> Result<Vec<Vec<u64>>> {
        let map = self.fd("LOST")?;
        let of_class = |class| {
            self.rows(class)
                .map(|row| bpf::lookup_u64(map, row))
                .collect()
        };
        let lost = (0..self.class_count).map(of_class);
        Ok(lost.collect::<io::Result<_>>()?)
    }

    /// Events with a value that could not be read, by class.
    fn faults(&self) -> Result<Vec<(u32, u64)>> {
        let map = self.fd("FAULTS")?;
        let mut faults = Vec::new();
        for &class in &self.fetching {
            let rows = self.rows(class).map(|row| bpf::lookup_u64(map, row));
            match rows.sum::<io::Result<u64>>()? {
                0 => {}
                count => faults.push((class, count)),
            }
        }
        Ok(faults)
    }

    /// The rows of a class in a table by class and then by CPU.
    fn rows(&self, class: u32) -> std::ops::Range<u32> {
        class * self.cpu_count..(class + 1) * self.cpu_count
    }
}
