//! System calls: which programs they share, and how their filters are numbered.

use tracer_common::{CallSpec, SyscallSpec};

use super::*;
use crate::probe::filter::{Condition, NumberSource, NumberTest, NumberType, Relation};

fn syscall(nr: u32, entry: bool) -> ResolvedProbe {
    let spec = SyscallSpec {
        enabled: 1,
        ..SyscallSpec::default()
    };
    at(AttachPoint::Syscall { nr, entry, spec })
}

fn uid_is(value: u64) -> Condition {
    Condition::Number(NumberTest {
        source: NumberSource::Uid,
        ty: NumberType {
            size_bits: 32,
            signed: false,
        },
        mask: None,
        relation: Relation::Equal,
        value,
    })
}

#[test]
fn entries_share_a_program_and_exits_another() {
    let probes = numbered(vec![
        syscall(0, true),
        syscall(0, false),
        syscall(1, true),
        at(AttachPoint::RawSyscall { entry: true }),
        tracepoint(7, "a"),
    ]);
    let plan = plan(&probes, NONE);
    let found: Vec<_> = plan
        .steps
        .iter()
        .map(|step| (templates(step), &step.rows[..]))
        .collect();
    let expected = [
        (vec![Template::Tracepoint], &[4][..]),
        (vec![Template::SysEnter], &[0, 2]),
        (vec![Template::SysExit], &[1]),
        (vec![Template::RawSysEnter], &[3]),
    ];
    assert_eq!(found, expected);
    let program = &plan.steps[1].programs[0];
    assert_eq!(
        program.attachment,
        Attachment::TypedRawTracepoint { name: "sys_enter" }
    );
    assert_eq!(program.misses, Misses::SyscallEvent);
    let table = plan
        .syscalls
        .iter()
        .map(|row| (row.nr, row.entry, row.spec.class));
    assert!(table.eq([(0, true, 0), (1, true, 2), (0, false, 1)]));
}

#[test]
fn whole_calls_share_a_program_for_entries_and_one_for_returns() {
    let call = |nr| {
        let spec = CallSpec::default();
        at(AttachPoint::Call { nr, spec })
    };
    let mut probes = numbered(vec![call(3), tracepoint(7, "a"), call(5)]);
    probes[2].filter = Some(uid_is(0));
    let plan = plan(&probes, NONE);
    let step = &plan.steps[1];
    assert_eq!(templates(step), [Template::CallExit, Template::CallEnter]);
    assert_eq!(step.rows, [0, 2]);
    assert!(matches!(step.on_refusal, OnRefusal::Fail));
    let table = plan.calls.iter();
    let table = table.map(|row| (row.nr, row.spec.class, row.spec.filter));
    assert!(table.eq([(3, 0, 0), (5, 2, 1)]));
}

#[test]
fn equal_filters_have_one_number_and_calls_without_one_have_0() {
    let mut probes = numbered((0..4).map(|nr| syscall(nr, true)).collect());
    probes[1].filter = Some(uid_is(0));
    probes[2].filter = Some(uid_is(1));
    probes[3].filter = Some(uid_is(0));
    let plan = plan(&probes, NONE);
    let numbers = plan.syscalls.iter().map(|row| row.spec.filter);
    assert!(numbers.eq([0, 1, 2, 1]));
    let Filter::Numbered { first: 1, filters } = &plan.steps[0].programs[0].filter else {
        panic!("no numbered filters");
    };
    assert_eq!(filters.len(), 2);
}

#[test]
fn a_restricted_origin_filters_every_call() {
    let probes = numbered(vec![syscall(0, true), syscall(1, true)]);
    let origin = Origin {
        condition: Some(uid_is(0)),
        cgroup: None,
    };
    let plan = AttachPlan::new(&settings(&origin), &probes, NONE).unwrap();
    assert!(plan.syscalls.iter().map(|row| row.spec.filter).eq([1, 1]));
}

#[test]
fn filters_of_raw_system_calls_count_from_0() {
    let mut probe = at(AttachPoint::RawSyscall { entry: true });
    probe.filter = Some(uid_is(0));
    let probes = [probe];
    let plan = plan(&probes, NONE);
    let filter = &plan.steps[0].programs[0].filter;
    assert!(matches!(filter, Filter::Numbered { first: 0, filters } if filters.len() == 1));
}

#[test]
fn too_many_different_filters_are_an_error() {
    let probe = |value| ResolvedProbe {
        filter: Some(uid_is(value)),
        ..syscall(value as u32, true)
    };
    let probes: Vec<_> = (0..256).map(probe).collect();
    let origin = Origin::default();
    let plan_of = |probes| AttachPlan::new(&settings(&origin), probes, NONE);
    assert_eq!(
        plan_of(&probes[..255]).unwrap().syscalls[254].spec.filter,
        255
    );
    assert_eq!(plan_of(&probes).unwrap_err(), TooManyFilters);
}

#[test]
fn a_row_has_the_stacks_and_the_throttle_of_its_class() {
    let mut probes = numbered(vec![syscall(0, true), syscall(1, true)]);
    probes[0].stacks.user = true;
    let throttles = [
        Throttle::default(),
        Throttle {
            every: Some(2),
            limit: None,
        },
    ];
    let origin = Origin::default();
    let settings = Settings {
        throttles: &throttles,
        ..settings(&origin)
    };
    let plan = AttachPlan::new(&settings, &probes, NONE).unwrap();
    let found = plan
        .syscalls
        .iter()
        .map(|row| (row.spec.flags, row.spec.throttled));
    let user = tracer_common::spec_flags::USER_STACK as u8;
    assert!(found.eq([(user, 0), (0, 1)]));
}
