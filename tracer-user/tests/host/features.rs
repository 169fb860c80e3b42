//! Features of the kernel that runs the test: there if the kernel has what they are made of, and
//! *absent* if not.

use std::fs;

use tracer::kernel::features::Features;

/// Whether the kernel has a function, by its list of symbols.
fn has_function(name: &str) -> bool {
    let symbols = fs::read_to_string("/proc/kallsyms").unwrap();
    let mut symbols = symbols.lines();
    symbols.any(|line| line.split_ascii_whitespace().nth(2) == Some(name))
}

#[test]
fn probes_of_functions_are_there_if_the_kernel_was_built_with_them() {
    let features = Features::default();
    let kprobes = has_function("register_kprobe");
    let multi = kprobes && has_function("register_fprobe_ips");
    let session = multi && has_function("bpf_session_is_return");
    assert_eq!(features.kprobes().is_ok(), kprobes);
    assert_eq!(features.kprobe_multi().is_ok(), multi);
    assert_eq!(features.kprobe_session().is_ok(), session);
    assert_eq!(features.uprobes().is_ok(), has_function("uprobe_register"));
}

#[test]
fn fentry_and_fexit_are_there_together() {
    let features = Features::default();
    assert_eq!(features.fentry(), features.fexit());
}

#[test]
fn what_recording_needs_is_there() {
    let features = Features::default();
    assert_eq!(features.tracepoint_programs(), Ok(()));
    assert_eq!(features.ring_buffer(), Ok(()));
    assert_eq!(features.dynptr(), Ok(()));
    assert_eq!(features.perf_links(), Ok(()));
    assert!(features.permits_recording());
}

#[test]
fn doctor_warns_of_what_is_missing() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_tracer"))
        .arg("doctor")
        .output()
        .unwrap();
    let report = String::from_utf8(output.stdout).unwrap();
    let features = Features::default();
    for (name, there) in [
        ("kprobes", features.kprobes().is_ok()),
        ("kprobe-multi", features.kprobe_multi().is_ok()),
        ("kprobe-session", features.kprobe_session().is_ok()),
        ("fentry/fexit", features.fentry().is_ok()),
        ("uprobes", features.uprobes().is_ok()),
    ] {
        let row = report.lines().find(|line| line.contains(name)).unwrap();
        let state = if there { "ok" } else { "warn" };
        assert!(row.starts_with(state), "{row}");
    }
}
