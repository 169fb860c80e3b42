//! The recordings that load every shape of program.

use crate::vm::Feature;

/// A recording with programs whose numbers are on record.
pub(super) struct Recording {
    /// Folder of its results.
    pub(super) name: &'static str,
    /// The feature that its programs need.
    pub(super) needs: Option<Feature>,
    /// The variant of all its programs, for the table.
    pub(super) variant: Option<&'static str>,
    pub(super) options: &'static [&'static str],
    pub(super) shapes: &'static [Shape],
}

/// A shape of program: its copies for other probes differ little.
pub(super) struct Shape {
    /// Its name in the table, before the variant.
    pub(super) name: &'static str,
    /// The probe whose program has it.
    pub(super) probe: &'static str,
    /// The name that the kernel has for that program, of 15 bytes at most.
    pub(super) program: &'static str,
}

impl Shape {
    const fn new(name: &'static str, probe: &'static str, program: &'static str) -> Self {
        Self {
            name,
            probe,
            program,
        }
    }
}

pub(super) const RECORDINGS: [Recording; 10] = [
    Recording {
        name: "programs",
        needs: None,
        variant: None,
        options: &[],
        shapes: &[
            Shape::new("tracepoint, fixed", "sched:sched_switch", "sched_switch"),
            Shape::new(
                "tracepoint, a string",
                "sched:sched_process_exec",
                "sched_process_e",
            ),
            Shape::new(
                "tracepoint, four strings",
                "power:device_pm_callback_start",
                "power_device_pm",
            ),
            Shape::new("kprobe", "kprobe:vfs_read", "kprobe_vfs_read"),
            Shape::new("kretprobe", READ_RETURNS, "kretprobe_vfs_r"),
            Shape::new("kretprobe, entry", READ_RETURNS, "entry_kretprobe"),
            Shape::new("fentry", "fentry:vfs_read", "fentry_vfs_read"),
            Shape::new("fexit", "fexit:vfs_read", "fexit_vfs_read"),
            Shape::new("fexit, entry", "fexit:vfs_read", "entry_fexit_vfs"),
            Shape::new(
                "raw tracepoint",
                "rawtp:sched_process_exec",
                "rawtp_sched_pro",
            ),
            Shape::new("system call, entry", "syscall:openat", "on_sys_enter"),
            Shape::new("system call, exit", "syscall:openat", "on_sys_exit"),
            Shape::new("whole call, entry", "call:openat", "on_call_enter"),
            Shape::new("whole call, exit", "call:openat", "on_call_exit"),
            Shape::new(
                "raw system call, entry",
                "raw_syscalls:sys_enter",
                "on_raw_sys_ente",
            ),
            Shape::new(
                "raw system call, exit",
                "raw_syscalls:sys_exit",
                "on_raw_sys_exit",
            ),
        ],
    },
    Recording {
        name: "programs-strings",
        needs: None,
        variant: Some("fetched strings"),
        options: &[],
        shapes: &[
            Shape::new(
                "kprobe",
                "kprobe:vfs_open{file->f_flags,path->dentry->d_parent->d_name.name:str,\
                 path->dentry->d_name.name:str}",
                "kprobe_vfs_open",
            ),
            Shape::new("kretprobe", WRITE_RETURNS, "kretprobe_vfs_w"),
            Shape::new("kretprobe, entry", WRITE_RETURNS, "entry_kretprobe"),
            Shape::new(
                "fexit",
                "fexit:vfs_write{ret,count,file->f_path.dentry->d_name.name:str}",
                "fexit_vfs_write",
            ),
            Shape::new(
                "raw tracepoint",
                "rawtp:sched_process_exec{p->pid,bprm->filename:str,p->comm:str}",
                "rawtp_sched_pro",
            ),
        ],
    },
    Recording {
        name: "programs-filtered",
        needs: None,
        variant: Some("filter"),
        options: &[],
        shapes: &[
            Shape::new(
                "tracepoint",
                "sched:sched_switch if prev_prio < 100 || !(prev_comm ~ \"kworker/*\")",
                "sched_switch",
            ),
            Shape::new(
                "kprobe",
                "kprobe:vfs_read if count >= 4096 && comm != \"work\"",
                "kprobe_vfs_read",
            ),
            Shape::new(
                "kprobe, a pattern",
                "kprobe:vfs_open{name=path->dentry->d_name.name:str} if name ~ \"*.so*\"",
                "kprobe_vfs_open",
            ),
            Shape::new(
                "kretprobe",
                "kretprobe:vfs_read{ret,count} if ret < 0 || duration > 1000000",
                "kretprobe_vfs_r",
            ),
            Shape::new(
                "system call, entry, a pattern",
                "syscalls:sys_enter_openat if filename ~ \"/etc/*\" && (flags & 3) == 0",
                "on_sys_enter",
            ),
            Shape::new(
                "system call, exit",
                "syscalls:sys_exit_openat if ret == -2",
                "on_sys_exit",
            ),
            Shape::new(
                "whole call, exit",
                "call:openat if filename ~ \"/etc/*\" && ret < 0 && duration > 10ms",
                "on_call_exit",
            ),
            Shape::new(
                "raw system call, entry",
                "raw_syscalls:sys_enter if id == 257",
                "on_raw_sys_ente",
            ),
        ],
    },
    Recording {
        name: "programs-contexts",
        needs: None,
        variant: Some("contexts"),
        options: &[
            "--context",
            "comm,uid,gid,cgroup,prio,nice,ppid,euid,suid,egid,sgid,vtid,vpid,vppid",
            "--context",
            "cgroup_ns,ipc_ns,mnt_ns,net_ns,pid_ns,time_ns,user_ns,uts_ns",
        ],
        shapes: &EACH_KIND,
    },
    Recording {
        name: "programs-stacks",
        needs: None,
        variant: Some("stacks"),
        options: &["-T=both"],
        shapes: &EACH_KIND,
    },
    Recording {
        name: "programs-throttled",
        needs: None,
        variant: Some("throttled"),
        options: &["--every", "10", "--limit", "1000/s"],
        shapes: &EACH_KIND,
    },
    Recording {
        name: "programs-followed",
        needs: None,
        variant: Some("followed"),
        options: &["--only-command"],
        shapes: &[
            Shape::new("new thread", EXEC, "on_newtask"),
            Shape::new("exec", EXEC, "on_exec"),
            Shape::new("thread that is gone", EXEC, "on_free"),
            Shape::new("tracepoint, exec", EXEC, "sched_process_e"),
            Shape::new("kprobe", "kprobe:vfs_read", "kprobe_vfs_read"),
        ],
    },
    Recording {
        name: "programs-many",
        needs: Some(Feature::KprobeSession),
        variant: Some("many functions"),
        options: &[],
        shapes: &MANY,
    },
    Recording {
        name: "programs-many-stacks",
        needs: Some(Feature::KprobeSession),
        variant: Some("many functions, stacks"),
        options: &["-T=both"],
        shapes: &MANY,
    },
    Recording {
        name: "programs-many-strings",
        needs: Some(Feature::KprobeSession),
        variant: Some("many functions, strings"),
        options: &[],
        shapes: &[Shape::new(
            "kretprobe",
            "kretprobe:d_pa*,kretprobe:dentry_pat*",
            "returns",
        )],
    },
];

/// Functions that are entered, and functions that return, by a program each.
const MANY: [Shape; 2] = [
    Shape::new("kprobe", "kprobe:vfs_re*", "functions"),
    Shape::new("kretprobe", "kretprobe:vfs_re*", "returns"),
];

/// A program of each kind, for what can be asked of all.
const EACH_KIND: [Shape; 8] = [
    Shape::new("tracepoint", "sched:sched_switch", "sched_switch"),
    Shape::new("kprobe", "kprobe:vfs_read", "kprobe_vfs_read"),
    Shape::new("kretprobe", READ_RETURNS, "kretprobe_vfs_r"),
    Shape::new("fexit", "fexit:vfs_read", "fexit_vfs_read"),
    Shape::new("raw tracepoint", "rawtp:sched_switch", "rawtp_sched_swi"),
    Shape::new("system call, entry", "syscall:openat", "on_sys_enter"),
    Shape::new("system call, exit", "syscall:openat", "on_sys_exit"),
    Shape::new("whole call, exit", "call:openat", "on_call_exit"),
    Shape::new(
        "raw system call, entry",
        "raw_syscalls:sys_enter",
        "on_raw_sys_ente",
    ),
];

const READ_RETURNS: &str = "kretprobe:vfs_read{ret,count}";
const WRITE_RETURNS: &str = "kretprobe:vfs_write{ret,count,file->f_path.dentry->d_name.name:str}";
const EXEC: &str = "sched:sched_process_exec";
