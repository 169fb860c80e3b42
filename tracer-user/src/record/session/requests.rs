//! Requests to a running recording, from its control socket or by SIGUSR1, and the replies.

use std::io::{IsTerminal, stderr};
use std::path::{self, Path};
use std::process;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result};
use jiff::Timestamp;
use tokio::task::JoinSet;

use crate::record::control::protocol::{SnapshotReply, SnapshotRequest, Status};
use crate::record::control::{
    Answer, Attaching, Call, ControlError, ControlSocket, RuntimeDir, Server, SessionName,
};
use crate::record::session::options::Options;
use crate::record::session::plan::Plan;
use crate::record::session::progress::{self, grouped, short};
use crate::record::session::recording::Recording;
use crate::record::session::snapshot::{Snapshot, Snapshots};
use crate::record::session::trigger::Trigger;
use crate::record::stream::shared::{StreamCounter, StreamLink};
use crate::record::subbuf::Mode;
use crate::sys::stderr::message;

/// Standard output, as an argument of `--output`.
const STDOUT: &str = "-";

/// The name of a recording that is about to begin, and the socket that goes with it.
pub(super) struct Claim {
    name: SessionName,
    socket: Option<ControlSocket>,
}

impl Claim {
    /// Claims the name of the recording. If that fails for a name that the user did not choose,
    /// the recording goes without.
    pub(super) fn new(options: &Options) -> Result<Self> {
        let name = options
            .session
            .clone()
            .unwrap_or_else(|| SessionName::of_process(process::id()));
        let socket = match claim(&name) {
            Ok(socket) => Some(socket),
            Err(error) if options.session.is_some() => return Err(error.into()),
            Err(error) => {
                let error = anyhow::Error::new(error);
                message!(
                    "tracer: warning: {error:#}; recording continues, but `tracer sessions` cannot list it"
                );
                None
            }
        };
        Ok(Self { name, socket })
    }

    /// Makes earlier recorders, which may still detach, pause until the result is dropped. Without
    /// a folder for sockets, none of them could know.
    pub(super) fn announce_attaching() -> Option<Attaching> {
        let runtime = RuntimeDir::open(&RuntimeDir::default_path()).ok()??;
        runtime.attaching().ok()
    }

    /// Starts serving requests, in the context of a runtime.
    pub(super) fn serve(
        self,
        options: &Options,
        plan: &Plan,
        folder: Option<&Path>,
        recording: &Recording,
    ) -> Result<Requests> {
        let server = self.socket.map(Server::start).transpose();
        Ok(Requests {
            server: server.context("cannot serve the control socket")?,
            at_start: status_at_start(self.name, options, plan, folder),
            links: recording.streams.links(),
            snapshots: recording.snapshots.clone(),
            trigger: plan.trigger.clone(),
            running: JoinSet::new(),
            quiet: options.quiet,
        })
    }
}

fn claim(name: &SessionName) -> Result<ControlSocket, ControlError> {
    let runtime = RuntimeDir::create(&RuntimeDir::default_path())?;
    ControlSocket::claim(runtime, name)
}

fn status_at_start(
    session: SessionName,
    options: &Options,
    plan: &Plan,
    folder: Option<&Path>,
) -> Status {
    let absolute = |path: &Path| {
        let absolute = path::absolute(path).unwrap_or_else(|_| path.to_owned());
        absolute.display().to_string()
    };
    let output = match (folder, options.output.as_deref()) {
        _ if options.mode == Mode::Overwrite => None,
        (Some(folder), _) => Some(absolute(folder)),
        (None, Some(pipe)) if pipe != Path::new(STDOUT) => Some(absolute(pipe)),
        (None, _) => Some(STDOUT.to_owned()),
    };
    Status {
        session,
        pid: process::id(),
        mode: options.mode,
        since: Timestamp::now(),
        events: 0,
        bytes: 0,
        lost: 0,
        overwritten: 0,
        cpus: plan.cpus.len() as u32,
        buffer_bytes: plan.buffer_bytes(),
        subbuf_bytes: plan.pool.run_bytes as u64,
        output,
        probes: options
            .probes
            .iter()
            .filter_map(|probe| probe.text.clone())
            .collect(),
        command: options
            .command
            .iter()
            .map(|word| word.display().to_string())
            .collect(),
        detaching: None,
    }
}

/// Requests to a running recording.
pub(super) struct Requests {
    server: Option<Server>,
    /// The status, without counts.
    at_start: Status,
    links: Vec<Arc<StreamLink>>,
    /// In overwrite mode.
    snapshots: Option<Arc<Snapshots>>,
    trigger: Option<Arc<Trigger>>,
    /// Snapshots that are being taken.
    running: JoinSet<()>,
    quiet: bool,
}

impl Requests {
    /// The next request by the control socket. It may be cancelled without one being lost.
    pub(super) async fn next(&mut self) -> Call {
        match &mut self.server {
            Some(server) => server.next().await,
            None => std::future::pending().await,
        }
    }

    /// Waits until an event asks for a snapshot.
    pub(super) fn triggered(&self) -> impl Future<Output = ()> + use<> {
        let trigger = self.trigger.clone();
        async move {
            match trigger {
                Some(trigger) => trigger.fired().await,
                None => std::future::pending().await,
            }
        }
    }

    pub(super) fn answer(&mut self, call: Call) {
        match call {
            Call::Status(answer) => answer.give(Ok(self.status())),
            Call::Snapshot(request, answer) => self.snapshot(request, answer),
        }
    }

    /// Takes a snapshot into a new folder in the current one, in the background.
    pub(super) fn snapshot_here(&mut self) {
        let folder = path::absolute(self.at_start.session.snapshot_folder());
        let (answer, answered) = Answer::new();
        match folder {
            Ok(folder) => self.snapshot(SnapshotRequest { folder }, answer),
            Err(error) => answer.give(Err(format!("cannot find the current folder: {error}"))),
        }
        let quiet = self.quiet;
        self.running.spawn(async move {
            let ended = |_| Err("the recording has ended".to_owned());
            report(answered.await.unwrap_or_else(ended), quiet);
        });
    }

    /// Takes a snapshot in the background, or replies why not.
    fn snapshot(&mut self, request: SnapshotRequest, answer: Answer<SnapshotReply>) {
        let Some(snapshots) = self.snapshots.clone() else {
            return answer.give(Err(self.why_no_snapshots()));
        };
        self.running.spawn(async move {
            let taken = snapshots.take(&request.folder).await;
            answer.give(match taken {
                Ok(snapshot) => Ok(reply(snapshot)),
                Err(error) => Err(format!("{error:#}")),
            });
        });
    }

    fn why_no_snapshots(&self) -> String {
        let to = match self.at_start.output.as_deref() {
            Some(STDOUT) | None => "standard output".to_owned(),
            Some(path) => format!("`{path}`"),
        };
        format!("it writes all events to {to}; record with --mode overwrite to take snapshots")
    }

    /// The status now.
    pub(super) fn status(&self) -> Status {
        // Relaxed: numbers to show.
        let sum = |count: fn(&StreamCounter) -> u64| {
            self.links.iter().map(|link| count(&link.counter)).sum()
        };
        Status {
            events: sum(|counter| counter.events.load(Ordering::Relaxed)),
            bytes: sum(|counter| counter.bytes.load(Ordering::Relaxed)),
            lost: sum(|counter| counter.lost.load(Ordering::Relaxed)),
            overwritten: sum(|counter| counter.overwritten.load(Ordering::Relaxed)),
            ..self.at_start.clone()
        }
    }

    /// Waits for snapshots that are being taken, stops serving, and releases the name.
    pub(super) async fn close(mut self) {
        while self.running.join_next().await.is_some() {}
        if let Some(server) = self.server {
            server.close().await;
        }
    }
}

fn reply(snapshot: Snapshot) -> SnapshotReply {
    SnapshotReply {
        folder: snapshot.folder,
        events: snapshot.events,
        bytes: snapshot.bytes,
        packets: snapshot.packets,
        missing_packets: snapshot.overtaken,
    }
}

/// Prints the result of a snapshot that no client waits for.
fn report(answer: Result<SnapshotReply, String>, quiet: bool) {
    if quiet && answer.is_ok() {
        return;
    }
    if stderr().is_terminal() {
        progress::line("");
    }
    match answer {
        Ok(reply) => message!(
            "snapshot: {} events, {}B: {}",
            grouped(reply.events),
            short(reply.bytes as f64),
            reply.folder.display()
        ),
        Err(reason) => message!("tracer: warning: cannot take a snapshot: {reason}"),
    }
}
