//! Which eBPF programs a recording attaches, as data.
//!
//! [`AttachPlan::new`] is a pure function of the probes, the settings and what the kernel
//! supports: which probes share a program, how each program is attached, and what happens if
//! the kernel refuses it. Loading and attaching only carry the plan out.

mod attachment;
mod calls;
mod follow;
mod program;
mod recipe;
mod shared;
mod single;
mod spec;
mod syscalls;

use std::fmt;

use tracer_common::ProbeSpec;

use crate::probe::ResolvedProbe;
use crate::probe::fetch::FieldSource;
use crate::record::attach::settings::Settings;

pub use attachment::{Attachment, ProbedFunction};
pub use calls::CallRow;
pub use program::{EventFilter, Filter, Misses, ProgramPlan, Template, Values};
pub use syscalls::{SyscallRow, TooManyFilters};

/// Ways of attaching that not every kernel has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Supported {
    /// One program for the entries of many functions (Linux 5.18).
    pub kprobe_multi: bool,
    /// One program for the entries and returns of many functions (Linux 6.10).
    pub kprobe_session: bool,
}

/// All programs of a recording.
#[derive(Debug)]
pub struct AttachPlan<'p> {
    /// Carried out in this order.
    pub steps: Vec<Step<'p>>,
    /// The table of specifications, one row per probe. A program reads the row
    /// [`ProgramPlan::row`].
    pub specs: Vec<ProbeSpec>,
    /// The tables of the programs that all system calls share.
    pub syscalls: Vec<SyscallRow>,
    /// The table of the programs that record whole system calls.
    pub calls: Vec<CallRow>,
}

/// Programs that are attached together: all of them or none.
#[derive(Debug)]
pub struct Step<'p> {
    /// The probes that they serve, by position.
    pub rows: Vec<usize>,
    /// Attached in this order.
    pub programs: Vec<ProgramPlan<'p>>,
    /// What to do if the kernel refuses one of the programs.
    pub on_refusal: OnRefusal<'p>,
}

/// What to do if the kernel refuses a program.
#[derive(Debug)]
pub enum OnRefusal<'p> {
    /// The recording fails: the user named the probe, or depends on the program.
    Fail,
    /// The probe is left out with a warning: it only matched a pattern.
    LeaveOut,
    /// These steps are taken instead.
    Instead(Vec<Step<'p>>),
}

impl<'p> AttachPlan<'p> {
    /// Plans the programs for `probes`.
    ///
    /// # Errors
    /// If system calls have more different filters than one program can hold.
    pub fn new(
        settings: &Settings<'_>,
        probes: &'p [ResolvedProbe],
        supported: Supported,
    ) -> Result<Self, TooManyFilters> {
        let planner = Planner {
            settings,
            probes,
            supported,
        };
        // Followers first: what processes start while the others are attached is followed.
        let mut steps = planner.followers();
        let groups = planner.groups();
        let mut grouped = vec![false; probes.len()];
        for &row in groups.iter().flat_map(|group| &group.rows) {
            grouped[row] = true;
        }
        steps.extend(groups.into_iter().map(|group| planner.shared(group)));
        let alone = (0..probes.len()).filter(|&row| !grouped[row]);
        steps.extend(alone.filter_map(|row| planner.single(row)));
        let (shared, syscalls) = planner.syscalls()?;
        steps.extend(shared);
        let (whole, calls) = planner.calls()?;
        steps.extend(whole);
        Ok(Self {
            steps,
            specs: planner.specs(),
            syscalls,
            calls,
        })
    }

    /// The most programs that can be attached, whatever the kernel refuses.
    #[must_use]
    pub fn max_programs(&self) -> usize {
        self.steps.iter().map(Step::max_programs).sum()
    }
}

impl Step<'_> {
    fn max_programs(&self) -> usize {
        let instead = match &self.on_refusal {
            OnRefusal::Fail | OnRefusal::LeaveOut => 0,
            OnRefusal::Instead(steps) => steps.iter().map(Self::max_programs).sum(),
        };
        self.programs.len().max(instead)
    }
}

/// What a plan is made from.
#[derive(Clone, Copy)]
struct Planner<'s, 'p> {
    settings: &'s Settings<'s>,
    probes: &'p [ResolvedProbe],
    supported: Supported,
}

impl<'p> Planner<'_, 'p> {
    /// The filter of a probe's events; `None` if every event is recorded.
    fn filter(&self, probe: &'p ResolvedProbe) -> Option<EventFilter<'p>> {
        self.filter_from(probe, &probe.sources)
    }

    /// As [`filter`](Self::filter), if the program finds the fields elsewhere.
    fn filter_from(
        &self,
        probe: &'p ResolvedProbe,
        sources: &'p [FieldSource],
    ) -> Option<EventFilter<'p>> {
        let filters = probe.filter.is_some() || self.settings.origin.is_restricted();
        filters.then_some(EventFilter {
            condition: probe.filter.as_ref(),
            sources,
        })
    }

    /// Whether some events of the probe are dropped on purpose.
    fn is_throttled(&self, probe: &ResolvedProbe) -> bool {
        crate::record::attach::throttle::is_throttled(self.settings.throttles, probe)
    }
}

impl fmt::Display for AttachPlan<'_> {
    /// A line per program; those that are attached instead of others are indented.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.iter().try_for_each(|step| step.write(f, 0))
    }
}

impl Step<'_> {
    fn write(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        for program in &self.programs {
            writeln!(f, "{:1$}{program}", "", depth * 2)?;
        }
        match &self.on_refusal {
            OnRefusal::Fail | OnRefusal::LeaveOut => Ok(()),
            OnRefusal::Instead(steps) => steps.iter().try_for_each(|step| step.write(f, depth + 1)),
        }
    }
}

#[cfg(test)]
mod tests;
