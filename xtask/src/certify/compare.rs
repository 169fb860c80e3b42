//! Compares the events that were recorded both ways.
//!
//! At a tracepoint, the program of the recipe runs first, then that of perf's tracepoint, on the
//! same CPU and in the same thread. An interrupt between the two can have events of the same
//! class, which are then nested: the latest event of the recipe belongs to the next one of perf.
//! The kernel skips perf's programs in interrupts of others, so some events of recipes have no
//! partner.

use std::collections::BTreeMap;

/// Classes of recipes have the names of perf's with this before them.
const PREFIX: &str = "recipe:";

/// The longest time between the two events of a pair. Emulated machines take their time.
const MAX_GAP_NS: u64 = 20_000_000;

/// The most events of a recipe that can wait for their partners, on one CPU.
const MAX_WAITING: usize = 64;

/// What came of the events of a class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Compared {
    /// Pairs that are equal in every field.
    pub(super) equal: u64,
    /// Pairs that are not.
    pub(super) different: u64,
    /// The first of these.
    pub(super) example: Option<(String, String)>,
    /// Events of perf without a partner.
    pub(super) only_perf: u64,
    /// Events of the recipe without a partner.
    pub(super) only_recipe: u64,
}

impl Compared {
    /// Whether the recipe yields the events of perf. A value may have changed between the two
    /// programs once in a while, and the first and the last event of a recording may be alone.
    pub(super) fn agrees(&self, at_least: u64) -> bool {
        self.equal >= at_least
            && self.different * 1000 <= self.equal
            && self.only_perf * 1000 <= self.equal + 2000
    }
}

/// An event as a line of JSON, taken apart.
struct Event<'a> {
    time: u64,
    cpu: u32,
    class: &'a str,
    /// Its thread and its fields.
    content: (&'a str, &'a str),
}

impl<'a> Event<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let rest = line.strip_prefix("{\"timestamp_ns\":")?;
        let (time, rest) = rest.split_once(",\"cpu\":")?;
        let (cpu, rest) = rest.split_once(',')?;
        let thread = rest.find(",\"tid\":")?;
        let name = rest.find(",\"name\":\"")?;
        let (class, fields) = rest[name + ",\"name\":\"".len()..].split_once('"')?;
        Some(Self {
            time: time.parse().ok()?,
            cpu: cpu.parse().ok()?,
            class,
            content: (rest.get(thread..name)?, fields),
        })
    }
}

/// An event of a recipe without its partner.
struct Waiting {
    time: u64,
    thread: String,
    fields: String,
}

/// Compares the lines of `tracer report --json`, by the name of perf's class.
pub(super) fn compare<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeMap<String, Compared> {
    let mut all: BTreeMap<String, Compared> = BTreeMap::new();
    let mut waiting: BTreeMap<(u32, String), Vec<Waiting>> = BTreeMap::new();
    for event in lines.filter_map(Event::parse) {
        let (thread, fields) = event.content;
        if let Some(class) = event.class.strip_prefix(PREFIX) {
            let stack = waiting.entry((event.cpu, class.to_owned())).or_default();
            if stack.len() == MAX_WAITING {
                stack.remove(0);
                all.entry(class.to_owned()).or_default().only_recipe += 1;
            }
            stack.push(Waiting {
                time: event.time,
                thread: thread.to_owned(),
                fields: fields.to_owned(),
            });
            continue;
        }
        let compared = all.entry(event.class.to_owned()).or_default();
        let stack = waiting
            .entry((event.cpu, event.class.to_owned()))
            .or_default();
        // Those that are too old have no partner.
        let before = stack.len();
        stack.retain(|recipe| event.time - recipe.time.min(event.time) <= MAX_GAP_NS);
        compared.only_recipe += (before - stack.len()) as u64;
        let is_equal = |recipe: &Waiting| recipe.thread == thread && recipe.fields == fields;
        if let Some(index) = stack.iter().rposition(is_equal) {
            stack.remove(index);
            compared.equal += 1;
        } else if let Some(recipe) = stack.pop() {
            compared.different += 1;
            compared
                .example
                .get_or_insert((recipe.fields, fields.to_owned()));
        } else {
            compared.only_perf += 1;
        }
    }
    for ((_, class), stack) in waiting {
        all.entry(class).or_default().only_recipe += stack.len() as u64;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(time: u64, cpu: u32, name: &str, value: u32) -> String {
        format!(
            "{{\"timestamp_ns\":{time},\"cpu\":{cpu},\"comm\":\"a,\\\"name\\\":\\\"b\",\"tid\":7,\
             \"pid\":7,\"name\":\"{name}\",\"fields\":{{\"x\":{value}}}}}"
        )
    }

    fn compared(events: &[(u64, u32, &str, u32)]) -> Compared {
        let lines: Vec<String> = events
            .iter()
            .map(|&(time, cpu, name, value)| line(time, cpu, name, value))
            .collect();
        let mut all = compare(lines.iter().map(String::as_str));
        assert_eq!(all.len(), 1);
        all.remove("a:b").unwrap()
    }

    #[test]
    fn equal_events_are_pairs_on_each_cpu() {
        let found = compared(&[
            (1, 0, "recipe:a:b", 5),
            (2, 1, "recipe:a:b", 6),
            (3, 0, "a:b", 5),
            (4, 1, "a:b", 6),
        ]);
        let expected = Compared {
            equal: 2,
            ..Compared::default()
        };
        assert_eq!(found, expected);
        assert!(found.agrees(2) && !found.agrees(3));
    }

    #[test]
    fn an_event_of_an_interrupt_is_within_another_pair() {
        let found = compared(&[
            (1, 0, "recipe:a:b", 5),
            (2, 0, "recipe:a:b", 6),
            (3, 0, "a:b", 6),
            (4, 0, "a:b", 5),
        ]);
        assert_eq!((found.equal, found.different), (2, 0));
    }

    #[test]
    fn a_different_value_is_an_example() {
        let found = compared(&[(1, 0, "recipe:a:b", 5), (3, 0, "a:b", 6)]);
        assert_eq!((found.equal, found.different), (0, 1));
        let (recipe, perf) = found.example.clone().unwrap();
        assert!(recipe.contains("\"x\":5") && perf.contains("\"x\":6"));
        assert!(!found.agrees(0));
    }

    #[test]
    fn an_event_that_perf_skipped_has_no_partner() {
        let found = compared(&[
            (1, 0, "recipe:a:b", 5),
            (MAX_GAP_NS * 2, 0, "recipe:a:b", 6),
            (MAX_GAP_NS * 2 + 1, 0, "a:b", 6),
        ]);
        assert_eq!((found.equal, found.only_recipe, found.only_perf), (1, 1, 0));
    }
}
