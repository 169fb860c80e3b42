//! Recording with the real recorder.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use aya::programs::loaded_programs;
use aya_obj::generated::bpf_prog_type::{
    BPF_PROG_TYPE_KPROBE, BPF_PROG_TYPE_TRACEPOINT, BPF_PROG_TYPE_TRACING,
};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tracer::record::control::RUNTIME_DIR_VARIABLE;

use crate::common::trace::Trace;

pub(crate) const TRACER: &str = env!("CARGO_BIN_EXE_tracer");

/// Longer than anything that is awaited takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_mins(3);

/// User and group without any privileges.
pub(crate) const NOBODY: u32 = 65534;

/// The workload, whose events are known.
pub(crate) fn work() -> String {
    env::var("TRACER_WORK").expect("`cargo xtask test --tier host` names the workload")
}

/// The words of a command that runs the workload.
pub(crate) fn work_words(args: &[&str]) -> Vec<String> {
    let mut words = vec![work()];
    words.extend(args.iter().map(|&arg| arg.to_owned()));
    words
}

/// The number that the workload printed after `name`: 10 for `getppid` in `getppid 10 pid 7 …`.
pub(crate) fn printed(output: &str, name: &str) -> u32 {
    let mut words = output.split_ascii_whitespace();
    words
        .find(|word| *word == name)
        .and_then(|_| words.next()?.parse().ok())
        .unwrap_or_else(|| panic!("no number after `{name}` in: {output}"))
}

/// Longer than the kernel takes to detach all tracepoints, after their recorder has returned.
const DETACHING: Duration = Duration::from_mins(10);

/// Polls until `done` returns something.
pub(crate) fn wait_for<T>(what: &str, done: impl FnMut() -> Option<T>) -> T {
    wait_at_most(PATIENCE, what, done)
}

fn wait_at_most<T>(limit: Duration, what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(start.elapsed() < limit, "timed out waiting for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A recorder that is about to be started, with a folder for its trace.
pub(crate) struct Recorder {
    folder: TempDir,
    args: Vec<OsString>,
    command: Vec<OsString>,
    wrapper: Vec<OsString>,
}

impl Recorder {
    /// `tracer record ARGS…`.
    pub(crate) fn new(args: &[&str]) -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            args: args.iter().map(Into::into).collect(),
            command: Vec::new(),
            wrapper: Vec::new(),
        }
    }

    /// The same with its folder on a disk, beside the build: temporary files may be in memory.
    pub(crate) fn on_disk(args: &[&str]) -> Self {
        let test = env::current_exe().expect("the path of this test");
        let build = test.parent().expect("the folder of this test");
        Self {
            folder: tempfile::tempdir_in(build).expect("a folder on a disk"),
            ..Self::new(args)
        }
    }

    /// `… -- COMMAND…`.
    pub(crate) fn command<W: AsRef<OsStr>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.command = words.into_iter().map(|w| w.as_ref().to_owned()).collect();
        self
    }

    /// Runs the recorder by a shell script, which finds its command line in `"$@"`.
    pub(crate) fn by_script(mut self, script: &str) -> Self {
        self.wrapper
            .extend(["sh", "-ec", script, "sh"].map(Into::into));
        self
    }

    /// As [`by_script`](Self::by_script), in a private mount namespace: what the script mounts is
    /// unmounted at its end.
    pub(crate) fn in_mount_namespace(mut self, script: &str) -> Self {
        self.wrapper = ["unshare", "--mount"].map(Into::into).into();
        self.by_script(script)
    }

    /// As [`by_script`](Self::by_script), in the namespaces that these options of `unshare` make.
    pub(crate) fn in_namespaces(mut self, options: &[&str], script: &str) -> Self {
        self.wrapper = std::iter::once(&"unshare")
            .chain(options)
            .map(Into::into)
            .collect();
        self.by_script(script)
    }

    /// A folder for the test's own files; the trace is the folder `trace` in it.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn trace_dir(&self) -> PathBuf {
        self.folder().join("trace")
    }

    fn process(&self) -> Command {
        let mut words = self.wrapper.clone();
        words.extend([TRACER.into(), "record".into(), "-o".into()]);
        words.push(self.trace_dir().into());
        words.extend(self.args.iter().cloned());
        if !self.command.is_empty() {
            words.push("--".into());
            words.extend(self.command.iter().cloned());
        }
        let mut process = Command::new(&words[0]);
        process
            .args(&words[1..])
            .current_dir(self.folder())
            // A recorder that a test kills leaves its socket.
            .env(RUNTIME_DIR_VARIABLE, self.folder().join("run"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        process
    }

    /// Runs it to its end.
    pub(crate) fn run(self) -> Recording {
        self.start().wait()
    }

    /// Runs it to its end with this standard input.
    pub(crate) fn run_with_input(self, input: Stdio) -> Recording {
        let child = self.process().stdin(input).spawn().expect("the recorder");
        Running {
            recorder: self,
            child,
        }
        .wait()
    }

    /// Starts it in a new process group.
    pub(crate) fn start(self) -> Running {
        let child = self.process().process_group(0).spawn();
        Running {
            child: child.expect("the recorder"),
            recorder: self,
        }
    }
}

/// A recorder that runs. It is killed when this is dropped.
pub(crate) struct Running {
    recorder: Recorder,
    child: Child,
}

impl Running {
    pub(crate) fn folder(&self) -> &Path {
        self.recorder.folder()
    }

    pub(crate) fn trace_dir(&self) -> PathBuf {
        self.recorder.trace_dir()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the recorder's command has made the file `name`, which it can do only
    /// while it is recorded.
    pub(crate) fn wait_for_file(&mut self, name: &str) {
        let path = self.folder().join(name);
        wait_for(name, || {
            let ended = self.child.try_wait().expect("a child to wait for");
            assert!(ended.is_none(), "ended before `{name}`: {ended:?}");
            path.exists().then_some(())
        });
    }

    /// Waits until it records.
    pub(crate) fn wait_until_recording(&self) {
        wait_for("a session that answers", || {
            let output = Command::new(TRACER)
                .args(["sessions", "--json"])
                .env(RUNTIME_DIR_VARIABLE, self.folder().join("run"))
                .output()
                .expect("a list of sessions");
            (!output.stdout.is_empty()).then_some(())
        });
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id() as i32).expect("a process id");
        kill_process(pid, signal).expect("a running recorder");
    }

    /// Kills the recorder's command as well, and whatever that started.
    pub(crate) fn kill_group(&self) {
        let group = Pid::from_raw(self.child.id() as i32).expect("a process group");
        rustix::process::kill_process_group(group, Signal::KILL).expect("a process to kill");
    }

    pub(crate) fn wait(mut self) -> Recording {
        let read = |from: Option<Box<dyn std::io::Read + Send>>| {
            thread::spawn(move || {
                let mut bytes = Vec::new();
                let mut from = from.expect("a pipe");
                from.read_to_end(&mut bytes).expect("output");
                String::from_utf8(bytes).expect("UTF-8 of the recorder")
            })
        };
        let stdout = self.child.stdout.take();
        let stderr = self.child.stderr.take();
        let stdout = read(stdout.map(|pipe| Box::new(pipe) as _));
        let stderr = read(stderr.map(|pipe| Box::new(pipe) as _));
        let status = self.child.wait().expect("a child to wait for");
        Recording {
            status,
            stdout: stdout.join().expect("standard output"),
            stderr: stderr.join().expect("standard error"),
            trace_dir: self.trace_dir(),
            running: self,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Errors mean that it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A recorder that has ended.
pub(crate) struct Recording {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    trace_dir: PathBuf,
    /// Keeps the folder.
    running: Running,
}

impl Recording {
    pub(crate) fn folder(&self) -> &Path {
        self.running.folder()
    }

    pub(crate) fn trace_dir(&self) -> &Path {
        &self.trace_dir
    }

    /// The trace of a recording that went well.
    pub(crate) fn trace(&self) -> Trace {
        assert!(self.status.success(), "{}: {}", self.status, self.stderr);
        Trace::read(&self.trace_dir)
    }

    /// The recording failed, printed all of `parts`, and left no folder.
    pub(crate) fn assert_refused(&self, parts: &[&str]) {
        self.assert_refused_with(1, parts);
    }

    /// The same with another exit status.
    pub(crate) fn assert_refused_with(&self, status: i32, parts: &[&str]) {
        self.assert_failed(status, parts);
        assert!(!self.trace_dir.exists(), "a folder was left");
    }

    /// The recording ended with `status` and printed all of `parts`.
    pub(crate) fn assert_failed(&self, status: i32, parts: &[&str]) {
        assert_eq!(self.status.code(), Some(status), "{}", self.stderr);
        for part in parts {
            assert!(
                self.stderr.contains(part),
                "no `{part}` in: {}",
                self.stderr
            );
        }
    }
}

/// The eBPF programs that are loaded now, by id, of the kinds that recorders have: others load
/// their own when they start a service. Other recorders may come and go.
pub(crate) fn programs() -> BTreeSet<u32> {
    let kinds = [
        BPF_PROG_TYPE_KPROBE,
        BPF_PROG_TYPE_TRACEPOINT,
        BPF_PROG_TYPE_TRACING,
    ];
    loaded_programs()
        // One that is gone since it was listed cannot be looked at.
        .filter_map(Result::ok)
        .filter(|program| kinds.contains(&program.program_type()))
        .map(|program| program.id())
        .collect()
}

/// Runs `action`; what it loaded into the kernel must go away.
pub(crate) fn leaves_nothing_attached<T>(action: impl FnOnce() -> T) -> T {
    let before = programs();
    let value = action();
    let added: Vec<u32> = programs().difference(&before).copied().collect();
    wait_at_most(DETACHING, "the kernel to let go of the programs", || {
        let left = programs();
        added.iter().all(|id| !left.contains(id)).then_some(())
    });
    value
}

/// A process that waits for a signal before it runs its workload, so that a recording of this
/// process alone can be started before.
pub(crate) struct Held {
    child: Child,
    folder: TempDir,
}

impl Held {
    pub(crate) fn new(args: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in ["begin", "done"] {
            let path = folder.path().join(name);
            let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
            rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0)
                .expect("a named pipe");
        }
        let child = Command::new("sh")
            .args(["-c", ">ready; read begin <begin; exec \"$@\" >done", "sh"])
            .arg(work())
            .args(args)
            .current_dir(folder.path())
            .spawn()
            .expect("a shell");
        let this = Self { child, folder };
        // A shell asks for its parent when it starts, which is not part of the workload.
        wait_for("a shell that is ready", || {
            this.folder.path().join("ready").exists().then_some(())
        });
        this
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end and lets go of its number.
    pub(crate) fn reap(&mut self) {
        self.child.wait().expect("a child to wait for");
    }

    /// A shell script that makes it begin and prints the output of the workload.
    pub(crate) fn script(&self) -> String {
        let folder = self.folder.path().display();
        format!("echo >{folder}/begin; cat {folder}/done")
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Errors mean that it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The bytes of all files of a trace, by name.
pub(crate) fn files(dir: &Path) -> Vec<(String, u64)> {
    let mut files: Vec<(String, u64)> = fs::read_dir(dir)
        .expect("a folder")
        .map(|entry| {
            let entry = entry.expect("an entry");
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, entry.metadata().expect("a file").len())
        })
        .collect();
    files.sort();
    files
}
