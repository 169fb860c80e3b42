//! The eBPF object: its constants and its maps, filled before any program runs.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use aya::{Ebpf, EbpfLoader};
use aya_log::EbpfLogger;
use tracer_common::{
    CALL_STRING_SLOT_LEN, CallEntry, CallKey, CallSpec, Config, KeptCall, NESTED_LEVELS,
    TaskLayout, spec_flags,
};

use crate::probe::fetch::{self, MAX_FETCHED_STRING};
use crate::probe::{AttachPoint, ResolvedProbe};
use crate::record::attach::plan::AttachPlan;
use crate::record::attach::settings::Settings;
use crate::record::attach::template::data_of;
use crate::record::attach::throttle::{self, Throttle, is_throttled};
use crate::record::ring::{CpuStates, Ring};
use crate::sys::{self, bpf};

/// A reader is woken when this much of a ring is waiting for it, or a quarter of the ring
/// if that is less.
const WAKEUP_BYTES: u32 = 256 * 1024;
/// How often the programs' messages are printed.
const LOG_INTERVAL: Duration = Duration::from_millis(50);

/// The maps that the recorder shares with its programs.
pub(super) struct Maps {
    pub(super) ebpf: Ebpf,
    pub(super) states: Arc<CpuStates>,
    /// The CPUs that are recorded.
    pub(super) cpus: Vec<u32>,
    /// Possible CPUs.
    pub(super) cpu_count: u32,
    pub(super) class_count: u32,
    /// Classes with values that are read from memory.
    pub(super) fetching: Vec<u32>,
    pub(super) throttles: Vec<Throttle>,
    /// Events on CPUs that are not recorded are counted.
    pub(super) counts_others: bool,
}

impl Maps {
    /// The map of this name.
    pub(super) fn fd(&self, map: &str) -> Result<BorrowedFd<'_>> {
        let Some(data) = self.ebpf.map(map).and_then(data_of) else {
            bail!("the embedded object has no map `{map}`");
        };
        Ok(data.fd())
    }

    /// Waits until every program that may have started before has ended: the kernel does that
    /// when an element of an array of maps changes (`maybe_wait_bpf_programs`).
    pub(super) fn wait_for_programs(&self) -> Result<()> {
        let cpu = self.cpus.first().context("no CPU is recorded")?;
        let spare = bpf::create_ring(sys::page_size() as u32)?;
        let spare_fd = spare.as_raw_fd();
        bpf::update(
            self.fd("RINGS")?,
            &cpu.to_ne_bytes(),
            &spare_fd.to_ne_bytes(),
        )
        .context("cannot wait for the programs to end")
    }

    fn fill(&self, settings: &Settings<'_>, plan: &AttachPlan<'_>) -> Result<()> {
        settings.processes.enter(self.fd("PIDS")?)?;
        throttle::fill(self.fd("THROTTLES")?, settings.throttles)?;
        for row in &plan.syscalls {
            let table = if row.entry {
                "SYSCALL_ENTER"
            } else {
                "SYSCALL_EXIT"
            };
            bpf::update(
                self.fd(table)?,
                &row.nr.to_ne_bytes(),
                bytemuck::bytes_of(&row.spec),
            )
            .with_context(|| format!("cannot enable system call {}", row.nr))?;
        }
        for row in &plan.calls {
            bpf::update(
                self.fd("SYSCALL_CALL")?,
                &row.nr.to_ne_bytes(),
                bytemuck::bytes_of(&row.spec),
            )
            .with_context(|| format!("cannot enable system call {}", row.nr))?;
        }
        Ok(())
    }

    fn create_rings(&self, settings: &Settings<'_>) -> Result<Vec<(u32, Ring)>> {
        let table = self.fd("RINGS")?;
        let create = |&cpu: &u32| {
            let ring = Ring::create(settings.ring_bytes).with_context(|| {
                format!(
                    "cannot create a ring of {} bytes for CPU {cpu}; try a smaller --buffer-size",
                    settings.ring_bytes
                )
            })?;
            let ring_fd = ring.as_fd().as_raw_fd();
            bpf::update(table, &cpu.to_ne_bytes(), &ring_fd.to_ne_bytes())
                .with_context(|| format!("cannot pass the ring of CPU {cpu} to the programs"))?;
            Ok((cpu, ring))
        };
        settings.cpus.iter().map(create).collect()
    }
}

/// Loads the object and fills its maps. Returns the rings, each with its CPU, beside them.
pub(super) fn load(
    settings: &Settings<'_>,
    layout: TaskLayout,
    plan: &AttachPlan<'_>,
    probes: &[ResolvedProbe],
) -> Result<(Maps, Vec<(u32, Ring)>)> {
    let ebpf = load_object(settings, layout, plan, probes)?;
    let Some(states) = ebpf.map("CPUS").and_then(data_of) else {
        bail!("the embedded object has no map `CPUS`");
    };
    let states = CpuStates::map(states.fd(), settings.cpu_count as usize)
        .context("cannot map the state of the CPUs")?;
    let maps = Maps {
        ebpf,
        states: Arc::new(states),
        cpus: settings.cpus.to_vec(),
        cpu_count: settings.cpu_count,
        class_count: probes.len() as u32,
        fetching: fetching(probes),
        throttles: settings.throttles.to_vec(),
        counts_others: settings.all_cpus,
    };
    let rings = maps.create_rings(settings)?;
    maps.fill(settings, plan)?;
    Ok((maps, rings))
}

fn load_object(
    settings: &Settings<'_>,
    layout: TaskLayout,
    plan: &AttachPlan<'_>,
    probes: &[ResolvedProbe],
) -> Result<Ebpf> {
    let classes = probes.len();
    let log_level = if settings.log {
        aya_log::Level::Debug as u8
    } else {
        0
    };
    let config = config(settings, probes);
    let cpus = settings.cpu_count;
    let mut specs = plan.specs.iter();
    let nests = specs.any(|spec| spec.flags & spec_flags::NESTS != 0);
    let nested = if nests { cpus * NESTED_LEVELS } else { 1 };
    let throttles = settings.throttles.len().max(1) as u32;
    EbpfLoader::new()
        .override_global("CONFIG", bytemuck::bytes_of(&config), true)
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
        .context("the kernel refused the eBPF object; run `tracer doctor` to see what is missing")
}

fn config(settings: &Settings<'_>, probes: &[ResolvedProbe]) -> Config {
    let raw = |wanted: bool| {
        let is_raw = |probe: &&ResolvedProbe| matches!(probe.attach_point, AttachPoint::RawSyscall { entry } if entry == wanted);
        probes.iter().find(is_raw)
    };
    let class = |probe: Option<&ResolvedProbe>| probe.map_or(0, |probe| probe.class.id);
    let flags = |probe: Option<&ResolvedProbe>| probe.map_or(0, |probe| probe.stacks.flags());
    let throttled = |probe: Option<&ResolvedProbe>| {
        u32::from(probe.is_some_and(|probe| is_throttled(settings.throttles, probe)))
    };
    let (raw_enter, raw_exit) = (raw(true), raw(false));
    let records_halves = |probe: &ResolvedProbe| {
        matches!(
            probe.attach_point,
            AttachPoint::Syscall { .. } | AttachPoint::RawSyscall { .. }
        )
    };
    let records_entries = probes
        .iter()
        .any(|probe| matches!(probe.attach_point, AttachPoint::Syscall { entry: true, .. }));
    Config {
        excluded_pid: settings.excluded_pid.unwrap_or(0),
        filter_pids: u32::from(settings.processes.are_chosen()),
        wakeup_bytes: WAKEUP_BYTES.min(settings.ring_bytes / 4),
        cpu_count: settings.cpu_count,
        raw_enter_class: class(raw_enter),
        raw_exit_class: class(raw_exit),
        exits_only: u32::from(!records_entries),
        raw_enter_flags: flags(raw_enter),
        raw_exit_flags: flags(raw_exit),
        context_len: fetch::context::len(settings.contexts),
        only_id: settings.processes.only_id().unwrap_or(0),
        raw_enter_throttled: throttled(raw_enter),
        raw_exit_throttled: throttled(raw_exit),
        call_string_slots: call_string_slots(probes),
        calls_only: u32::from(!probes.iter().any(records_halves)),
    }
}

/// Classes with values that are read from memory, which can fail.
fn fetching(probes: &[ResolvedProbe]) -> Vec<u32> {
    let fetches = |probe: &&ResolvedProbe| match &probe.attach_point {
        AttachPoint::Tracepoint { fetched, .. } => fetched.faults,
        AttachPoint::Function { layout, entry, .. } => {
            layout.faults || entry.as_ref().is_some_and(|entry| entry.faults)
        }
        AttachPoint::Syscall { .. } | AttachPoint::RawSyscall { .. } | AttachPoint::Call { .. } => {
            false
        }
    };
    let classes = probes.iter().filter(fetches);
    classes.map(|probe| probe.class.id).collect()
}

/// Calls in progress whose entry is remembered until they return.
const MAX_CALLS: u32 = 16 * 1024;

/// Creates the map of calls in progress, whose values have room for what `probes` fetch when
/// functions are entered. Calls whose return no program sees stay in it until others need the
/// room: the kernel follows a limited number, and some functions never return.
pub(super) fn create_entries(probes: &[ResolvedProbe]) -> Result<OwnedFd> {
    let values = |probe: &ResolvedProbe| match &probe.attach_point {
        AttachPoint::Function {
            entry: Some(entry), ..
        } => Some(entry.len as usize + entry.strings.len() * MAX_FETCHED_STRING),
        _ => None,
    };
    let largest = probes.iter().filter_map(values).max();
    let max_calls = if largest.is_some() { MAX_CALLS } else { 1 };
    let value_len = size_of::<CallEntry>() + largest.unwrap_or(0).next_multiple_of(8);
    bpf::create_lru_hash(size_of::<CallKey>() as u32, value_len as u32, max_calls)
        .context("cannot create the map of calls in progress")
}

/// The whole system calls among `probes`.
fn calls(probes: &[ResolvedProbe]) -> impl Iterator<Item = &CallSpec> {
    probes.iter().filter_map(|probe| match &probe.attach_point {
        AttachPoint::Call { spec, .. } => Some(spec),
        _ => None,
    })
}

/// The most strings of one of them.
fn call_string_slots(probes: &[ResolvedProbe]) -> u32 {
    let strings = calls(probes).map(|call| call.strings.count_ones());
    strings.max().unwrap_or(0)
}

/// Creates the storage of system calls under way, if whole ones are recorded. Its values have
/// room for the strings of the call with the most.
pub(super) fn create_calls(probes: &[ResolvedProbe]) -> Result<Option<OwnedFd>> {
    if calls(probes).next().is_none() {
        return Ok(None);
    }
    let strings = call_string_slots(probes) as usize * CALL_STRING_SLOT_LEN;
    let storage = bpf::create_task_storage((size_of::<KeptCall>() + strings) as u32)
        .context("cannot create the storage of system calls under way")?;
    Ok(Some(storage))
}

/// Prints the programs' messages from a thread of its own.
pub(super) fn forward_log(ebpf: &mut Ebpf) -> Result<()> {
    let mut logger = EbpfLogger::init(ebpf).context("cannot read the programs' messages")?;
    thread::Builder::new()
        .name("ebpf-log".to_owned())
        .spawn(move || {
            loop {
                logger.flush();
                thread::sleep(LOG_INTERVAL);
            }
        })
        .context("cannot start the thread for the programs' messages")?;
    Ok(())
}
