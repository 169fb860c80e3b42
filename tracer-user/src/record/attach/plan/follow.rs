//! The programs that follow what recorded processes start.

use crate::record::attach::plan::{
    Attachment, Filter, Misses, OnRefusal, Planner, ProgramPlan, Step, Template,
};

/// Each with its raw tracepoint.
const FOLLOWERS: [(Template, &str, Misses); 3] = [
    (Template::FollowNewTask, "task_newtask", Misses::NewThread),
    (Template::FollowExec, "sched_process_exec", Misses::Nothing),
    (Template::FollowFree, "sched_process_free", Misses::Nothing),
];

impl<'p> Planner<'_, 'p> {
    /// A step for each follower, if processes are followed.
    pub(super) fn followers(&self) -> Vec<Step<'p>> {
        if self.settings.processes.follow.is_none() {
            return Vec::new();
        }
        let step = |(template, tracepoint, misses): (Template, _, _)| Step {
            rows: Vec::new(),
            programs: vec![ProgramPlan {
                subject: format!("`rawtp:{tracepoint}` to follow processes"),
                name: template.symbol().to_owned(),
                template,
                attachment: Attachment::TypedRawTracepoint { name: tracepoint },
                row: 0,
                cookie: 0,
                fetched: None,
                filter: Filter::None,
                misses,
            }],
            on_refusal: OnRefusal::Fail,
        };
        FOLLOWERS.into_iter().map(step).collect()
    }
}
