use std::fs;
use std::path::Path;

use super::*;

/// A kernel of which only these files are there; BPF answers for the running one.
fn kernel(files: &[(&str, &str)]) -> (tempfile::TempDir, Features) {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let below = |name: &str| root.path().join(name);
    let roots = Roots {
        proc: below("proc"),
        sys: below("sys"),
    };
    (root, Features::new(roots))
}

fn with_release(release: &str) -> (tempfile::TempDir, Features) {
    kernel(&[("proc/sys/kernel/osrelease", release)])
}

#[test]
fn without_kprobes_neither_kprobe_multi_nor_kprobe_session_is_there() {
    let (_root, features) = kernel(&[("proc/kallsyms", "0 T bpf_session_is_return\n")]);
    assert!(matches!(features.kprobes(), Err(Missing::NotBuilt(_))));
    assert_eq!(features.kprobe_multi(), Err(Missing::Needs("kprobes")));
    assert_eq!(
        features.kprobe_session(),
        Err(Missing::Needs("kprobe-multi"))
    );
}

#[test]
fn an_event_source_is_a_feature() {
    let (_root, features) = kernel(&[
        ("sys/bus/event_source/devices/kprobe/type", "8\n"),
        ("sys/bus/event_source/devices/uprobe/type", "9\n"),
    ]);
    assert_eq!((features.kprobes(), features.uprobes()), (Ok(()), Ok(())));
    let (_root, features) = kernel(&[]);
    assert!(matches!(features.uprobes(), Err(Missing::NotBuilt(_))));
}

#[test]
fn trampolines_need_the_types_of_the_kernel() {
    let (_root, features) = kernel(&[]);
    assert_eq!(features.fentry(), Err(Missing::Needs("kernel BTF")));
    assert_eq!(features.fexit(), Err(Missing::Needs("kernel BTF")));
}

#[test]
fn an_answer_is_kept() {
    let (root, features) = with_release("6.12.3\n");
    assert_eq!(features.release().unwrap().version, (6, 12));
    fs::write(root.path().join("proc/sys/kernel/osrelease"), "5.4\n").unwrap();
    assert_eq!(features.release().unwrap().version, (6, 12));
}

#[test]
fn missed_events_are_counted_since_6_7() {
    let (_root, features) = with_release("6.6.9\n");
    assert_eq!(features.recursion_misses(), Err(Missing::Older(6, 7)));
    let (_root, features) = with_release("6.7.0\n");
    assert_eq!(features.recursion_misses(), Ok(()));
    let (_root, features) = with_release("strange\n");
    assert!(matches!(
        features.recursion_misses(),
        Err(Missing::Unknown(_))
    ));
}

#[test]
fn bpf_memory_is_charged_to_the_control_group_since_5_11() {
    let (_root, features) = with_release("5.10.0\n");
    assert_eq!(features.memory_by_cgroup(), Err(Missing::Older(5, 11)));
    let (_root, features) = with_release("5.11.0\n");
    assert_eq!(features.memory_by_cgroup(), Ok(()));
}

#[test]
fn the_mode_of_lockdown_is_read_from_securityfs() {
    let file = "sys/kernel/security/lockdown";
    let (_root, features) = kernel(&[(file, "none integrity [confidentiality]\n")]);
    assert!(!features.lockdown().unwrap().allows_reading());
}

#[test]
fn capabilities_are_those_in_effect() {
    let file = "proc/self/status";
    let (_root, features) = kernel(&[(file, "Name:\tx\nCapEff:\t0000008000000000\n")]);
    assert_eq!(features.capabilities().unwrap().missing(), ["CAP_PERFMON"]);
    let (_root, features) = kernel(&[]);
    assert_eq!(features.capabilities(), None);
}

#[test]
fn each_missing_feature_says_why() {
    let (_root, features) = kernel(&[]);
    let error = features.kprobes().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the kernel was built without CONFIG_KPROBE_EVENTS"
    );
    assert_eq!(
        error.hint().as_deref(),
        Some("use a kernel with CONFIG_KPROBE_EVENTS")
    );
    assert_eq!(
        features.roots().proc.file_name(),
        Path::new("proc").file_name()
    );
}
