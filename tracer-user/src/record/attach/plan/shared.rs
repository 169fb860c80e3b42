//! Functions that share a program and an attachment, if the kernel can do that (kprobe-multi,
//! and kprobe-session for returns).
//!
//! A function that shares its program with no other is attached that way, too: it is cheaper
//! than a breakpoint, and than the two programs and the map of calls that a return needs. If
//! the kernel refuses, each function is attached alone.

use std::borrow::Cow;
use std::collections::HashMap;

use tracer_common::{FunctionCookie, RETURN_SLOT_LEN};

use crate::probe::fetch::registers::returned;
use crate::probe::fetch::{Fetch, Layout};
use crate::probe::filter::Condition;
use crate::probe::{AttachPoint, FunctionTarget, ResolvedProbe, Stacks};
use crate::record::attach::plan::single::{name, subject};
use crate::record::attach::plan::{
    Attachment, Filter, Misses, OnRefusal, Planner, ProbedFunction, ProgramPlan, Step, Template,
    Values,
};

/// Functions that one program serves.
pub(super) struct Group<'p> {
    edge: Edge,
    /// What the program fetches of each function.
    fetched: Cow<'p, Layout>,
    pub(super) rows: Vec<usize>,
    functions: Vec<ProbedFunction<'p>>,
}

/// When events of a function happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Edge {
    Entry,
    Return,
}

/// Functions with equal keys share a program: it fetches the same of them, up to types, and
/// decides the same about their events.
#[derive(PartialEq, Eq, Hash)]
struct Key<'p> {
    edge: Edge,
    strings: Vec<Fetch>,
    filter: Option<&'p Condition>,
    stacks: Stacks,
    throttled: bool,
    /// The row of a function that shares its program with no other.
    alone: Option<usize>,
}

impl<'p> Planner<'_, 'p> {
    /// The groups of all functions that can be attached in groups on this kernel.
    pub(super) fn groups(&self) -> Vec<Group<'p>> {
        let mut groups: Vec<Group<'p>> = Vec::new();
        let mut by_key: HashMap<Key<'p>, usize> = HashMap::new();
        for (row, probe) in self.probes.iter().enumerate() {
            let Some(candidate) = candidate(probe).filter(|it| self.supports(it.edge)) else {
                continue;
            };
            let strings = candidate.fetched.strings.iter();
            let key = Key {
                edge: candidate.edge,
                strings: strings.map(|value| value.fetch.clone()).collect(),
                filter: probe.filter.as_ref(),
                stacks: probe.stacks,
                throttled: self.is_throttled(probe),
                alone: candidate.alone.then_some(row),
            };
            let index = *by_key.entry(key).or_insert_with(|| {
                groups.push(Group {
                    edge: candidate.edge,
                    fetched: candidate.fetched,
                    rows: Vec::new(),
                    functions: Vec::new(),
                });
                groups.len() - 1
            });
            groups[index].rows.push(row);
            groups[index].functions.push(candidate.function);
        }
        groups
    }

    fn supports(&self, edge: Edge) -> bool {
        match edge {
            Edge::Entry => self.supported.kprobe_multi,
            Edge::Return => self.supported.kprobe_session,
        }
    }

    /// The program of a group, and those that are attached instead if the kernel refuses it.
    pub(super) fn shared(&self, group: Group<'p>) -> Step<'p> {
        let first = group.rows[0];
        let probe = &self.probes[first];
        let (template, shared_name) = match group.edge {
            Edge::Entry => (Template::Function, "functions"),
            Edge::Return => (Template::Session, "returns"),
        };
        let (subject, name, misses) = match group.rows.len() - 1 {
            0 => (subject(probe), name(probe), Misses::Event(probe.class.id)),
            others => (
                format!("{} and {others} more", subject(probe)),
                shared_name.to_owned(),
                Misses::FunctionEvent,
            ),
        };
        let program = ProgramPlan {
            subject,
            name,
            template,
            attachment: match group.edge {
                Edge::Entry => Attachment::KprobeMulti(group.functions),
                Edge::Return => Attachment::KprobeSession(group.functions),
            },
            row: first,
            cookie: 0,
            fetched: (!group.fetched.is_empty()).then_some(Values::Listed(group.fetched)),
            filter: self.filter(probe).map_or(Filter::None, Filter::One),
            misses,
        };
        let instead = group.rows.iter().filter_map(|&row| self.single(row));
        Step {
            on_refusal: OnRefusal::Instead(instead.collect()),
            rows: group.rows,
            programs: vec![program],
        }
    }
}

/// A function that can be attached in a group.
struct Candidate<'p> {
    function: ProbedFunction<'p>,
    edge: Edge,
    fetched: Cow<'p, Layout>,
    /// It shares its program with no other function.
    alone: bool,
}

fn candidate(probe: &ResolvedProbe) -> Option<Candidate<'_>> {
    let AttachPoint::Function {
        target,
        layout,
        entry,
    } = &probe.attach_point
    else {
        return None;
    };
    let function = |symbol, unused_tail| ProbedFunction {
        symbol,
        cookie: FunctionCookie {
            class: probe.class.id,
            unused_tail,
        },
    };
    match target {
        FunctionTarget::Kprobe {
            symbol,
            offset: 0,
            uniform,
        } => Some(Candidate {
            function: function(symbol, 0),
            edge: Edge::Entry,
            fetched: Cow::Borrowed(layout),
            alone: !uniform,
        }),
        // The 8 bytes that the kernel keeps for a call have no room for values from its entry.
        FunctionTarget::Kretprobe { symbol } if entry.as_ref().is_none_or(Layout::is_empty) => {
            let result = result(layout);
            // The missed events of a function that the user named are reported by its name.
            let alone = probe.explicit || result.is_none();
            let fetched = result.unwrap_or_else(|| Cow::Owned(in_slots(layout)));
            let unused_tail = fetched.fixed_len().map_or(0, |len| len - layout.len) as u8;
            Some(Candidate {
                function: function(symbol, unused_tail),
                edge: Edge::Return,
                fetched,
                alone,
            })
        }
        _ => None,
    }
}

/// What a program fetches of many functions that return, if `layout` is the payload of one of
/// them: the whole register with the result, whatever its type, or the string that it points
/// to.
fn result(layout: &Layout) -> Option<Cow<'_, Layout>> {
    let result = returned();
    match (&layout.fixed[..], &layout.strings[..]) {
        ([], [_]) => Some(Cow::Borrowed(layout)),
        ([], []) => Some(Cow::Owned(Layout::new(&[result]))),
        ([(_, own)], []) if own.fetch == result.fetch => Some(Cow::Owned(Layout::new(&[result]))),
        _ => None,
    }
}

/// The same values with room to the end of the last slot, as programs for returns reserve it.
fn in_slots(layout: &Layout) -> Layout {
    let len = layout
        .fixed_len()
        .map(|len| len.next_multiple_of(RETURN_SLOT_LEN));
    Layout {
        len: len.unwrap_or(layout.len),
        ..layout.clone()
    }
}
