//! Conditions on the ids of processes and threads, which depend on a PID namespace.

use crate::probe::filter::resolved::{Condition, NumberSource, NumberTest, Resolved};
use crate::probe::filter::syntax::Relation;

/// A number of an event that may be the id of a process or thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdSource {
    /// The process in which it happens.
    Pid,
    /// The thread.
    Tid,
    /// A field, by its index in the class.
    Field(usize),
}

/// A comparison of such a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdTest {
    /// What is compared.
    pub source: IdSource,
    /// The id that it is compared with. `None`: it is not compared for equality with one id.
    pub id: Option<u32>,
}

impl IdTest {
    fn of(test: &NumberTest) -> Option<Self> {
        let source = match test.source {
            NumberSource::Pid => IdSource::Pid,
            NumberSource::Tid => IdSource::Tid,
            NumberSource::Field { index, .. } => IdSource::Field(index),
            _ => return None,
        };
        let is_one =
            test.mask.is_none() && matches!(test.relation, Relation::Equal | Relation::NotEqual);
        Some(Self {
            source,
            id: u32::try_from(test.value).ok().filter(|_| is_one),
        })
    }
}

impl Condition {
    /// Replaces the ids that numbers of events are compared with. `replace` returns `None` for a
    /// number that is not an id.
    ///
    /// # Errors
    /// Those of `replace`.
    pub fn replace_ids<E>(
        &mut self,
        replace: &mut impl FnMut(IdTest) -> Result<Option<u32>, E>,
    ) -> Result<(), E> {
        match self {
            Self::Any(parts) | Self::All(parts) => {
                let mut parts = parts.iter_mut();
                parts.try_for_each(|part| part.replace_ids(replace))
            }
            Self::Not(part) => part.replace_ids(replace),
            Self::Number(test) => {
                if let Some(id) = IdTest::of(test)
                    && let Some(new) = replace(id)?
                {
                    test.value = new.into();
                }
                Ok(())
            }
            Self::Text(_) => Ok(()),
        }
    }
}

impl Resolved {
    /// As [`Condition::replace_ids`].
    ///
    /// # Errors
    /// Those of `replace`.
    pub fn replace_ids<E>(
        &mut self,
        replace: &mut impl FnMut(IdTest) -> Result<Option<u32>, E>,
    ) -> Result<(), E> {
        self.condition.replace_ids(replace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::filter::Filter;
    use crate::trace::event::EventClass;

    fn condition(filter: &str) -> Condition {
        let class = EventClass {
            id: 0,
            name: String::new(),
            context: Vec::new(),
            fields: Vec::new(),
        };
        let filter = Filter::parse(filter).unwrap();
        filter.condition_of(&class).unwrap()
    }

    fn replaced(filter: &str) -> (Condition, Vec<IdTest>) {
        let mut condition = condition(filter);
        let mut seen = Vec::new();
        let mut replace = |test: IdTest| {
            seen.push(test);
            Ok::<_, ()>(test.id.map(|id| id + 1000))
        };
        condition.replace_ids(&mut replace).unwrap();
        (condition, seen)
    }

    #[test]
    fn ids_are_replaced_wherever_they_are() {
        let (new, seen) = replaced("cpu == 3 && !(pid == 42 || comm == \"a\") || tid != 43");
        let expected = "cpu == 3 && !(pid == 1042 || comm == \"a\") || tid != 1043";
        assert_eq!(new, condition(expected));
        let test = |source, id| IdTest {
            source,
            id: Some(id),
        };
        let expected = [test(IdSource::Pid, 42), test(IdSource::Tid, 43)];
        assert_eq!(seen, expected);
    }

    #[test]
    fn other_comparisons_have_no_single_id() {
        for filter in ["pid > 42", "pid & 1", "(pid & 3) == 1"] {
            let expected = IdTest {
                source: IdSource::Pid,
                id: None,
            };
            assert_eq!(replaced(filter).1, [expected], "{filter}");
        }
    }
}
