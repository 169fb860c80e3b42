//! What is wanted of the probes of a recorded kernel (6.18, x86-64).

use std::path::PathBuf;

use super::*;
use crate::probe::filter::{NumberSource, TextCheck, TextSource};
use crate::probe::resolve_texts;

fn recorded() -> KernelFiles {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/kernel-6.18");
    KernelFiles {
        tracefs: root.join("tracefs"),
        proc: root.join("proc"),
        sys: root.join("sys"),
        modules: root.join("modules"),
    }
}

fn resolved(texts: &[&str]) -> Vec<ResolvedProbe> {
    let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
    resolve_texts(&recorded(), &texts).unwrap()
}

/// `PROBE` or `PROBE if FILTER`.
fn request(text: &str) -> ProbeRequest {
    let mut request = ProbeRequest {
        text: Some(text.to_owned()),
        ..ProbeRequest::default()
    };
    split(&mut request).unwrap();
    request
}

fn applied(requests: &[ProbeRequest], names: Naming) -> Result<Vec<ResolvedProbe>> {
    let texts: Vec<&str> = requests
        .iter()
        .filter_map(|request| request.text.as_deref())
        .collect();
    apply(requests, &recorded(), names, resolved(&texts))
}

/// The names of the classes that are kept, with whether they have a filter.
fn kept(texts: &[&str]) -> Vec<(String, bool)> {
    let requests: Vec<ProbeRequest> = texts.iter().map(|text| request(text)).collect();
    let probes = applied(&requests, Naming::Tracefs).unwrap();
    for (position, probe) in probes.iter().enumerate() {
        assert_eq!(probe.class.id as usize, position);
        assert_eq!(probe.sources.len(), probe.class.fields.len());
    }
    probes
        .into_iter()
        .map(|probe| (probe.class.name, probe.filter.is_some()))
        .collect()
}

fn message(text: &str) -> String {
    let error = applied(&[request(text)], Naming::Tracefs).unwrap_err();
    format!("{error:#}")
}

#[test]
fn each_request_has_its_own_filter() {
    let kept = kept(&[
        "sched:sched_switch if prev_pid == 7",
        "irq:irq_handler_entry",
    ]);
    assert_eq!(
        kept,
        [
            ("sched:sched_switch".into(), true),
            ("irq:irq_handler_entry".into(), false)
        ]
    );
}

#[test]
fn a_class_that_has_not_what_the_filter_names_is_left_out() {
    let kept = kept(&["sched:* if old_pid > 1", "task:task_newtask"]);
    assert_eq!(
        kept,
        [
            ("sched:sched_process_exec".into(), true),
            ("task:task_newtask".into(), false)
        ]
    );
}

#[test]
fn a_filter_that_no_class_understands_is_an_error() {
    let shown = message("sched:* if nothing == 1");
    assert!(shown.contains("cannot filter `sched:*`"), "{shown}");
    assert!(shown.contains("nothing"), "{shown}");
}

#[test]
fn what_is_known_too_late_cannot_decide() {
    let shown = message("syscall:openat if string_fault == 1");
    assert!(
        shown.contains("it is not known before the event is recorded"),
        "{shown}"
    );
}

#[test]
fn a_filter_may_name_fields_as_the_kernel_or_as_the_trace_does() {
    for field in ["prev_pid", "prev_tid"] {
        let asked = request(&format!("sched:sched_switch if {field} == 7"));
        let probes = applied(&[asked], Naming::Lttng).unwrap();
        let names = |probe: &ResolvedProbe, index: usize| probe.class.fields[index].name.clone();
        let Some(Condition::Number(test)) = &probes[0].filter else {
            panic!("{:?}", probes[0].filter);
        };
        let NumberSource::Field { index, .. } = test.source else {
            panic!("{:?}", test.source);
        };
        assert_eq!(names(&probes[0], index), "prev_tid");
    }
}

#[test]
fn a_field_of_the_kernel_that_is_compared_wrongly_is_not_missing() {
    let error = applied(
        &[request("sched:sched_switch if prev_pid == \"x\"")],
        Naming::Lttng,
    );
    let shown = format!("{:#}", error.unwrap_err());
    assert!(shown.contains("cannot compare `prev_pid`"), "{shown}");
}

#[test]
fn stacks_are_fields_after_all_others() {
    let asked = |stack| ProbeRequest {
        stack,
        ..request("sched:sched_waking")
    };
    let names = |stack| {
        let probes = applied(&[asked(stack)], Naming::Tracefs).unwrap();
        let fields = probes[0].class.fields.iter();
        let names: Vec<String> = fields.map(|field| field.name.clone()).collect();
        assert_eq!(probes[0].sources.len(), names.len());
        (probes[0].stacks, names)
    };
    let (none, plain) = names(None);
    assert_eq!(none, Stacks::default());
    for (stack, expected) in [
        (StackRequest::Kernel, &[KERNEL_STACK][..]),
        (StackRequest::User, &[USER_STACK]),
        (StackRequest::Both, &[KERNEL_STACK, USER_STACK]),
    ] {
        let (stacks, names) = names(Some(stack));
        assert_eq!(names[..plain.len()], plain);
        assert_eq!(names[plain.len()..], *expected);
        assert_eq!(stacks.kernel, expected.contains(&KERNEL_STACK));
        assert_eq!(stacks.user, expected.contains(&USER_STACK));
    }
}

#[test]
fn each_context_is_there_once_in_every_class() {
    let mut probes = resolved(&["sched:*"]);
    let names = ["uid", " comm", "procname", "cgroup"].map(str::to_owned);
    let contexts = contexts(&names, &recorded(), &mut probes).unwrap();
    let names: Vec<&str> = contexts
        .iter()
        .map(|context| context.field.name.as_str())
        .collect();
    assert_eq!(names, ["cgroup", "uid", "procname"]);
    for probe in &probes {
        let of_class: Vec<&str> = probe
            .class
            .context
            .iter()
            .map(|field| &*field.name)
            .collect();
        assert_eq!(of_class, names);
    }
}

#[test]
fn a_context_that_needs_types_says_so_where_there_are_none() {
    let error = contexts(&["nice".to_owned()], &recorded(), &mut []).unwrap_err();
    let shown = error.to_string();
    assert!(shown.contains("`nice` needs the kernel's BTF"), "{shown}");
}

#[test]
fn a_pattern_of_names_is_taken_as_it_was_typed() {
    let origin = origin(Some(r#"a"b\*"#), None, None).unwrap();
    let Some(Condition::Text(test)) = origin.condition else {
        panic!("{:?}", origin.condition);
    };
    assert!(matches!(test.source, TextSource::Comm));
    assert_eq!(test.check, TextCheck::Glob(r#"a"b\*"#.into()));
}

#[test]
fn all_that_is_asked_of_a_thread_must_hold() {
    let cgroup = PathBuf::from("/sys/fs/cgroup/x");
    let origin = origin(Some("bash"), Some(1000), Some(&cgroup)).unwrap();
    let Some(Condition::All(parts)) = &origin.condition else {
        panic!("{:?}", origin.condition);
    };
    assert!(matches!(
        &parts[..],
        [Condition::Text(_), Condition::Number(user)] if user.value == 1000
    ));
    assert_eq!(origin.cgroup, Some(cgroup));
}

#[test]
fn events_may_happen_anywhere_where_nothing_is_asked() {
    let origin = origin(None, None, None).unwrap();
    assert!(origin.condition.is_none() && origin.cgroup.is_none());
}

#[test]
fn a_probe_has_one_filter() {
    let mut both = ProbeRequest {
        text: Some("sched:* if pid == 1".into()),
        filter: Some("pid == 2".into()),
        ..ProbeRequest::default()
    };
    let error = split(&mut both).unwrap_err().to_string();
    assert!(error.contains("join them with `&&`"), "{error}");
}
