//! Whether kernel functions can be probed.

use crate::doctor::{Check, Roots};

pub(super) fn kprobes(roots: &Roots) -> Check {
    const NAME: &str = "kprobes";
    if roots
        .sys
        .join("bus/event_source/devices/kprobe/type")
        .exists()
    {
        Check::ok(NAME, "kprobe and kretprobe")
    } else {
        Check::warn(
            NAME,
            "not built in; tracepoints and system calls are not affected",
            "use a kernel with CONFIG_KPROBES and CONFIG_KPROBE_EVENTS",
        )
    }
}

/// A function that is there only where programs can be attached to many functions in
/// one go (`CONFIG_FPROBE`, Linux 5.18).
const FPROBE_FUNCTION: &str = "register_fprobe_ips";

pub(super) fn kprobe_multi(roots: &Roots) -> Check {
    by_symbol(
        roots,
        "kprobe-multi",
        FPROBE_FUNCTION,
        "entries of functions cost less, and many attach in one go",
        "not built in; functions attach one by one, and cost more",
        "use a kernel with CONFIG_FPROBE",
    )
}

/// A function that is there only where a program can run at entries and returns of functions
/// (Linux 6.10).
const SESSION_FUNCTION: &str = "bpf_session_is_return";

pub(super) fn kprobe_session(roots: &Roots) -> Check {
    by_symbol(
        roots,
        "kprobe-session",
        SESSION_FUNCTION,
        "returns of functions cost less, and many attach in one go",
        "not there; returns of functions attach one by one, and cost more",
        "use Linux 6.10 or later, with CONFIG_FPROBE",
    )
}

/// What a kernel can do that has the function `symbol`.
fn by_symbol(
    roots: &Roots,
    name: &'static str,
    symbol: &str,
    there: &str,
    missing: &str,
    way_out: &'static str,
) -> Check {
    match Roots::read(&roots.proc, "kallsyms") {
        Ok(symbols) if has_symbol(&symbols, symbol) => Check::ok(name, there),
        Ok(_) => Check::warn(name, missing, way_out),
        Err(_) => Check::warn(name, "not known: /proc/kallsyms cannot be read", None),
    }
}

fn has_symbol(symbols: &str, name: &str) -> bool {
    symbols
        .lines()
        .any(|line| line.split_ascii_whitespace().nth(2) == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_is_found_by_its_whole_name() {
        let symbols = "0 T register_fprobe_ips_x\n0 T register_fprobe\n";
        assert!(!has_symbol(symbols, FPROBE_FUNCTION));
        assert!(has_symbol("0 T register_fprobe_ips\n", FPROBE_FUNCTION));
    }
}
