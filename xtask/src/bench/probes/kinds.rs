//! The rows: what is probed, and the command line of each tool.

use crate::bench::recorder::Only;
use crate::bench::rounds::Round;

/// A kind of probe.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) round: Round,
    /// The argument of `-e` for `tracer` and perf; perf may lack that kind.
    pub(super) tracer: &'static str,
    pub(super) perf: Option<&'static str>,
    pub(super) bpftrace: Script,
    pub(super) empty: Empty,
    /// Conditions that no event of the loop fulfils.
    pub(super) rejected: &'static [Rejected],
    /// The part that perf lacks.
    pub(super) perf_lacks: &'static str,
}

/// Attach points of eBPF programs that return at once: those of `tracer`, in the same
/// way but for functions that are probed one by one, where bpftrace takes kprobes and kretprobes.
#[derive(Debug)]
pub(super) enum Empty {
    /// At these probes of bpftrace, whose programs have no instruction but those that return 0.
    Probes(&'static [&'static str]),
    /// At a tracepoint or a raw one, by the workload: bpftrace has no raw ones, and returns 1 at
    /// the others, which has the kernel go on with perf's event.
    Tracepoint(&'static str),
}

/// A condition, in the language of each tool, and the row's name. perf may have none of the kind.
#[derive(Debug)]
pub(super) struct Rejected {
    pub(super) name: &'static str,
    pub(super) tracer: Only<'static>,
    pub(super) perf: Option<&'static str>,
    pub(super) bpftrace: &'static str,
}

/// Only a process is wanted that is not the loop's: the guest's first.
const BY_PROCESS: Rejected = Rejected {
    name: "  rejected by its process",
    tracer: Only::Process("1"),
    perf: None,
    bpftrace: "pid == 1",
};

/// A bpftrace program in parts.
#[derive(Debug)]
pub(super) struct Script {
    /// An action at another probe that must come before.
    before: &'static str,
    probe: &'static str,
    /// The condition to go on.
    needs: Option<&'static str>,
    /// Format and values of `printf`, after time and thread, which all tools record.
    format: &'static str,
    values: &'static str,
    after: &'static str,
}

/// The action of a [`Script`] on an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// Writes a line.
    Print,
    /// Adds one to a number in the kernel.
    Count,
}

impl Script {
    const fn at(probe: &'static str, format: &'static str, values: &'static str) -> Self {
        Self {
            before: "",
            probe,
            needs: None,
            format,
            values,
            after: "",
        }
    }

    /// The same with the time between another probe and this one.
    const fn since(self, before: &'static str) -> Self {
        Self {
            before,
            needs: Some("@start[tid]"),
            after: " delete(@start[tid]);",
            ..self
        }
    }

    /// The program.
    pub(super) fn text(&self, body: Body, condition: Option<&str>) -> String {
        let Self {
            before,
            probe,
            format,
            values,
            after,
            ..
        } = self;
        let body = match body {
            Body::Print => format!(r#"printf("%lu %d {format}\n", nsecs, tid, {values});"#),
            Body::Count => "@ = count();".to_owned(),
        };
        // The entry is removed, whether the event is rejected or not.
        let (predicate, body) = match (self.needs, condition) {
            (Some(needs), Some(condition)) => {
                (Some(needs), format!("if ({condition}) {{ {body} }}"))
            }
            (needs, condition) => (needs.or(condition), body),
        };
        let predicate = predicate.map_or(String::new(), |text| format!("/{text}/ "));
        format!("{before}{probe} {predicate}{{ {body}{after} }}")
    }
}

/// Probes that perf must define before it can record them.
pub(super) const PERF_PROBES: [&[&str]; 3] = [
    &["--add", "vfs_read file=%di buf=%si count=%dx pos=%cx"],
    &["--add", "vfs_read%return ret=$retval"],
    &["-x", "/bin/work", "--add", "work_probed arg0=%di"],
];

pub(super) const KINDS: [Kind; 9] = [
    Kind {
        name: "kprobe, four typed arguments",
        round: Round::Read,
        tracer: "kprobe:vfs_read",
        perf: Some("probe:vfs_read"),
        bpftrace: Script::at(
            "kprobe:vfs_read",
            "%lx %lx %lu %lx",
            "arg0, arg1, arg2, arg3",
        ),
        empty: Empty::Probes(&["kprobe:vfs_read"]),
        rejected: &[
            Rejected {
                name: "  rejected by an argument",
                tracer: Only::Filter("count == 77"),
                perf: Some("count == 77"),
                bpftrace: "arg2 == 77",
            },
            BY_PROCESS,
        ],
        perf_lacks: "",
    },
    Kind {
        name: "fentry, four typed arguments",
        round: Round::Read,
        tracer: "fentry:vfs_read",
        perf: None,
        bpftrace: Script::at(
            "kfunc:vfs_read",
            "%p %p %lu %p",
            "args->file, args->buf, args->count, args->pos",
        ),
        empty: Empty::Probes(&["kfunc:vfs_read"]),
        rejected: &[Rejected {
            name: "  rejected by an argument",
            tracer: Only::Filter("count == 77"),
            perf: None,
            bpftrace: "args->count == 77",
        }],
        perf_lacks: "",
    },
    Kind {
        name: "kretprobe, result and duration",
        round: Round::Read,
        tracer: "kretprobe:vfs_read",
        perf: Some("probe:vfs_read__return"),
        bpftrace: Script::at(
            "kretprobe:vfs_read",
            "%ld %lu",
            "retval, nsecs - @start[tid]",
        )
        .since("kprobe:vfs_read { @start[tid] = nsecs; } "),
        empty: Empty::Probes(&["kprobe:vfs_read", "kretprobe:vfs_read"]),
        rejected: &[Rejected {
            name: "  rejected by the result",
            tracer: Only::Filter("ret == 77"),
            perf: Some("ret == 77"),
            bpftrace: "retval == 77",
        }],
        perf_lacks: "no duration",
    },
    Kind {
        name: "kretprobe, with an argument",
        round: Round::Read,
        tracer: "kretprobe:vfs_read{ret,count}",
        perf: None,
        bpftrace: Script::at(
            "kretprobe:vfs_read",
            "%ld %lu %lu",
            "retval, nsecs - @start[tid], @count[tid]",
        )
        .since("kprobe:vfs_read { @start[tid] = nsecs; @count[tid] = arg2; } "),
        empty: Empty::Probes(&["kprobe:vfs_read", "kretprobe:vfs_read"]),
        rejected: &[Rejected {
            name: "  rejected by the argument",
            tracer: Only::Filter("count == 77"),
            perf: None,
            bpftrace: "@count[tid] == 77",
        }],
        perf_lacks: "",
    },
    Kind {
        name: "fexit, result, duration, arguments",
        round: Round::Read,
        tracer: "fexit:vfs_read",
        perf: None,
        bpftrace: Script::at(
            "kretfunc:vfs_read",
            "%ld %lu %p %p %lu %p",
            "retval, nsecs - @start[tid], args->file, args->buf, args->count, args->pos",
        )
        .since("kfunc:vfs_read { @start[tid] = nsecs; } "),
        empty: Empty::Probes(&["kfunc:vfs_read", "kretfunc:vfs_read"]),
        rejected: &[Rejected {
            name: "  rejected by the result",
            tracer: Only::Filter("ret == 77"),
            perf: None,
            bpftrace: "retval == 77",
        }],
        perf_lacks: "",
    },
    Kind {
        name: "tracepoint, seven fields",
        round: Round::Signal,
        tracer: "signal:signal_generate",
        perf: Some("signal:signal_generate"),
        bpftrace: Script::at(
            "tracepoint:signal:signal_generate",
            "%d %d %d %s %d %d %d",
            "args->sig, args->errno, args->code, args->comm, args->pid, args->group, \
             args->result",
        ),
        empty: Empty::Tracepoint("signal:signal_generate"),
        rejected: &[Rejected {
            name: "  rejected by a number",
            tracer: Only::Filter("sig == 64"),
            perf: Some("sig == 64"),
            bpftrace: "args->sig == 64",
        }],
        perf_lacks: "",
    },
    Kind {
        name: "system call with a string",
        round: Round::Open,
        tracer: "syscalls:sys_enter_openat",
        perf: Some("syscalls:sys_enter_openat"),
        bpftrace: Script::at(
            "tracepoint:syscalls:sys_enter_openat",
            "%d %s %x %x",
            "args->dfd, str(args->filename), args->flags, args->mode",
        ),
        empty: Empty::Tracepoint("sys_enter"),
        rejected: &[
            Rejected {
                name: "  rejected by a number",
                tracer: Only::Filter("dfd == 7"),
                perf: Some("dfd == 7"),
                bpftrace: "args->dfd == 7",
            },
            Rejected {
                name: "  rejected by its thread",
                tracer: Only::Filter("tid == 1"),
                perf: Some("common_pid == 1"),
                bpftrace: "tid == 1",
            },
            Rejected {
                name: "  rejected by the string",
                tracer: Only::Filter(r#"filename == "/x""#),
                perf: Some(r#"filename.ustring == "/x""#),
                bpftrace: r#"str(args->filename) == "/x""#,
            },
        ],
        perf_lacks: "address of the string only",
    },
    Kind {
        name: "raw system call, six registers",
        round: Round::Getppid,
        tracer: "raw_syscalls:sys_enter",
        perf: Some("raw_syscalls:sys_enter"),
        bpftrace: Script::at(
            "tracepoint:raw_syscalls:sys_enter",
            "%ld %lx %lx %lx %lx %lx %lx",
            "args->id, args->args[0], args->args[1], args->args[2], args->args[3], \
             args->args[4], args->args[5]",
        ),
        empty: Empty::Tracepoint("sys_enter"),
        rejected: &[
            Rejected {
                name: "  rejected by its number",
                tracer: Only::Filter("id == 511"),
                perf: Some("id == 511"),
                bpftrace: "args->id == 511",
            },
            BY_PROCESS,
        ],
        perf_lacks: "",
    },
    Kind {
        name: "uprobe, an argument",
        round: Round::Function,
        tracer: "uprobe:/bin/work:work_probed{arg0}",
        perf: Some("probe_work:work_probed"),
        bpftrace: Script::at("uprobe:/bin/work:work_probed", "%lu", "arg0"),
        empty: Empty::Probes(&["uprobe:/bin/work:work_probed"]),
        rejected: &[Rejected {
            name: "  rejected by it",
            tracer: Only::Filter("arg0 == 99999999"),
            perf: Some("arg0 == 99999999"),
            bpftrace: "arg0 == 99999999",
        }],
        perf_lacks: "",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_has_its_condition_before_its_body() {
        let script = Script::at("kprobe:f", "%lu", "arg0");
        assert_eq!(
            script.text(Body::Print, None),
            r#"kprobe:f { printf("%lu %d %lu\n", nsecs, tid, arg0); }"#
        );
        assert_eq!(
            script.text(Body::Count, Some("arg0 == 7")),
            "kprobe:f /arg0 == 7/ { @ = count(); }"
        );
    }

    #[test]
    fn a_duration_needs_its_beginning() {
        let script = Script::at("kretprobe:f", "%ld", "retval").since("kprobe:f { x } ");
        assert_eq!(
            script.text(Body::Count, Some("retval == 7")),
            "kprobe:f { x } kretprobe:f /@start[tid]/ \
             { if (retval == 7) { @ = count(); } delete(@start[tid]); }"
        );
    }
}
