//! Looks whether an event is what a filter asks for.

use std::borrow::Cow;

use tracer_common::EventHeader;

use crate::names::glob;
use crate::probe::filter::resolved::{
    Condition, NumberSource, NumberTest, Resolved, TextCheck, TextSource, TextTest,
};
use crate::trace::Value;

/// What is known about an event that is not in its bytes.
#[derive(Clone, Copy)]
pub struct EventContext<'a> {
    /// Where it happened.
    pub cpu: u32,
    /// Finds the name of the event's thread; asked only by filters that look at `comm`.
    /// `None` where nobody knows it.
    pub comm: &'a dyn Fn(&EventHeader) -> Option<Cow<'a, [u8]>>,
}

impl Resolved {
    /// Whether the filter holds for an event, as it lies in the ring.
    ///
    /// It does not hold for events of another class, nor for one that is cut short. A
    /// value that the event does not have, or a name that nobody knows, is neither equal
    /// to anything nor different from it: a filter that has to look at one, from left to
    /// right, does not hold.
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
