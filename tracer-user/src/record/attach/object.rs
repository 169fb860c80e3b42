//! The eBPF object: its maps, constants and the programs that system calls share.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread;

use anyhow::{Context, Result, bail};
use aya::{Ebpf, EbpfLoader};
use aya_log::EbpfLogger;
use tracer_common::{
    CallEntry, CallKey, Config, NESTED_LEVELS, ProbeSpec, SyscallSpec, TaskLayout, spec_flags,
};

use crate::probe::fetch::{self, Layout, MAX_FETCHED_STRING};
use crate::probe::{Place, ResolvedProbe, Stacks};
use crate::record::attach::follow::Following;
use crate::record::attach::functions;
use crate::record::attach::kernel::{Kernel, Settings};
use crate::record::attach::template::data_of;
use crate::record::attach::throttle::is_throttled;
use crate::record::ring::Ring;
use crate::sys::bpf;

/// A reader is woken when this much of a ring is waiting for it, or a quarter of the ring
/// if that is less.
const WAKEUP_BYTES: u32 = 256 * 1024;

pub(super) fn config(settings: &Settings<'_>, probes: &[ResolvedProbe]) -> Config {
    let raw_class = |wanted: bool| {
        probes
            .iter()
            .find(|probe| matches!(probe.place, Place::RawSyscall { entry } if entry == wanted))
            .map_or(0, |probe| probe.class.id)
    };
    let raw_flags = |wanted: bool| {
        probes
            .iter()
            .find(|probe| matches!(probe.place, Place::RawSyscall { entry } if entry == wanted))
            .map_or(0, |probe| probe.stacks.flags())
    };
    let raw_throttled = |wanted: bool| {
        let is_raw =
            |place: &Place| matches!(place, Place::RawSyscall { entry } if *entry == wanted);
        let mut raw = probes.iter().filter(|probe| is_raw(&probe.place));
        u32::from(raw.any(|probe| is_throttled(settings.throttles, probe)))
    };
    let records_entries = probes
        .iter()
        .any(|probe| matches!(probe.place, Place::Syscall { entry: true, .. }));
    Config {
        excluded_pid: settings.excluded_pid.unwrap_or(0),
        filter_pids: u32::from(settings.processes.are_chosen()),
        wakeup_bytes: WAKEUP_BYTES.min(settings.ring_bytes / 4),
        cpu_count: settings.cpu_count,
        raw_enter_class: raw_class(true),
        raw_exit_class: raw_class(false),
        exits_only: u32::from(!records_entries),
        raw_enter_flags: raw_flags(true),
        raw_exit_flags: raw_flags(false),
        context_len: fetch::context::len(settings.contexts),
        only_id: settings.processes.only_id().unwrap_or(0),
        raw_enter_throttled: raw_throttled(true),
        raw_exit_throttled: raw_throttled(false),
    }
}

pub(super) fn load(
    settings: &Settings<'_>,
    config: &Config,
    following: Option<&Following>,
    probes: &[ResolvedProbe],
) -> Result<Ebpf> {
    let classes = probes.len();
    let log_level = if settings.log {
        aya_log::Level::Debug as u8
    } else {
        0
    };
    let cpus = settings.cpu_count;
    let layout = following.map_or(TaskLayout::EMPTY, |following| following.layout);
    let nests = probes
        .iter()
        .any(|probe| spec(probe).flags & spec_flags::NESTS != 0);
    let nested = if nests { cpus * NESTED_LEVELS } else { 1 };
    let throttles = settings.throttles.len().max(1) as u32;
    EbpfLoader::new()
        .override_global("CONFIG", bytemuck::bytes_of(config), true)
        .override_global("TASK_LAYOUT", bytemuck::bytes_of(&layout), true)
        .override_global(aya_log::LEVEL, &log_level, true)
        .map_max_entries("RINGS", cpus)
        .map_max_entries("CPUS", cpus)
        .map_max_entries("LOST", cpus * classes.max(1) as u32)
        .map_max_entries("PIDS", settings.processes.map_entries())
        .map_max_entries("THROTTLES", throttles)
        .map_max_entries("WINDOWS", throttles)
        .map_max_entries("LEFT_OUT", throttles)
        .map_max_entries("FAULTS", cpus * classes.max(1) as u32)
        .map_max_entries("SCRATCH", cpus)
        .map_max_entries("NESTED_SCRATCH", nested)
        .map_max_entries("SYSCALL_SCRATCH", cpus)
        .load(settings.object)
        .context("the kernel refused the eBPF object; `tracer doctor` says what is missing")
}

pub(super) fn create_rings(ebpf: &Ebpf, settings: &Settings<'_>) -> Result<Vec<(u32, Ring)>> {
    let table = fd(ebpf, "RINGS")?;
    settings
        .cpus
        .iter()
        .map(|cpu| {
            let ring = Ring::create(settings.ring_bytes).with_context(|| {
                format!(
                    "cannot create a ring of {} bytes for CPU {cpu}; try a smaller --buffer-size",
                    settings.ring_bytes
                )
            })?;
            let ring_fd = std::os::fd::AsRawFd::as_raw_fd(&ring.as_fd());
            bpf::update(table, &cpu.to_ne_bytes(), &ring_fd.to_ne_bytes())
                .with_context(|| format!("cannot hand the ring of CPU {cpu} to the programs"))?;
            Ok((*cpu, ring))
        })
        .collect()
}

/// `filters` has the numbers of filters by class.
pub(super) fn fill_syscall_tables(
    kernel: &Kernel,
    probes: &[ResolvedProbe],
    filters: &HashMap<u32, u8>,
) -> Result<()> {
    for probe in probes {
        let Place::Syscall { nr, entry, spec } = &probe.place else {
            continue;
        };
        let table = fd(
            &kernel.ebpf,
            if *entry {
                "SYSCALL_ENTER"
            } else {
                "SYSCALL_EXIT"
            },
        )?;
        let row = SyscallSpec {
            class: probe.class.id,
            filter: filters.get(&probe.class.id).copied().unwrap_or(0),
            flags: probe.stacks.flags() as u8,
            throttled: u8::from(kernel.is_throttled(probe)),
            ..*spec
        };
        bpf::update(table, &nr.to_ne_bytes(), bytemuck::bytes_of(&row))
            .with_context(|| format!("cannot enable system call {nr}"))?;
    }
    Ok(())
}

/// The specification of each probe, in the order of the probes.
pub(super) fn specs(settings: &Settings<'_>, probes: &[ResolvedProbe]) -> Vec<ProbeSpec> {
    let of = |probe: &ResolvedProbe| {
        let spec = spec(probe);
        ProbeSpec {
            flags: spec.flags | scope_flags(settings, probe),
            ..spec
        }
    };
    probes.iter().map(of).collect()
}

/// What the scope of the recording has a program do.
fn scope_flags(settings: &Settings<'_>, probe: &ResolvedProbe) -> u32 {
    let is_exec = matches!(&probe.place, Place::Tracepoint { system, name, .. }
        if system == "sched" && name == "sched_process_exec");
    let mut flags = 0;
    if is_throttled(settings.throttles, probe) {
        flags |= spec_flags::THROTTLED;
    }
    if is_exec && settings.processes.command {
        flags |= spec_flags::AT_EXEC;
    }
    flags
}

fn spec(probe: &ResolvedProbe) -> ProbeSpec {
    let (spec, layout, entry) = match &probe.place {
        Place::Tracepoint { spec, fetched, .. } => (**spec, fetched, None),
        Place::Function {
            target,
            layout,
            entry,
        } => {
            let flags = functions::flags(target);
            let spec = ProbeSpec {
                flags,
                ..ProbeSpec::EMPTY
            };
            (spec, layout, entry.as_ref())
        }
        Place::Syscall { .. } | Place::RawSyscall { .. } => return ProbeSpec::EMPTY,
    };
    let mut flags = spec.flags | probe.stacks.flags();
    if !layout.is_empty() {
        flags |= spec_flags::FETCHES;
    }
    let is_variable = |layout: &Layout| layout.fixed_len().is_none();
    if is_variable(layout) || entry.is_some_and(is_variable) || probe.stacks != Stacks::default() {
        flags |= spec_flags::VARIABLE;
    }
    ProbeSpec {
        class: probe.class.id,
        flags,
        fetch_len: layout.fixed_len().unwrap_or(0),
        entry_len: entry.map_or(0, |entry| entry.len + entry.strings.len() as u32),
        ..spec
    }
}

/// Classes of events with values that are read from memory, which may fail.
pub(super) fn fetching(probes: &[ResolvedProbe]) -> Vec<u32> {
    let fetches = |probe: &&ResolvedProbe| match &probe.place {
        Place::Tracepoint { fetched, .. } => fetched.faults,
        Place::Function { layout, entry, .. } => {
            layout.faults || entry.as_ref().is_some_and(|entry| entry.faults)
        }
        Place::Syscall { .. } | Place::RawSyscall { .. } => false,
    };
    let classes = probes.iter().filter(fetches);
    classes.map(|probe| probe.class.id).collect()
}

/// Calls that can be under way at the same time and whose duration is known at their end.
const MAX_CALLS: u32 = 16 * 1024;

/// The map of calls that are under way, whose values have room for what `probes` fetch when
/// functions are entered. Calls whose return no program sees stay in it until they make room
/// for others: the kernel follows a limited number, and some functions never return.
pub(super) fn create_entries(probes: &[ResolvedProbe]) -> Result<OwnedFd> {
    let values = |probe: &ResolvedProbe| match &probe.place {
        Place::Function {
            entry: Some(entry), ..
        } => Some(entry.len as usize + entry.strings.len() * MAX_FETCHED_STRING),
        _ => None,
    };
    let largest = probes.iter().filter_map(values).max();
    let max_calls = if largest.is_some() { MAX_CALLS } else { 1 };
    let value_len = size_of::<CallEntry>() + largest.unwrap_or(0).next_multiple_of(8);
    bpf::create_lru_hash(size_of::<CallKey>() as u32, value_len as u32, max_calls)
        .context("cannot create the map of calls that are under way")
}

pub(super) fn fd<'a>(ebpf: &'a Ebpf, map: &str) -> Result<BorrowedFd<'a>> {
    let Some(data) = ebpf.map(map).and_then(data_of) else {
        bail!("the embedded object has no map `{map}`");
    };
    Ok(data.fd())
}

/// Prints the programs' messages as they come, on a thread of its own.
pub(super) fn forward_log(ebpf: &mut Ebpf) -> Result<()> {
    let mut logger = EbpfLogger::init(ebpf).context("cannot read the programs' messages")?;
    thread::Builder::new()
        .name("ebpf-log".to_owned())
        .spawn(move || {
            loop {
                logger.flush();
                thread::sleep(std::time::Duration::from_millis(50));
            }
        })
        .context("cannot start the thread for the programs' messages")?;
    Ok(())
}
