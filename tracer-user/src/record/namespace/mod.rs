//! The namespaces that the recorder runs in, such as those of a container.
//!
//! Events have the ids of the initial PID namespace and the times of the initial time namespace.
//! Users, `/proc` and `clock_gettime` have those of the recorder's namespaces: [`pids`] and
//! [`clock`] translate. Both learn the kernel's side from small BPF programs ([`programs`]), since
//! no file shows it inside a namespace.

pub(in crate::record) mod clock;
pub(in crate::record) mod pids;
mod programs;

use std::fs;

/// Inode numbers of the initial namespaces (`include/linux/proc_ns.h`).
const INITIAL: [(&str, &str); 2] = [("pid", "pid:[4026531836]"), ("time", "time:[4026531834]")];

/// The name of a namespace of this process, such as `pid:[4026531836]`. `None` if `/proc` does not
/// show it.
fn name(kind: &str) -> Option<String> {
    let link = fs::read_link(format!("/proc/self/ns/{kind}")).ok()?;
    link.into_os_string().into_string().ok()
}

/// Whether `name` is the initial namespace of its kind.
fn is_initial(kind: &str, name: &str) -> bool {
    INITIAL.contains(&(kind, name))
}
