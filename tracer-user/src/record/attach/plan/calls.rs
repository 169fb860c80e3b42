//! The programs that record whole system calls: one for all entries, one for all returns.

use tracer_common::CallSpec;

use crate::probe::AttachPoint;
use crate::record::attach::plan::syscalls::Numbers;
use crate::record::attach::plan::{
    Attachment, Filter, Misses, OnRefusal, Planner, ProgramPlan, Step, Template, TooManyFilters,
};

/// A row of the table of whole system calls.
#[derive(Clone, Copy, Debug)]
pub struct CallRow {
    /// The number of the call.
    pub nr: u32,
    /// What the programs do with it.
    pub spec: CallSpec,
}

/// The number of the first filter: 0 means no filter.
const FIRST_FILTER: u32 = 1;

impl<'p> Planner<'_, 'p> {
    /// The programs that whole calls among the probes need, and the rows of their table.
    pub(super) fn calls(&self) -> Result<(Option<Step<'p>>, Vec<CallRow>), TooManyFilters> {
        let (mut rows, mut table) = (Vec::new(), Vec::new());
        let mut numbers = Numbers::default();
        for (row, probe) in self.probes.iter().enumerate() {
            let AttachPoint::Call { nr, spec } = probe.attach_point else {
                continue;
            };
            let filter = match self.filter(probe) {
                Some(filter) => numbers.number(filter)? + FIRST_FILTER as u8,
                None => 0,
            };
            rows.push(row);
            table.push(CallRow {
                nr,
                spec: CallSpec {
                    class: probe.class.id,
                    filter,
                    flags: probe.stacks.flags() as u8,
                    throttled: self.is_throttled(probe).into(),
                    ..spec
                },
            });
        }
        if rows.is_empty() {
            return Ok((None, table));
        }
        let filter = if numbers.filters.is_empty() {
            Filter::None
        } else {
            Filter::Numbered {
                first: FIRST_FILTER,
                filters: numbers.filters,
            }
        };
        let program = |template: Template, name| ProgramPlan {
            subject: format!("`rawtp:{name}` to record system calls"),
            name: template.symbol().to_owned(),
            template,
            attachment: Attachment::TypedRawTracepoint { name },
            row: 0,
            cookie: 0,
            fetched: None,
            filter: filter.clone(),
            misses: Misses::SyscallEvent,
        };
        let step = Step {
            rows,
            // Entries last: the return of a call whose entry was seen is seen, too.
            programs: vec![
                program(Template::CallExit, "sys_exit"),
                program(Template::CallEnter, "sys_enter"),
            ],
            on_refusal: OnRefusal::Fail,
        };
        Ok((Some(step), table))
    }
}
