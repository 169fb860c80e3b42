//! Evaluates a filter on an event.

use std::borrow::Cow;

use tracer_common::EventHeader;

use crate::names::glob;
use crate::probe::filter::resolved::{
    Condition, NumberSource, NumberTest, Resolved, TextCheck, TextSource, TextTest,
};
use crate::trace::Value;

/// What is known about an event besides its bytes.
#[derive(Clone, Copy)]
pub struct EventContext<'a> {
    /// The CPU on which it fired.
    pub cpu: u32,
    /// Finds the name of the event's thread, `None` if it is unknown; called only by filters
    /// on `comm`.
    pub comm: &'a dyn Fn(&EventHeader) -> Option<Cow<'a, [u8]>>,
}

impl Resolved {
    /// Whether the filter holds for an event, as it lies in the ring.
    ///
    /// It does not hold for an event of another class, or one that is truncated. A missing
    /// value or an unknown name is neither equal to anything nor different from it: a filter
    /// that needs one, from left to right, does not hold.
    #[must_use]
    pub fn matches(&self, event: &[u8], context: &EventContext<'_>) -> bool {
        let Some(header) = EventHeader::read(event) else {
            return false;
        };
        let Some(event) = event.get(..header.size as usize) else {
            return false;
        };
        let look = Look {
            event,
            header,
            context,
        };
        header.class == self.class && look.condition(&self.condition) == Some(true)
    }
}

/// One event.
struct Look<'e, 'c> {
    event: &'e [u8],
    header: EventHeader,
    context: &'e EventContext<'c>,
}

impl Look<'_, '_> {
    fn condition(&self, condition: &Condition) -> Option<bool> {
        match condition {
            Condition::Any(parts) => {
                for part in parts {
                    if self.condition(part)? {
                        return Some(true);
                    }
                }
                Some(false)
            }
            Condition::All(parts) => {
                for part in parts {
                    if !self.condition(part)? {
                        return Some(false);
                    }
                }
                Some(true)
            }
            Condition::Not(part) => Some(!self.condition(part)?),
            Condition::Number(test) => self.number(test),
            Condition::Text(test) => self.text(test),
        }
    }

    fn number(&self, test: &NumberTest) -> Option<bool> {
        let found = match &test.source {
            NumberSource::Tid => u64::from(self.header.tid),
            NumberSource::Pid => u64::from(self.header.pid),
            NumberSource::Cpu => u64::from(self.context.cpu),
            NumberSource::Uid | NumberSource::Cgroup => return None,
            NumberSource::Field { place, .. } => match place.read(self.event)? {
                Value::Number(number) => number.raw,
                _ => return None,
            },
        };
        let ordering = if test.is_signed() {
            (found as i64).cmp(&(test.value as i64))
        } else {
            (found & test.mask.unwrap_or(u64::MAX)).cmp(&test.value)
        };
        Some(test.relation.holds(ordering))
    }

    fn text(&self, test: &TextTest) -> Option<bool> {
        let found = match &test.source {
            TextSource::Comm => (self.context.comm)(&self.header)?,
            TextSource::Field { place, .. } => match place.read(self.event)? {
                Value::Text(bytes) => Cow::Borrowed(bytes),
                _ => return None,
            },
        };
        Some(match &test.check {
            TextCheck::Equal(wanted) => *found == *wanted.as_bytes(),
            TextCheck::NotEqual(refused) => *found != *refused.as_bytes(),
            TextCheck::Glob(pattern) => glob::matches(pattern.as_bytes(), found),
        })
    }
}

#[cfg(test)]
#[path = "eval_tests.rs"]
mod tests;
