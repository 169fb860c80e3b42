//! Functions with their types: what is fetched there, filters of it, stacks, contexts and
//! throttles. Each value is known from the workload, and each number is exact.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use crate::vm::jobs::kept::Kept;
use crate::vm::jobs::trace::{Event, Trace, expect, recorded};
use crate::vm::jobs::{Check, Command};
use crate::vm::{Kernel, Outcome};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "a function's arguments lead to the name and flags of the file",
        verify: |_, outcome| {
            Opens::of(outcome)?.expect(&["kprobe:vfs_open", "fentry:vfs_open"], |event| {
                event.text("name") == Some("tracer")
                    && event.text("folder") == Some("bin")
                    && event.has("flags", OPEN_FLAGS)
            })
        },
    },
    Check {
        name: "a chain that leads nowhere is marked, and the event is kept",
        verify: |_, outcome| {
            // The second value of the list, of a file that is not open yet.
            const INODE: u64 = 1 << 1;
            Opens::of(outcome)?.expect(&["kprobe:vfs_open", "fentry:vfs_open"], |event| {
                event.has("fetch_fault", INODE) && event.has("inode", 0)
            })?;
            let kept = Kept::succeeded(outcome, "typed-opens")?;
            kept.expect_error("events `kprobe:vfs_open` have a value that could not be read")
        },
    },
    Check {
        name: "functions have arguments and result, by breakpoint and by trampoline",
        verify: verify_reads,
    },
    Check {
        name: "no call takes longer than all of them together",
        verify: verify_read_durations,
    },
    Check {
        name: "calls within calls of the same function keep their own entries",
        verify: verify_nested,
    },
    Check {
        name: "filters of arguments, results and durations choose exactly",
        verify: verify_sleeps,
    },
    Check {
        name: "filters of results and of fetched strings choose exactly",
        verify: verify_failed_opens,
    },
    Check {
        name: "raw tracepoints have the arguments of their declarations",
        verify: verify_raw,
    },
    Check {
        name: "the stack of a function has the functions that called it",
        verify: verify_stacks,
    },
    Check {
        name: "the stack of a process that is gone has its functions",
        verify: verify_user_stacks,
    },
    Check {
        name: "functions have the contexts of the thread",
        verify: verify_contexts,
    },
    Check {
        name: "of many calls, as many are recorded as was asked for",
        verify: verify_throttled,
    },
];

const OPENS: u64 = 200;
const READS: u64 = 300;
const WRITES: u64 = 100;
const LEVELS: usize = 3;
const STACKS: u64 = 50;
/// Numbers of inodes that the namespaces of the first process always have
/// (`include/linux/proc_ns.h`).
const FIRST_NAMESPACES: [(&str, u64); 3] = [
    ("uts_ns", 0xefff_fffe),
    ("user_ns", 0xefff_fffd),
    ("pid_ns", 0xefff_fffc),
];
const CALLS: u64 = 1000;
const FAILED_OPENS: u64 = 40;
const OTHER_OPENS: u64 = 30;
/// `O_LARGEFILE`, which the kernel adds for programs of 64 bits (`force_o_largefile`). It keeps
/// `O_CLOEXEC`, which `work` asks for, out of a file's flags (`build_open_flags`).
const OPEN_FLAGS: u64 = 0x8000;
/// Number of `pread64`.
const PREAD64: u64 = 17;
/// Two crowds: how many threads, and how long each sleeps, in milliseconds.
const SHORT: (u64, u64) = (6, 50);
const LONG: (u64, u64) = (4, 1500);
/// Between the two, in nanoseconds.
const LIMIT_NS: u64 = 1_000_000_000;

pub(super) fn commands() -> Vec<Command> {
    let record = |name, options: &str| {
        let line = format!("tracer record -o trace {options}");
        Command::new(name, line)
    };
    let opened = "{flags=file->f_flags:x32,inode=file->f_inode->i_ino,\
                  folder=path->dentry->d_parent->d_name.name:str,\
                  name=path->dentry->d_name.name:str}";
    let name = "name=file->f_path.dentry->d_name.name:str";
    let (short, long) = (SHORT, LONG);
    let stacks = "--context comm,uid,nice,prio,euid,vpid,vtid,pid_ns,user_ns,uts_ns,net_ns \
                  -T=kernel";
    vec![
        record(
            "typed-opens",
            &format!(
                "-e kprobe:vfs_open{opened},fentry:vfs_open{opened} -- \
                 work --cpu 0 open /bin/tracer {OPENS}"
            ),
        ),
        record(
            "typed-reads",
            &format!(
                "-e kprobe:vfs_read{{count,{name}}},func:vfs_read{{count,{name}}} -e \
                 kretprobe:vfs_read{{ret,count,{name}}},fexit:vfs_read{{ret,count,{name}}} -- \
                 work --cpu 0 read /bin/tracer {READS}"
            ),
        ),
        record(
            "typed-nested",
            &format!(
                "-e kretprobe:ep_poll_callback{{ret,wait}},fexit:ep_poll_callback{{ret,wait}} \
                 -- work --cpu 0 nest {LEVELS} {WRITES}"
            ),
        ),
        record("typed-sleeps", "-e")
            .word(&format!("kprobe:hrtimer_nanosleep if rqtp >= {LIMIT_NS}"))
            .then("-e")
            .word(&format!(
                "kretprobe:hrtimer_nanosleep{{ret,rqtp}} if duration >= {LIMIT_NS} && \
                 rqtp >= {LIMIT_NS}"
            ))
            .then("-e")
            .word(&format!(
                "fexit:hrtimer_nanosleep{{ret,rqtp}} if duration < {LIMIT_NS}"
            ))
            .then("-- work sequence --")
            .then(format!("work crowd {} {} ;", short.0, short.1))
            .then(format!("work crowd {} {}", long.0, long.1)),
        record("typed-failed", "-e")
            .word("kretprobe:__x64_sys_openat{ret,folder=regs->di:s32} if ret == -20")
            .then("-e")
            .word("kprobe:vfs_open{name=path->dentry->d_name.name:str} if name == \"init\"")
            .then("-e")
            .word("kretprobe:vfs_open{ret,name=path->dentry->d_name.name:str} if name ~ \"in?t\"")
            .then(format!(
                "-- work sequence -- work open /init/nowhere {FAILED_OPENS} ; \
                 work open /init {OTHER_OPENS}"
            )),
        record("typed-raw", "-e")
            .word(&format!(
                "rawtp:sys_enter{{id,count=regs->dx}} if id == {PREAD64}"
            ))
            .then(
                "-e rawtp:sched_process_exec{pid=p->pid,comm=p->comm:str,file=bprm->filename:str}",
            )
            .then(format!("-- work --cpu 0 read /init {READS}")),
        // The loader of the program reads more than a byte at once.
        record("typed-stacks", &format!("{stacks} -e"))
            .word("kprobe:vfs_read if count == 1")
            .then("-e")
            .word("kretprobe:vfs_read if ret == 1")
            .then("-e")
            .word("fentry:vfs_read if count == 1")
            .then(format!("-- work --cpu 0 read /init {STACKS}")),
        Command::new("typed-stacks-report", "tracer report ../typed-stacks/trace"),
        record(
            "typed-user-stacks",
            &format!("-T=user -e {USER_STACKED} -- work ask {STACKS}"),
        ),
        Command::new(
            "typed-user-stacks-report",
            "tracer report ../typed-user-stacks/trace",
        ),
        record(
            "typed-throttled",
            &format!(
                "-e kprobe:__x64_sys_getppid --every 10 -e kretprobe:__x64_sys_getppid \
                 --limit 50/h -- work --cpu 0 getppid {CALLS}"
            ),
        ),
    ]
}

/// The recording of [`OPENS`] opens of `/bin/tracer`, which is also run for them, but not by
/// this process.
struct Opens {
    trace: Trace,
    pid: u64,
}

impl Opens {
    fn of(outcome: &Outcome) -> Result<Self> {
        let (trace, _, pid) = recorded(outcome, "typed-opens")?;
        Ok(Self { trace, pid })
    }

    fn expect(&self, classes: &[&str], is_such: impl Fn(&Event<'_>) -> bool) -> Result<()> {
        classes.iter().try_for_each(|class| {
            expect(&self.trace, class, self.pid, OPENS, |event| {
                event.text("name") == Some("tracer") && is_such(event)
            })
        })
    }
}

/// Classes of functions that have returned, by breakpoint and by trampoline.
const RETURNED: [&str; 2] = ["kretprobe:vfs_read", "fexit:vfs_read"];

fn is_read(event: &Event<'_>) -> bool {
    event.text("name") == Some("tracer") && event.has("count", 1)
}

fn verify_reads(_: Kernel, outcome: &Outcome) -> Result<()> {
    let (trace, _, pid) = recorded(outcome, "typed-reads")?;
    // `func:` is the trampoline, which all these kernels have.
    for class in ["kprobe:vfs_read", "fentry:vfs_read"] {
        expect(&trace, class, pid, READS, is_read)?;
    }
    for class in RETURNED {
        expect(&trace, class, pid, READS, |event| {
            is_read(event) && event.has("ret", 1)
        })?;
    }
    Ok(())
}

fn verify_read_durations(_: Kernel, outcome: &Outcome) -> Result<()> {
    let (trace, kept, pid) = recorded(outcome, "typed-reads")?;
    let each_ns: f64 = kept.value("ns")?;
    for class in RETURNED {
        let ours = trace.events(class).filter(|event| event.has("pid", pid));
        let durations: Option<Vec<u64>> = ours
            .filter(is_read)
            .map(|event| event.number("duration"))
            .collect();
        let durations = durations.with_context(|| format!("`{class}` lacks durations"))?;
        let sum = durations.iter().sum::<u64>() as f64;
        let all = each_ns * READS as f64;
        ensure!(
            sum > 0.0 && sum <= all,
            "the calls of `{class}` take {sum} ns, and the workload {all}"
        );
    }
    Ok(())
}

/// The waiter differs by level, and so identifies the call of an entry. The innermost call
/// returns first and is the shortest.
fn verify_nested(_: Kernel, outcome: &Outcome) -> Result<()> {
    let (trace, _, pid) = recorded(outcome, "typed-nested")?;
    for class in ["kretprobe:ep_poll_callback", "fexit:ep_poll_callback"] {
        let ours = trace.events(class).filter(|event| event.has("pid", pid));
        let calls: Option<Vec<(u64, u64)>> = ours
            .map(|event| Some((event.number("wait")?, event.number("duration")?)))
            .collect();
        let mut calls = calls.with_context(|| format!("`{class}` lacks entries or durations"))?;
        // The recorder waits for the end of the process, too.
        let mut waits = BTreeMap::new();
        for (wait, _) in &calls {
            *waits.entry(*wait).or_insert(0) += 1;
        }
        waits.retain(|_, count| *count == WRITES);
        ensure!(
            waits.len() == LEVELS,
            "{} waits have {WRITES} calls `{class}`, not {LEVELS}",
            waits.len()
        );
        calls.retain(|(wait, _)| waits.contains_key(wait));
        let first = &calls[..LEVELS];
        for write in calls.chunks(LEVELS) {
            let mut levels = write.iter().zip(first);
            ensure!(
                levels.all(|((wait, _), (first, _))| wait == first),
                "`{class}` has the entries of {first:x?} in {write:x?}"
            );
            ensure!(
                write.is_sorted_by(|(inner, within), (outer, around)| {
                    inner != outer && within <= around
                }),
                "calls `{class}` are not within each other: {write:x?}"
            );
        }
    }
    Ok(())
}

fn verify_sleeps(_: Kernel, outcome: &Outcome) -> Result<()> {
    let (trace, _, _) = recorded(outcome, "typed-sleeps")?;
    for (class, (threads, ms), is_long) in [
        ("kprobe:hrtimer_nanosleep", LONG, true),
        ("kretprobe:hrtimer_nanosleep", LONG, true),
        ("fexit:hrtimer_nanosleep", SHORT, false),
    ] {
        let asked_ns = ms * 1_000_000;
        let found = trace.events(class).count() as u64;
        ensure!(
            trace.is_all(found, threads),
            "{found} events `{class}`, not {threads}"
        );
        // -1 if the entry was skipped.
        let mut unknown = 0;
        for event in trace.events(class) {
            ensure!(event.has("rqtp", asked_ns), "`{class}` has {event:?}");
            let slept = event.number("duration");
            unknown += u64::from(slept.is_none());
            ensure!(
                slept.is_none_or(|ns| ns >= asked_ns && (ns >= LIMIT_NS) == is_long),
                "a thread that sleeps {asked_ns} ns has {event:?}"
            );
        }
        ensure!(
            class.starts_with("kprobe:") || unknown <= trace.skipped,
            "{unknown} events `{class}` have no duration"
        );
    }
    Ok(())
}

fn verify_failed_opens(_: Kernel, outcome: &Outcome) -> Result<()> {
    let (trace, _, pid) = recorded(outcome, "typed-failed")?;
    let class = "kretprobe:__x64_sys_openat";
    // Of the current folder (`AT_FDCWD`), with ENOTDIR.
    expect(&trace, class, pid, FAILED_OPENS, |event| {
        event.text("ret") == Some("-20") && event.text("folder") == Some("-100")
    })?;
    let mut failed = trace.events(class);
    ensure!(
        failed.all(|event| event.text("ret") == Some("-20")),
        "`{class}` has other results than -20"
    );
    for class in ["kprobe:vfs_open", "kretprobe:vfs_open"] {
        let opened = trace.events(class).count() as u64;
        let named = trace.events(class);
        let named = named.filter(|event| event.text("name") == Some("init"));
        ensure!(
            opened == OTHER_OPENS && named.count() as u64 == opened,
            "{opened} events `{class}` for {OTHER_OPENS} opens of `init`"
        );
    }
    Ok(())
}

fn verify_raw(_: Kernel, outcome: &Outcome) -> Result<()> {
    let (trace, _, pid) = recorded(outcome, "typed-raw")?;
    expect(&trace, "rawtp:sys_enter", pid, READS, |event| {
        event.has("id", PREAD64) && event.has("count", 1)
    })?;
    let mut calls = trace.events("rawtp:sys_enter");
    ensure!(
        calls.all(|event| event.has("id", PREAD64)),
        "there are other calls than pread64"
    );
    expect(&trace, "rawtp:sched_process_exec", pid, 1, |event| {
        event.text("file") == Some("/bin/work") && event.text("comm") == Some("work")
    })
}

/// The probes of that recording; each has stacks and contexts.
const STACKED: [&str; 3] = ["kprobe:vfs_read", "kretprobe:vfs_read", "fentry:vfs_read"];

/// The names of functions come from the addresses that were recorded, by `tracer report`.
fn verify_stacks(_: Kernel, outcome: &Outcome) -> Result<()> {
    recorded(outcome, "typed-stacks")?;
    let report = Kept::succeeded(outcome, "typed-stacks-report")?;
    for class in STACKED {
        let found = stacks_with(&report.stdout, class, "__x64_sys_pread64");
        ensure!(
            found == STACKS,
            "{found} stacks of `{class}` have their system call, not {STACKS}: {:.2000}",
            report.stdout
        );
    }
    Ok(())
}

/// The probe of that recording.
const USER_STACKED: &str = "kprobe:__x64_sys_getppid";

fn verify_user_stacks(_: Kernel, outcome: &Outcome) -> Result<()> {
    recorded(outcome, "typed-user-stacks")?;
    let report = Kept::succeeded(outcome, "typed-user-stacks-report")?;
    let found = stacks_with(&report.stdout, USER_STACKED, "work_asks_for_its_parent");
    ensure!(
        found == STACKS && report.stderr.is_empty(),
        "{found} stacks have the function that called, not {STACKS}: {}{:.2000}",
        report.stderr,
        report.stdout
    );
    Ok(())
}

/// Events of a class in a report that have this function in the lines below them.
pub(super) fn stacks_with(report: &str, class: &str, function: &str) -> u64 {
    let (event, frame) = (format!(" {class}: "), format!(" {function}+0x"));
    let mut found = 0;
    let mut is_open = false;
    for line in report.lines() {
        if !line.starts_with('\t') {
            is_open = line.contains(&event);
        } else if is_open && line.contains(&frame) {
            found += 1;
            is_open = false;
        }
    }
    found
}

fn verify_contexts(_: Kernel, outcome: &Outcome) -> Result<()> {
    let (trace, _, pid) = recorded(outcome, "typed-stacks")?;
    for class in STACKED {
        let is_entry = !class.starts_with("kretprobe:");
        expect(&trace, class, pid, STACKS, |event| {
            // Others read whole buffers; a return has no arguments unless asked for.
            let is_ours = if is_entry { "count" } else { "ret" };
            event.has(is_ours, 1)
                && event.text("procname") == Some("work")
                && event.has("uid", 0)
                && event.has("nice", 0)
                && event.has("prio", 20)
                && event.has("euid", 0)
                && event.has("vpid", pid)
                && event.has("vtid", pid)
                && FIRST_NAMESPACES
                    .iter()
                    .all(|(name, inode)| event.has(name, *inode))
                // That of the first network namespace is given out at boot.
                && event.number("net_ns") > Some(0)
        })?;
    }
    Ok(())
}

fn verify_throttled(_: Kernel, outcome: &Outcome) -> Result<()> {
    let (trace, kept, pid) = recorded(outcome, "typed-throttled")?;
    for (class, count, option) in [
        ("kprobe:__x64_sys_getppid", CALLS / 10, "--every"),
        ("kretprobe:__x64_sys_getppid", 50, "--limit"),
    ] {
        expect(&trace, class, pid, count, |_| true)?;
        let left_out = kept.number_of_class(class, &format!("by {option}"));
        ensure!(
            left_out + count == CALLS,
            "{count} of {CALLS} are recorded, and {left_out} left out by {option}"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_sought_in_the_stacks_of_one_class() {
        let report = "work-1 [000] 1.0: kprobe:a: x=1\n\tff00 b+0x1 ([kernel])\n\tff10 c+0x2 \
                      ([kernel])\nwork-1 [000] 1.1: kprobe:d: x=1\n\tff00 b+0x1 ([kernel])\n";
        let found = |class, function| stacks_with(report, class, function);
        assert_eq!((found("kprobe:a", "c"), found("kprobe:d", "c")), (1, 0));
        assert_eq!(found("kprobe:d", "b"), 1);
    }
}
