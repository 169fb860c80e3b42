//! How functions of the kernel and of programs can be probed.

use crate::doctor::Check;
use crate::kernel::features::{Features, Support};

pub(super) fn checks(features: &Features) -> [Check; 5] {
    [
        optional(
            "kprobes",
            "supported: kprobe and kretprobe",
            &features.kprobes(),
            "tracepoints and system calls are not affected",
        ),
        optional(
            "kprobe-multi",
            "supported: entries of functions share a program and cost less",
            &features.kprobe_multi(),
            "functions attach one by one and cost more",
        ),
        optional(
            "kprobe-session",
            "supported: returns of functions share a program and cost less",
            &features.kprobe_session(),
            "returns of functions attach one by one and cost more",
        ),
        optional(
            "fentry/fexit",
            "supported",
            &features.fentry().and_then(|()| features.fexit()),
            "functions cannot be probed by trampoline",
        ),
        optional(
            "uprobes",
            "supported: uprobe and uretprobe",
            &features.uprobes(),
            "functions of programs cannot be probed",
        ),
    ]
}

fn optional<T>(name: &'static str, found: &str, support: &Support<T>, effect: &str) -> Check {
    match support {
        Ok(_) => Check::ok(name, found),
        Err(missing) => Check::optional(name, missing, effect),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;
    use crate::doctor::system::testing::kernel;

    #[test]
    fn without_kprobes_nothing_that_needs_them_is_ok() {
        let (_root, features) = kernel(&[("proc/kallsyms", "0 T bpf_session_is_return\n")]);
        for check in checks(&features) {
            assert_eq!(check.state, State::Warn, "{check:?}");
        }
    }
}
