//! Plans, without a kernel: which probes share a program, how it is attached, and what is
//! attached instead.

mod functions;
mod syscalls;

use std::path::Path;

use super::*;
use crate::probe::fetch::{Base, Fetch, Fetched, Layout, Load, Memory};
use crate::probe::{AttachPoint, FunctionTarget, Stacks, UserPlace};
use crate::record::attach::{Origin, Processes, Throttle};
use crate::trace::event::{Display, EventClass, Field, FieldType, IntegerType};

const ALL: Supported = Supported {
    kprobe_multi: true,
    kprobe_session: true,
};
const NONE: Supported = Supported {
    kprobe_multi: false,
    kprobe_session: false,
};

fn settings(origin: &Origin) -> Settings<'_> {
    Settings {
        object: &[],
        sys: Path::new("/sys"),
        ring_bytes: 4096,
        cpu_count: 1,
        cpus: &[0],
        all_cpus: true,
        excluded_pid: None,
        processes: Processes::default(),
        throttles: &[],
        contexts: &[],
        origin,
        log: false,
    }
}

fn plan(probes: &[ResolvedProbe], supported: Supported) -> AttachPlan<'_> {
    AttachPlan::new(&settings(&Origin::default()), probes, supported).unwrap()
}

/// The steps that are taken if the kernel refuses the first ones.
fn instead<'a, 'p>(step: &'a Step<'p>) -> &'a [Step<'p>] {
    match &step.on_refusal {
        OnRefusal::Instead(steps) => steps,
        other => panic!("no fallback but {other:?}"),
    }
}

fn templates(step: &Step<'_>) -> Vec<Template> {
    step.programs
        .iter()
        .map(|program| program.template)
        .collect()
}

fn rows(plan: &AttachPlan<'_>) -> Vec<Vec<usize>> {
    plan.steps.iter().map(|step| step.rows.clone()).collect()
}

/// Numbers the classes of probes, and names them.
fn numbered(mut probes: Vec<ResolvedProbe>) -> Vec<ResolvedProbe> {
    for (id, probe) in (0..).zip(&mut probes) {
        probe.class.id = id;
        probe.class.name = format!("probe:{id}");
    }
    probes
}

/// A probe that a pattern matched.
fn at(attach_point: AttachPoint) -> ResolvedProbe {
    ResolvedProbe {
        class: EventClass {
            id: 0,
            name: String::new(),
            context: Vec::new(),
            fields: Vec::new(),
        },
        attach_point,
        sources: Vec::new(),
        filter: None,
        stacks: Stacks::default(),
        explicit: false,
        request: 0,
        notes: Vec::new(),
    }
}

fn named(probe: ResolvedProbe) -> ResolvedProbe {
    ResolvedProbe {
        explicit: true,
        ..probe
    }
}

fn value(base: Base, ty: FieldType, load: Load) -> Fetched {
    let name = "value".to_owned();
    Fetched {
        field: Field { name, ty },
        fetch: Fetch {
            base,
            steps: Vec::new(),
            load,
        },
    }
}

/// A number of `bytes` in the register `base`.
fn number(base: Base, bytes: u16) -> Fetched {
    let ty = IntegerType::natural(bytes, true, Display::Decimal);
    value(base, FieldType::Integer(ty), Load::Itself)
}

fn string() -> Fetched {
    let load = Load::String {
        offset: 0,
        memory: Memory::Kernel,
    };
    value(Base::Return, FieldType::String, load)
}

fn function(
    target: FunctionTarget,
    fetched: &[Fetched],
    entry: Option<&[Fetched]>,
) -> ResolvedProbe {
    at(AttachPoint::Function {
        target,
        layout: Layout::new(fetched),
        entry: entry.map(Layout::new),
    })
}

fn tracepoint(id: u32, name: &str) -> ResolvedProbe {
    at(AttachPoint::Tracepoint {
        system: "sched".to_owned(),
        name: name.to_owned(),
        id,
        spec: Box::new(ProbeSpec::EMPTY),
        fetched: Layout::default(),
        recipe: None,
    })
}

#[test]
fn a_tracepoint_has_its_own_program_at_perfs_tracepoint() {
    let probes = numbered(vec![tracepoint(7, "a"), named(tracepoint(8, "b"))]);
    let plan = plan(&probes, ALL);
    let attachments = plan.steps.iter().map(|step| &step.programs[0].attachment);
    let expected = [7, 8].map(|id| Attachment::PerfTracepoint { id });
    assert!(attachments.eq(&expected));
    let program = &plan.steps[1].programs[0];
    assert_eq!(program.subject, "`probe:1`");
    assert_eq!(program.name, "probe_1");
    assert_eq!((program.row, program.cookie), (1, 1));
    assert_eq!(program.misses, Misses::Event(1));
}

#[test]
fn a_refused_probe_is_an_error_only_if_the_user_named_it() {
    let probes = numbered(vec![tracepoint(7, "a"), named(tracepoint(8, "b"))]);
    let plan = plan(&probes, ALL);
    assert!(matches!(plan.steps[0].on_refusal, OnRefusal::LeaveOut));
    assert!(matches!(plan.steps[1].on_refusal, OnRefusal::Fail));
}

#[test]
fn trampolines_raw_tracepoints_and_uprobes_have_their_own_programs() {
    let place = |offset| UserPlace {
        path: "/bin/x".into(),
        offset,
    };
    let targets = [
        FunctionTarget::Fentry { btf_id: 5 },
        FunctionTarget::RawTracepoint {
            name: "sched_switch".to_owned(),
        },
        FunctionTarget::Uprobe {
            places: vec![place(9)],
        },
    ];
    let probes = targets.map(|target| function(target, &[], None));
    let plan = plan(&probes, ALL);
    let attachments = plan.steps.iter().map(|step| &step.programs[0].attachment);
    let expected = [
        Attachment::Fentry { btf_id: 5 },
        Attachment::RawTracepoint {
            name: "sched_switch",
        },
        Attachment::Uprobe {
            path: Path::new("/bin/x"),
            offset: 9,
        },
    ];
    assert!(attachments.eq(&expected));
}

#[test]
fn each_place_of_a_function_has_its_programs() {
    let places = || {
        let place = |offset| UserPlace {
            path: "/bin/x".into(),
            offset,
        };
        vec![place(7), place(9)]
    };
    let entry = function(FunctionTarget::Uprobe { places: places() }, &[], None);
    let exit = FunctionTarget::Uretprobe { places: places() };
    let exit = function(exit, &[], Some(&[number(Base::Argument(0), 8)]));
    let probes = numbered(vec![entry, exit]);
    let plan = plan(&probes, ALL);
    let attachments = |step: &Step<'_>| -> Vec<(usize, String)> {
        let programs = step.programs.iter();
        programs
            .map(|program| (program.row, program.attachment.to_string()))
            .collect()
    };
    let in_row = |row, attachments: &[&str]| -> Vec<(usize, String)> {
        let attachments = attachments.iter();
        attachments.map(|&text| (row, text.to_owned())).collect()
    };
    assert_eq!(plan.steps.len(), 2);
    assert_eq!(
        attachments(&plan.steps[0]),
        in_row(0, &["uprobe /bin/x:0x7", "uprobe /bin/x:0x9"])
    );
    assert_eq!(
        attachments(&plan.steps[1]),
        in_row(
            1,
            &[
                "uretprobe /bin/x:0x7",
                "uprobe /bin/x:0x7",
                "uretprobe /bin/x:0x9",
                "uprobe /bin/x:0x9"
            ]
        )
    );
}

#[test]
fn values_of_an_entry_are_kept_by_a_second_program_at_the_entry() {
    let place = UserPlace {
        path: "/bin/x".into(),
        offset: 9,
    };
    let targets = [
        FunctionTarget::Fexit { btf_id: 5 },
        FunctionTarget::Uretprobe {
            places: vec![place],
        },
    ];
    let probes = targets.map(|target| function(target, &[], Some(&[number(Base::Argument(0), 8)])));
    let plan = plan(&probes, ALL);
    let attachments = |step: &Step<'_>| -> Vec<String> {
        let programs = step.programs.iter();
        programs
            .map(|program| program.attachment.to_string())
            .collect()
    };
    assert_eq!(
        attachments(&plan.steps[0]),
        ["fexit of BTF type 5", "fentry of BTF type 5"]
    );
    assert_eq!(
        attachments(&plan.steps[1]),
        ["uretprobe /bin/x:0x9", "uprobe /bin/x:0x9"]
    );
    for step in &plan.steps {
        assert_eq!(templates(step), [Template::Return, Template::Entry]);
        // The event is missed if its own program is skipped.
        assert_eq!(step.programs[1].misses, Misses::Nothing);
        assert!(matches!(step.programs[1].filter, Filter::None));
    }
}

#[test]
fn a_restricted_origin_filters_every_event() {
    let probes = [tracepoint(7, "a")];
    let origin = Origin {
        cgroup: Some("/sys/fs/cgroup/x".into()),
        ..Origin::default()
    };
    let restricted = AttachPlan::new(&settings(&origin), &probes, ALL).unwrap();
    let unrestricted = plan(&probes, ALL);
    let [restricted, unrestricted] =
        [&restricted, &unrestricted].map(|plan| &plan.steps[0].programs[0].filter);
    assert!(matches!(restricted, Filter::One(_)));
    assert!(matches!(unrestricted, Filter::None));
}

#[test]
fn followers_are_attached_before_all_others() {
    let probes = [tracepoint(7, "a")];
    let origin = Origin::default();
    let following = Settings {
        processes: Processes {
            follow: Some(8),
            ..Processes::default()
        },
        ..settings(&origin)
    };
    let plan = AttachPlan::new(&following, &probes, ALL).unwrap();
    let templates: Vec<_> = plan.steps.iter().flat_map(templates).collect();
    let expected = [
        Template::FollowNewTask,
        Template::FollowExec,
        Template::FollowFree,
        Template::Tracepoint,
    ];
    assert_eq!(templates, expected);
    let misses = plan.steps[0].programs[0].misses;
    assert_eq!(misses, Misses::NewThread);
    assert!(matches!(plan.steps[0].on_refusal, OnRefusal::Fail));
}

#[test]
fn the_exec_of_a_recorded_command_is_marked() {
    let probes = [tracepoint(7, "sched_process_exec"), tracepoint(8, "other")];
    let origin = Origin::default();
    let command = Settings {
        processes: Processes {
            command: true,
            ..Processes::default()
        },
        ..settings(&origin)
    };
    let plan = AttachPlan::new(&command, &probes, ALL).unwrap();
    let at_exec = tracer_common::spec_flags::AT_EXEC;
    let marked = plan.specs.iter().map(|spec| spec.flags & at_exec != 0);
    assert!(marked.eq([true, false]));
}

#[test]
fn a_plan_prints_each_program_with_what_is_attached_instead() {
    let target = FunctionTarget::Kretprobe {
        symbol: "vfs_read".to_owned(),
    };
    let returns = function(target, &[number(Base::Return, 8)], Some(&[]));
    let probes = numbered(vec![tracepoint(7, "a"), returns]);
    let text = plan(&probes, ALL).to_string();
    let expected = [
        "`probe:1`: on_session by kprobe-session of 1",
        "  `probe:1`: on_return by kretprobe vfs_read",
        "  `probe:1`: on_entry by kprobe vfs_read",
        "`probe:0`: on_tracepoint by perf tracepoint 7",
    ];
    assert!(text.lines().eq(expected), "{text}");
}
