//! Tracepoints by raw tracepoints.

use crate::probe::recipes::BoundRecipe;
use crate::record::attach::plan::single::{last_resort, name, subject};
use crate::record::attach::plan::{
    Attachment, Filter, Misses, OnRefusal, Planner, ProgramPlan, Step, Template, Values,
};

impl<'p> Planner<'_, 'p> {
    /// A raw tracepoint whose arguments have types, else one without, else perf's tracepoint.
    pub(super) fn by_recipe(
        &self,
        row: usize,
        recipe: &'p BoundRecipe,
        perf: ProgramPlan<'p>,
    ) -> Step<'p> {
        let probe = &self.probes[row];
        let name = recipe.tracepoint.as_str();
        let step = |program, on_refusal| Step {
            rows: vec![row],
            programs: vec![program],
            on_refusal,
        };
        let in_the_end = if recipe.only {
            last_resort(probe)
        } else {
            OnRefusal::Instead(vec![step(perf, last_resort(probe))])
        };
        let untyped = self.raw(row, recipe, Attachment::RawTracepoint { name });
        let untyped = step(untyped, in_the_end);
        let typed = self.raw(row, recipe, Attachment::TypedRawTracepoint { name });
        step(typed, OnRefusal::Instead(vec![untyped]))
    }

    fn raw(
        &self,
        row: usize,
        recipe: &'p BoundRecipe,
        attachment: Attachment<'p>,
    ) -> ProgramPlan<'p> {
        let probe = &self.probes[row];
        let filter = self.filter_from(probe, &recipe.sources);
        ProgramPlan {
            subject: subject(probe),
            name: name(probe),
            template: Template::RawTracepoint,
            attachment,
            row,
            cookie: probe.class.id.into(),
            fetched: Some(Values::Record(&recipe.layout)),
            filter: filter.map_or(Filter::None, Filter::One),
            misses: Misses::Event(probe.class.id),
        }
    }
}
