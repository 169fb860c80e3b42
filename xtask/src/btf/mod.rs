//! `cargo xtask record-btf`: types of the kernels of the virtual machines, for tests that need
//! no kernel.
//!
//! Each kernel boots and returns its BTF, several megabytes. The types that tests ask for are
//! kept, with the types of their members: some ten kilobytes, in the same format.

mod cut;

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::vm::{self, Job, KERNELS};
use crate::{wire, workspace};

/// The kernel's BTF.
const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// The types that the test `recorded_btf` needs. Functions and type definitions bring their
/// arguments; pointers to other structures lead to their names only.
const WANTED: &[&str] = &[
    // Functions, and raw tracepoints with the functions that name their arguments.
    "vfs_open",
    "vfs_read",
    "tcp_sendmsg",
    "btf_trace_sched_process_exec",
    "__traceiter_sched_process_exec",
    "btf_trace_sched_switch",
    "__traceiter_sched_switch",
    "btf_trace_sys_enter",
    "__traceiter_sys_enter",
    // Threads.
    "task_struct",
    "cred",
    "nsproxy",
    "signal_struct",
    "pid",
    "upid",
    "cgroup_namespace",
    "ipc_namespace",
    "mnt_namespace",
    "net",
    "pid_namespace",
    "time_namespace",
    "user_namespace",
    "uts_namespace",
    // Files, programs and packets.
    "file",
    "path",
    "dentry",
    "inode",
    "linux_binprm",
    "pt_regs",
    "sk_buff",
    "sock",
];

/// The types that the test `fuzz` damages: no more than fit into one of its inputs.
const TO_DAMAGE: &[&str] = &[
    "vfs_open", "vfs_read", "file", "path", "dentry", "inode", "cred", "pid", "nsproxy",
];

/// Records the types of all kernels.
///
/// # Errors
/// If a kernel cannot be booted, has no BTF or lacks what is wanted.
pub fn record() -> Result<()> {
    for kernel in KERNELS {
        let job = Job::new().command(["work", "keep", "btf", "--", "work", "cat", VMLINUX]);
        let outcome = vm::run(kernel, &job)?;
        let whole = fs::read(outcome.out_dir().join("btf").join(wire::STDOUT_ENTRY))
            .context("the guest left no types")?;
        ensure!(!whole.is_empty(), "{} has no `{VMLINUX}`", outcome.release);
        let name = kernel.name;
        for (wanted, file) in [
            (WANTED, format!("btf/{name}.btf")),
            (TO_DAMAGE, format!("corpus/btf/accepted-linux-{name}.btf")),
        ] {
            let cut = cut::cut(&whole, wanted)
                .with_context(|| format!("cannot cut the types of {} down", outcome.release))?;
            let path = workspace::root().join("tracer-user/tests").join(file);
            fs::write(&path, &cut).with_context(|| format!("cannot write `{}`", path.display()))?;
            println!("{}: {} of {} bytes", path.display(), cut.len(), whole.len());
        }
    }
    Ok(())
}
