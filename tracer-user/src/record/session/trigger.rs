//! Events that trigger snapshots: `--snapshot-on 'PROBE if FILTER'`.

use std::borrow::Cow;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, anyhow};
use tokio::sync::Notify;
use tracer_common::EventHeader;

use crate::probe::ResolvedProbe;
use crate::probe::filter::{EventContext, Filter, FilterError, Resolved, probe_and_filter};
use crate::record::namespace::pids::id_in_proc;
use crate::record::session::ids;
use crate::record::stream::observe::Observer;
use crate::trace::event::EventClass;
use crate::trace::lttng;

/// The part before `if`: a probe, which is also recorded.
pub(super) fn probe_of(text: &str) -> &str {
    probe_and_filter(text).0
}

/// Watches the events of a recording; shared by its drains.
#[derive(Debug)]
pub(super) struct Trigger {
    /// For each class whether it is watched, and for which events.
    rules: Vec<Option<Rule>>,
    /// How many snapshots may still be taken.
    left: AtomicU32,
    fired: Notify,
}

#[derive(Debug)]
enum Rule {
    Always,
    If(Resolved),
}

impl Trigger {
    /// Reads `text`, whose probe is `watched` and is recorded as some of `classes`.
    ///
    /// # Errors
    /// If the filter does not apply to any event of the probe.
    pub(super) fn new(
        text: &str,
        limit: u32,
        watched: &[ResolvedProbe],
        classes: &[EventClass],
    ) -> Result<Arc<Self>> {
        let (probe, filter) = probe_and_filter(text);
        let filter = filter.map(Filter::parse).transpose()?;
        let mut rules: Vec<Option<Rule>> = classes.iter().map(|_| None).collect();
        let mut refused: Option<FilterError> = None;
        for class in classes {
            let mut probes = watched.iter();
            let Some(probe) = probes.find(|probe| probe.class.name == class.name) else {
                continue;
            };
            let rule = match &filter {
                None => Ok(Rule::Always),
                Some(filter) => match resolve(filter, class) {
                    Ok(filter) => Ok(Rule::If(ids::translate(filter, probe)?)),
                    Err(error) => Err(error),
                },
            };
            match rule {
                Ok(rule) => rules[class.id as usize] = Some(rule),
                // Entry and return of a call have different fields.
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        if rules.iter().all(Option::is_none) {
            let error = refused.map_or_else(|| anyhow!("no event of `{probe}`"), Into::into);
            return Err(error).with_context(|| format!("cannot watch for `{text}`"));
        }
        Ok(Arc::new(Self {
            rules,
            left: AtomicU32::new(limit),
            fired: Notify::new(),
        }))
    }

    /// Looks at an event of a recorded class.
    fn look(&self, event: &[u8], header: &EventHeader, cpu: u32) {
        let Some(Some(rule)) = self.rules.get(header.class as usize) else {
            return;
        };
        if !self.is_loaded() {
            return;
        }
        let fires = match rule {
            Rule::Always => true,
            Rule::If(filter) => filter.matches(event, &EventContext { cpu, comm: &comm }),
        };
        if fires {
            self.fired.notify_one();
        }
    }

    fn is_loaded(&self) -> bool {
        // Relaxed: no data depends on it; `fired` ignores an event too many.
        self.left.load(Ordering::Relaxed) > 0
    }

    /// Waits until it fires. Events at about the same time trigger one snapshot.
    pub(super) async fn fired(&self) {
        if !self.is_loaded() {
            return std::future::pending().await;
        }
        self.fired.notified().await;
        // Relaxed: as above.
        self.left.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Shows the events of one CPU to the trigger.
pub(super) struct TriggerObserver {
    trigger: Arc<Trigger>,
    cpu: u32,
}

impl TriggerObserver {
    pub(super) fn new(trigger: &Arc<Trigger>, cpu: u32) -> Self {
        Self {
            trigger: Arc::clone(trigger),
            cpu,
        }
    }
}

impl Observer for TriggerObserver {
    fn wants(&self, class: u32) -> bool {
        let rule = self.trigger.rules.get(class as usize);
        rule.is_some_and(Option::is_some)
    }

    fn see(&mut self, event: &[u8], header: &EventHeader) {
        self.trigger.look(event, header, self.cpu);
    }
}

/// The filter for the events of `class`, whose fields may have the names that the kernel has
/// for them, which come first, or those in the trace.
fn resolve(filter: &Filter, class: &EventClass) -> Result<Resolved, FilterError> {
    let by_kernel_names =
        lttng::with_kernel_fields(class).and_then(|class| filter.resolve(&class).ok());
    by_kernel_names.map_or_else(|| filter.resolve(class), Ok)
}

/// The present name of an event's thread, if that still runs.
fn comm<'a>(header: &EventHeader) -> Option<Cow<'a, [u8]>> {
    let tid = id_in_proc(header.tid)?;
    let mut name = fs::read(format!("/proc/{tid}/comm")).ok()?;
    if name.last() == Some(&b'\n') {
        name.pop();
    }
    Some(name.into())
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context as Task, Waker};

    use super::*;

    fn trigger(limit: u32) -> Trigger {
        Trigger {
            rules: vec![Some(Rule::Always)],
            left: AtomicU32::new(limit),
            fired: Notify::new(),
        }
    }

    fn look(trigger: &Trigger) {
        let header = EventHeader {
            timestamp_ns: 1,
            class: 0,
            tid: 1,
            pid: 1,
            size: 24,
        };
        trigger.look(&[0; 24], &header, 0);
    }

    fn has_fired(trigger: &Trigger) -> bool {
        pin!(trigger.fired())
            .poll(&mut Task::from_waker(Waker::noop()))
            .is_ready()
    }

    #[test]
    fn events_at_the_same_time_trigger_one_snapshot() {
        let trigger = trigger(2);
        for _ in 0..2 {
            for _ in 0..3 {
                look(&trigger);
            }
            assert!(has_fired(&trigger));
            assert!(!has_fired(&trigger));
        }
    }

    #[test]
    fn it_fires_at_most_as_often_as_its_limit() {
        let trigger = trigger(1);
        look(&trigger);
        assert!(has_fired(&trigger));
        look(&trigger);
        assert!(!has_fired(&trigger));
    }
}
