//! Functions of the kernel: which share a program.

use std::slice::from_ref;

use super::*;

/// A function that a pattern matched; its payload is the registers.
fn entered() -> ResolvedProbe {
    kprobe(0, true)
}

fn kprobe(offset: u64, uniform: bool) -> ResolvedProbe {
    let target = FunctionTarget::Kprobe {
        symbol: "f".to_owned(),
        offset,
        uniform,
    };
    function(target, &[number(Base::Argument(0), 8)], None)
}

fn returns(fetched: &[Fetched], entry: &[Fetched]) -> ResolvedProbe {
    let symbol = "f".to_owned();
    function(FunctionTarget::Kretprobe { symbol }, fetched, Some(entry))
}

fn returns_number() -> ResolvedProbe {
    returns(&[number(Base::Return, 4)], &[])
}

/// Of the only function of the first program.
fn unused_tail(probe: &ResolvedProbe) -> u8 {
    let plan = plan(from_ref(probe), ALL);
    match &plan.steps[0].programs[0].attachment {
        Attachment::KprobeSession(functions) => functions[0].cookie.unused_tail,
        other => panic!("{other} has no slots"),
    }
}

#[test]
fn entries_share_a_program_and_returns_another() {
    let probes = numbered(vec![
        entered(),
        returns_number(),
        entered(),
        returns_number(),
    ]);
    let plan = plan(&probes, ALL);
    assert_eq!(rows(&plan), [[0, 2], [1, 3]]);
    let [entries, returns] = [0, 1].map(|step: usize| &plan.steps[step].programs[..]);
    assert_eq!(entries.len() + returns.len(), 2);
    assert_eq!(entries[0].template, Template::Function);
    assert_eq!(returns[0].template, Template::Session);
    let Attachment::KprobeMulti(functions) = &entries[0].attachment else {
        panic!("{}", entries[0].attachment);
    };
    let classes: Vec<u32> = functions.iter().map(|it| it.cookie.class).collect();
    assert_eq!(classes, [0, 2]);
    assert!(matches!(
        returns[0].attachment,
        Attachment::KprobeSession(_)
    ));
    assert_eq!(entries[0].misses, Misses::FunctionEvent);
    assert_eq!(entries[0].subject, "`probe:0` and 1 more");
    assert_eq!(
        (&entries[0].name[..], &returns[0].name[..]),
        ("functions", "returns")
    );
}

#[test]
fn a_refused_group_is_attached_one_by_one() {
    let probes = numbered(vec![
        entered(),
        returns_number(),
        entered(),
        returns_number(),
    ]);
    let plan = plan(&probes, ALL);
    let entries = instead(&plan.steps[0]);
    assert!(
        entries
            .iter()
            .map(|step| &step.rows[..])
            .eq([&[0][..], &[2]])
    );
    let kprobe = Attachment::Kprobe {
        symbol: "f",
        offset: 0,
    };
    assert!(
        entries
            .iter()
            .all(|step| step.programs[0].attachment == kprobe)
    );
    assert_eq!(entries[1].programs[0].cookie, 2);
    for step in instead(&plan.steps[1]) {
        assert_eq!(templates(step), [Template::Return, Template::Entry]);
        assert_eq!(
            step.programs[0].attachment,
            Attachment::Kretprobe { symbol: "f" }
        );
        assert_eq!(step.programs[1].attachment, kprobe);
        assert!(matches!(step.on_refusal, OnRefusal::LeaveOut));
    }
    // 2 for entries, 4 for returns.
    assert_eq!(plan.max_programs(), 6);
}

#[test]
fn a_kernel_without_groups_gets_a_program_per_function() {
    let probes = [entered(), returns_number(), entered()];
    let plan = plan(&probes, NONE);
    assert_eq!(rows(&plan), [[0], [1], [2]]);
    assert_eq!(
        templates(&plan.steps[1]),
        [Template::Return, Template::Entry]
    );
}

#[test]
fn a_kernel_without_sessions_still_shares_entries() {
    let probes = [entered(), returns_number(), entered()];
    let supported = Supported {
        kprobe_session: false,
        ..ALL
    };
    assert_eq!(rows(&plan(&probes, supported)), [vec![0, 2], vec![1]]);
}

#[test]
fn functions_of_a_group_have_the_same_stacks_and_throttling() {
    let mut probes = numbered((0..4).map(|_| returns_number()).collect());
    let throttles: Vec<Throttle> = [None, None, Some(2)]
        .map(|every| Throttle { every, limit: None })
        .to_vec();
    let origin = Origin::default();
    let settings = Settings {
        throttles: &throttles,
        ..settings(&origin)
    };
    let by_throttle = AttachPlan::new(&settings, &probes, ALL).unwrap();
    assert_eq!(rows(&by_throttle), [vec![0, 1, 3], vec![2]]);
    probes[1].stacks.kernel = true;
    probes[3].stacks.kernel = true;
    assert_eq!(rows(&plan(&probes, ALL)), [[0, 2], [1, 3]]);
}

#[test]
fn functions_of_a_group_have_the_same_filter() {
    use crate::probe::filter::{Condition, NumberSource, NumberTest, NumberType, Relation};
    let pid = |value| {
        Some(Condition::Number(NumberTest {
            source: NumberSource::Pid,
            ty: NumberType {
                size_bits: 32,
                signed: false,
            },
            mask: None,
            relation: Relation::Equal,
            value,
        }))
    };
    let mut probes = [(); 4].map(|()| entered());
    probes[1].filter = pid(7);
    probes[2].filter = pid(8);
    probes[3].filter = pid(7);
    assert_eq!(rows(&plan(&probes, ALL)), [vec![0], vec![1, 3], vec![2]]);
}

#[test]
fn a_function_alone_is_a_group_but_an_instruction_inside_one_is_not() {
    let probes = numbered(vec![
        kprobe(0, false),
        kprobe(4, false),
        entered(),
        returns_number(),
    ]);
    let plan = plan(&probes, ALL);
    assert_eq!(rows(&plan), [[0], [2], [3], [1]]);
    let attachments = plan
        .steps
        .iter()
        .map(|step| step.programs[0].attachment.to_string());
    let expected = [
        "kprobe-multi of 1",
        "kprobe-multi of 1",
        "kprobe-session of 1",
        "kprobe f+0x4",
    ];
    assert!(attachments.eq(expected));
    assert_eq!(plan.steps[0].programs[0].misses, Misses::Event(0));
}

#[test]
fn events_end_after_the_fetched_values() {
    let result = |bytes| returns(&[number(Base::Return, bytes)], &[]);
    let tails = [8, 4, 1].map(|bytes| unused_tail(&result(bytes)));
    assert_eq!(tails, [0, 4, 7]);
    // A function that returns nothing.
    assert_eq!(unused_tail(&returns(&[], &[])), 8);
    // A string has its own end.
    assert_eq!(unused_tail(&returns(&[string()], &[])), 0);
}

#[test]
fn results_share_a_program_whatever_their_size_but_strings_have_another() {
    let probes = [
        returns(&[], &[]),
        returns(&[string()], &[]),
        returns_number(),
        returns(&[number(Base::Return, 8)], &[]),
        returns(&[string()], &[]),
        returns(&[number(Base::Return, 8), string()], &[]),
    ];
    assert_eq!(
        rows(&plan(&probes, ALL)),
        [vec![0, 2, 3], vec![1, 4], vec![5]]
    );
}

#[test]
fn more_than_a_result_needs_its_own_program() {
    let ret = number(Base::Return, 8);
    let low = number(Base::Return, 1);
    let more = [
        returns(&[ret.clone(), low], &[]),
        returns(&[ret.clone(), ret.clone()], &[]),
        returns(&[ret, string()], &[]),
    ];
    let plan = plan(&more, ALL);
    let fetched = |step: &Step<'_>| match &step.programs[0].fetched {
        Some(Values::Listed(layout)) => Some(layout.len),
        _ => None,
    };
    let found = plan.steps.iter().map(|step| (step.rows[0], fetched(step)));
    // The string comes after its mask of faults, too.
    let slots = [(0, Some(16)), (1, Some(16)), (2, Some(16))];
    assert_eq!(found.collect::<Vec<_>>(), slots);
    assert_eq!(more.each_ref().map(unused_tail), [7, 0, 0]);
}

#[test]
fn values_kept_from_an_entry_need_the_map_of_calls() {
    let (ret, argument) = (number(Base::Return, 8), number(Base::Argument(0), 8));
    let probes = [returns(from_ref(&ret), from_ref(&argument))];
    let plan = plan(&probes, ALL);
    assert_eq!(
        templates(&plan.steps[0]),
        [Template::Return, Template::Entry]
    );
}

#[test]
fn a_return_that_the_user_named_has_its_own_program() {
    let probes = [
        named(returns_number()),
        returns_number(),
        named(returns_number()),
        returns_number(),
    ];
    assert_eq!(rows(&plan(&probes, ALL)), [vec![0], vec![1, 3], vec![2]]);
}
