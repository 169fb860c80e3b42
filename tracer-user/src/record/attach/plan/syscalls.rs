//! The programs that all system calls share, and the filters of each call.

use std::collections::HashMap;

use tracer_common::SyscallSpec;

use crate::probe::filter::Condition;
use crate::probe::{AttachPoint, ResolvedProbe};
use crate::record::attach::plan::{
    Attachment, EventFilter, Filter, Misses, OnRefusal, Planner, ProgramPlan, Step, Template,
};

/// A program that serves many classes.
struct Shared {
    template: Template,
    tracepoint: &'static str,
    serves: fn(&AttachPoint) -> bool,
    /// The number of the first filter. In the tables of system calls, 0 means no filter; the
    /// programs without a table have only one, whose number is 0.
    first_filter: u32,
}

const SHARED: [Shared; 4] = [
    Shared {
        template: Template::SysEnter,
        tracepoint: "sys_enter",
        serves: |place| matches!(place, AttachPoint::Syscall { entry: true, .. }),
        first_filter: 1,
    },
    Shared {
        template: Template::SysExit,
        tracepoint: "sys_exit",
        serves: |place| matches!(place, AttachPoint::Syscall { entry: false, .. }),
        first_filter: 1,
    },
    Shared {
        template: Template::RawSysEnter,
        tracepoint: "sys_enter",
        serves: |place| matches!(place, AttachPoint::RawSyscall { entry: true }),
        first_filter: 0,
    },
    Shared {
        template: Template::RawSysExit,
        tracepoint: "sys_exit",
        serves: |place| matches!(place, AttachPoint::RawSyscall { entry: false }),
        first_filter: 0,
    },
];

/// A row of the table of entries or exits of system calls.
#[derive(Clone, Copy, Debug)]
pub struct SyscallRow {
    /// The number of the call.
    pub nr: u32,
    /// Entry rather than exit.
    pub entry: bool,
    /// What the program does with it.
    pub spec: SyscallSpec,
}

/// A program has too many filters: their numbers have 8 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {MAX_FILTERS} different filters for system calls")]
pub struct TooManyFilters;

/// Filters of one program: 0 means no filter.
const MAX_FILTERS: usize = u8::MAX as usize;

impl<'p> Planner<'_, 'p> {
    /// The programs that the system calls among the probes need, and the rows of their tables.
    pub(super) fn syscalls(&self) -> Result<(Vec<Step<'p>>, Vec<SyscallRow>), TooManyFilters> {
        let (mut steps, mut table) = (Vec::new(), Vec::new());
        for shared in &SHARED {
            let served = self.probes.iter().enumerate();
            let rows: Vec<usize> = served
                .filter(|(_, probe)| (shared.serves)(&probe.attach_point))
                .map(|(row, _)| row)
                .collect();
            if rows.is_empty() {
                continue;
            }
            let mut numbers = Numbers::default();
            for probe in rows.iter().map(|&row| &self.probes[row]) {
                let number = match self.filter(probe) {
                    Some(filter) => numbers.number(filter)? + shared.first_filter as u8,
                    None => 0,
                };
                table.extend(self.table_row(probe, number));
            }
            steps.push(shared.step(rows, numbers.filters));
        }
        Ok((steps, table))
    }

    fn table_row(&self, probe: &ResolvedProbe, filter: u8) -> Option<SyscallRow> {
        let AttachPoint::Syscall { nr, entry, spec } = probe.attach_point else {
            return None;
        };
        Some(SyscallRow {
            nr,
            entry,
            spec: SyscallSpec {
                class: probe.class.id,
                filter,
                flags: probe.stacks.flags() as u8,
                throttled: self.is_throttled(probe).into(),
                ..spec
            },
        })
    }
}

impl Shared {
    fn step<'p>(&self, rows: Vec<usize>, filters: Vec<EventFilter<'p>>) -> Step<'p> {
        let filter = if filters.is_empty() {
            Filter::None
        } else {
            Filter::Numbered {
                first: self.first_filter,
                filters,
            }
        };
        let program = ProgramPlan {
            subject: format!("`rawtp:{}` to record system calls", self.tracepoint),
            name: self.template.symbol().to_owned(),
            template: self.template,
            attachment: Attachment::TypedRawTracepoint {
                name: self.tracepoint,
            },
            row: 0,
            cookie: 0,
            fetched: None,
            filter,
            misses: Misses::SyscallEvent,
        };
        Step {
            rows,
            programs: vec![program],
            on_refusal: OnRefusal::Fail,
        }
    }
}

/// The filters of one program, numbered. Calls with equal conditions share one.
#[derive(Default)]
pub(super) struct Numbers<'p> {
    pub(super) filters: Vec<EventFilter<'p>>,
    known: HashMap<Option<&'p Condition>, u8>,
}

impl<'p> Numbers<'p> {
    /// From 0.
    pub(super) fn number(&mut self, filter: EventFilter<'p>) -> Result<u8, TooManyFilters> {
        if let Some(&number) = self.known.get(&filter.condition) {
            return Ok(number);
        }
        let number = self.filters.len();
        if number >= MAX_FILTERS {
            return Err(TooManyFilters);
        }
        let number = number as u8;
        self.filters.push(filter);
        self.known.insert(filter.condition, number);
        Ok(number)
    }
}
