//! Contexts of events, and whose events are recorded. Needs root.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::common::recording::{
    NOBODY, Recorder, Recording, leaves_nothing_attached, printed, work, work_words,
};
use crate::common::trace::Trace;

const ENTRY: &str = "syscall_entry_getppid";
const EXIT: &str = "syscall_exit_getppid";

/// The events of a trace, as `tracer report --json` prints them.
fn events(recording: &Recording) -> Vec<Value> {
    // Both readers have to have them.
    recording.trace();
    let text = crate::common::trace::report(recording.trace_dir(), &["--json"]);
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Their contexts.
fn contexts(recording: &Recording) -> Vec<Map<String, Value>> {
    let context = |event: Value| event["context"].as_object().cloned().unwrap_or_default();
    events(recording).into_iter().map(context).collect()
}

/// Records getppid of a shell script alone, with contexts; gives also what it printed.
fn recorded(names: &str, script: &str) -> (Vec<Map<String, Value>>, Recording) {
    let recording = Recorder::new(&[
        "-e",
        "syscalls:sys_enter_getppid if comm == 'work'",
        "--only-command",
        "--context",
        names,
    ])
    .command(["sh", "-c", script])
    .run();
    (contexts(&recording), recording)
}

#[test]
fn users_groups_and_names() {
    let script = format!("exec {} getppid 3", work());
    let (contexts, _) = recorded("uid,gid,comm", &script);
    let uid = rustix::process::getuid().as_raw();
    let gid = rustix::process::getgid().as_raw();
    let expected = json!({ "uid": uid, "gid": gid, "procname": "work" });
    assert_eq!(contexts.len(), 3);
    assert!(
        contexts.iter().all(|context| json!(context) == expected),
        "{contexts:?}"
    );
}

#[test]
fn another_user_is_distinguished() {
    // Found before the privileges are gone: the folder may be root's.
    let script = format!(
        "exec 3<{}; setpriv --reuid {NOBODY} --regid 7 --clear-groups /proc/self/fd/3 getppid 2",
        work()
    );
    let recording = Recorder::new(&[
        "-e",
        "syscalls:sys_enter_getppid",
        "--only-command",
        "--uid",
        &NOBODY.to_string(),
        "--context",
        "gid,uid",
    ])
    .command(["sh", "-c", &script])
    .run();
    let contexts = contexts(&recording);
    let expected = json!({ "uid": NOBODY, "gid": 7 });
    assert_eq!(contexts.len(), 2, "{}", recording.stderr);
    assert!(
        contexts.iter().all(|context| json!(context) == expected),
        "{contexts:?}"
    );
}

#[test]
fn priorities_are_those_that_were_set() {
    // Whoever runs the test may have been nice.
    let own = rustix::process::getpriority_process(None).unwrap();
    let more = (19 - own).min(5);
    let script = format!(
        "nice -n {more} {0} getppid 2; chrt -f 7 {0} getppid 3",
        work()
    );
    let (contexts, _) = recorded("prio,nice", &script);
    let nice = own + more;
    // Counted from the first one after those of real time.
    let ordinary = json!({ "prio": 20 + nice, "nice": nice });
    // Priority 7 of real time is 99 - 7 to the kernel.
    let real_time = json!({ "prio": 99 - 7 - 100, "nice": own });
    let of = |expected: &Value| {
        contexts
            .iter()
            .filter(|context| json!(context) == *expected)
            .count()
    };
    assert_eq!((of(&ordinary), of(&real_time)), (2, 3), "{contexts:?}");
}

#[test]
fn the_parent_is_the_process_that_started_it() {
    let script = format!("echo parent $$; {} getppid 2; :", work());
    let (contexts, recording) = recorded("ppid,procname", &script);
    let expected = json!({ "ppid": printed(&recording.stdout, "parent"), "procname": "work" });
    assert_eq!(contexts.len(), 2);
    assert!(
        contexts.iter().all(|context| json!(context) == expected),
        "{contexts:?}"
    );
}

#[test]
fn effective_and_saved_ids_are_distinguished() {
    let script = format!("exec {} as 3000 3", work());
    let (contexts, _) = recorded("uid,euid,suid,gid,egid,sgid", &script);
    let expected = json!({
        "uid": 3000, "euid": 3001, "suid": 3002, "gid": 3003, "egid": 3004, "sgid": 3005,
    });
    assert_eq!(contexts.len(), 3);
    assert!(
        contexts.iter().all(|context| json!(context) == expected),
        "{contexts:?}"
    );
}

#[test]
fn the_first_namespace_has_the_numbers_that_every_event_has() {
    let script = format!("echo parent $$; {} tree 0 3; :", work());
    let recording = Recorder::new(&[
        "-e",
        "syscalls:sys_enter_getppid if comm == 'work'",
        "--only-command",
        "--context",
        "pid,vpid,tid,vtid,vppid",
    ])
    .command(["sh", "-c", &script])
    .run();
    let parent = printed(&recording.stdout, "parent");
    let events = events(&recording);
    let threads: BTreeSet<_> = events.iter().map(|event| event["tid"].as_u64()).collect();
    // The workload has two threads.
    assert_eq!((events.len(), threads.len()), (6, 2));
    for event in events {
        let expected = json!({ "vpid": event["pid"], "vtid": event["tid"], "vppid": parent });
        assert_eq!(event["context"], expected);
    }
}

/// Prints what namespaces it is in, and what the process is called in each that it is in, the
/// outermost first; then has a child call, and calls itself.
const IN_NAMESPACES: &str = r#"
for name in cgroup ipc mnt net pid time user uts; do
    echo ${name}_ns $(readlink /proc/self/ns/$name | tr -cd 0-9)
done
while read name numbers; do
    [ $name = NSpid: ] && echo outside $numbers
done </proc/self/status
"$0" getppid 2
exec "$0" getppid 3
"#;

#[test]
fn namespaces_are_those_that_the_thread_is_in() {
    let names = [
        "cgroup_ns",
        "ipc_ns",
        "mnt_ns",
        "net_ns",
        "pid_ns",
        "time_ns",
        "user_ns",
        "uts_ns",
    ];
    let unshare = "unshare --fork --map-root-user --cgroup --ipc --mount --net --pid --time --uts";
    let recording = Recorder::new(&[
        "-e",
        "syscalls:sys_enter_getppid if comm == 'work'",
        "--only-command",
        "--context",
        &names.join(","),
        "--context",
        "ppid,vppid,vpid,vtid",
    ])
    .command(
        unshare
            .split(' ')
            .chain(["sh", "-c", IN_NAMESPACES, &work()]),
    )
    .run();
    let output = &recording.stdout;
    let inodes = names.map(|name| (name, printed(output, name)));
    // None is the test's.
    for (name, inode) in inodes {
        let link = format!("/proc/self/ns/{}", name.trim_end_matches("_ns"));
        assert_ne!(
            fs::metadata(link).unwrap().ino(),
            u64::from(inode),
            "{name}"
        );
    }
    let outside = printed(output, "outside");
    let child = printed(output, "pid");
    let events = events(&recording);
    assert_eq!(events.len(), 5);
    for (number, event) in events.iter().enumerate() {
        let context = &event["context"];
        for (name, inode) in inodes {
            assert_eq!(context[name], inode, "{name}");
        }
        let numbers = ["vppid", "vpid", "vtid"].map(|name| context[name].as_u64().unwrap());
        if number < 2 {
            assert_eq!(context["ppid"], outside);
            assert_eq!(numbers, [1, child.into(), child.into()]);
        } else {
            // The parent is in none of the namespaces that it could have a number in.
            assert_eq!(event["pid"], outside);
            assert_eq!(numbers, [0, 1, 1]);
        }
    }
}

/// Contexts stand in front of payloads of all kinds.
#[test]
fn payloads_after_contexts_are_whole() {
    let path = "/no/such/file";
    let probes = "syscall:openat,sched:sched_process_exec,raw_syscalls:sys_enter";
    for names in [
        "comm,uid,prio,cgroup",
        "uid",
        "gid,nice,ppid",
        "comm",
        "vtid,pid_ns,net_ns",
    ] {
        let recording = Recorder::new(&["-e", probes, "--only-command", "--context", names])
            .command(work_words(&["open", path, "4"]))
            .run();
        let pid = printed(&recording.stdout, "pid");
        let trace = recording.trace();
        let opened = trace.of("syscall_entry_openat");
        assert_eq!(
            opened
                .filter(|event| event.text("filename") == path)
                .count(),
            4,
            "{names}"
        );
        let started = trace.of("sched_process_exec").next().unwrap();
        assert_eq!((started.text("filename"), started.pid), (&work()[..], pid));
        let calls = trace.of("raw_syscalls:sys_enter");
        let opens = calls.filter(|event| event.number("id") == 257);
        assert_eq!(opens.count(), trace.of("syscall_entry_openat").count());
    }
}

#[test]
fn there_is_no_such_context() {
    let run = || {
        Recorder::new(&["-e", "syscall:getppid", "--context", "uuid"])
            .command(work_words(&["exit", "0"]))
            .run()
    };
    leaves_nothing_attached(run)
        .assert_refused(&["unknown context field `uuid`", "did you mean `uid`"]);
}

#[test]
fn threads_of_one_name_alone() {
    let of = |name: &str| {
        let script = format!("{} getppid 10; :", work());
        let recording = Recorder::new(&["-e", "syscall:getppid", "--comm", name])
            .command(["sh", "-c", &script])
            .run();
        let pid = printed(&recording.stdout, "pid");
        let trace = recording.trace();
        let others = trace.events.iter().filter(|event| event.pid != pid).count();
        (trace.count(ENTRY, pid) + trace.count(EXIT, pid), others)
    };
    assert_eq!(of("no-such-name"), (0, 0));
    // Others may run the same workload.
    assert_eq!(of("work").0, 20);
    assert_eq!(of("w?r[a-k]").0, 20);
    assert_eq!(
        of("*a name that no thread can have, being so long*"),
        (0, 0)
    );
}

/// A cgroup of version 2 of this test, which goes with this.
struct Cgroup(PathBuf);

impl Cgroup {
    /// `None`, with the reason, if there can be none.
    fn new(name: &str) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let mount = mounts.lines().find_map(|line| {
            let mut words = line.split(' ');
            let folder = words.nth(1)?;
            (words.next()? == "cgroup2").then(|| PathBuf::from(folder))
        });
        let Some(mount) = mount else {
            println!("LEFT OUT: cgroups of version 2 are not mounted");
            return None;
        };
        let path = mount.join(format!("tracer-test-{}-{name}", std::process::id()));
        if let Err(error) = fs::create_dir(&path) {
            println!("LEFT OUT: cannot make `{}`: {error}", path.display());
            return None;
        }
        Some(Self(path))
    }

    fn below(&self, name: &str) -> Self {
        let path = self.0.join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// A script that runs the workload in it.
    fn script(&self, calls: u32) -> String {
        let path = self.0.display();
        format!(
            "(echo 0 >{path}/cgroup.procs; exec {} getppid {calls})",
            work()
        )
    }

    fn id(&self) -> u64 {
        fs::metadata(&self.0).unwrap().ino()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // A task that has just ended may still be in it.
        for _ in 0..200 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

#[test]
fn the_cgroup_of_a_thread_is_a_context_and_can_be_filtered_by() {
    let Some(cgroup) = Cgroup::new("context") else {
        return;
    };
    let script = format!("{}; {} getppid 4", cgroup.script(3), work());
    let (contexts, _) = recorded("cgroup", &script);
    let inside = contexts
        .iter()
        .filter(|context| context["cgroup"] == cgroup.id());
    assert_eq!((inside.count(), contexts.len()), (3, 7));
    let filter = format!("cgroup == {}", cgroup.id());
    let trace = Recorder::new(&["-e", "syscalls:sys_enter_getppid", "-f", &filter])
        .command(["sh", "-c", &script])
        .run()
        .trace();
    assert_eq!(trace.events.len(), 3);
}

/// The calls of the workload that a recording of `path` has.
fn in_cgroup(path: &Path, script: &str) -> Trace {
    let path = path.to_str().unwrap();
    Recorder::new(&["-e", "syscalls:sys_enter_getppid", "--cgroup", path])
        .command(["sh", "-c", script])
        .run()
        .trace()
}

#[test]
fn tasks_of_one_cgroup_alone() {
    let Some(cgroup) = Cgroup::new("alone") else {
        return;
    };
    let child = cgroup.below("child");
    let outside = format!("{} getppid 100", work());
    let script = [cgroup.script(3), outside, child.script(5)].join("; ");
    // What is below is part of it.
    assert_eq!(in_cgroup(&cgroup.0, &script).events.len(), 8);
    assert_eq!(in_cgroup(&child.0, &script).events.len(), 5);
}

#[test]
fn a_folder_that_is_not_a_cgroup_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path(), Path::new("/no/such/cgroup")] {
        let path = path.to_str().unwrap();
        let run = || {
            Recorder::new(&["-e", "syscall:getppid", "--cgroup", path])
                .command(work_words(&["exit", "0"]))
                .run()
        };
        leaves_nothing_attached(run).assert_refused(&["cgroup", path]);
    }
}

/// Names of users are looked up.
#[test]
fn users_have_names() {
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    assert!(passwd.lines().any(|line| line.starts_with("root:")));
    let trace = Recorder::new(&["-e", "syscall:getppid", "--uid", "nobody-of-this-name"])
        .command(work_words(&["exit", "0"]))
        .run();
    trace.assert_failed(2, &["no such user `nobody-of-this-name`"]);
    // The workload runs as the user of this test, root.
    let recording = Recorder::new(&["-e", "syscalls:sys_enter_getppid", "--uid", "root"])
        .command(work_words(&["getppid", "6"]))
        .run();
    let pid = printed(&recording.stdout, "pid");
    assert_eq!(recording.trace().count(ENTRY, pid), 6);
}
