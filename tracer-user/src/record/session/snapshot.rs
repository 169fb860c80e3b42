//! Snapshots: what the sub-buffers of a recording in overwrite mode hold, written as a trace
//! of its own while recording goes on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, fs, io};

use anyhow::{Context, Result, bail};
use tokio::sync::{Mutex, oneshot};

use crate::record::session::mappings::Watch;
use crate::record::session::output::{Description, TraceFolder, monotonic_ns};
use crate::record::session::progress::{grouped, short};
use crate::record::session::stack_notes::StackNotes;
use crate::record::session::streams::Commander;
use crate::record::session::tasks::TaskLog;
use crate::record::sink::{Sink, SinkKind};
use crate::record::stream::shared::{CopyJob, Order, StreamCopy};

/// Takes the snapshots of a recording, one at a time.
pub(super) struct Snapshots {
    description: Description,
    tasks: Arc<TaskLog>,
    stack_notes: StackNotes,
    watch: Option<Watch>,
    commanders: Vec<Commander>,
    kind: SinkKind,
    packet_bytes: usize,
    turn: Mutex<()>,
}

/// A snapshot that was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Snapshot {
    pub(super) folder: PathBuf,
    pub(super) events: u64,
    pub(super) bytes: u64,
    pub(super) packets: u64,
    /// Time from the first event to the end.
    pub(super) span_ns: u64,
    /// Packets that were overwritten while the others were being written.
    pub(super) overtaken: u64,
}

impl Snapshots {
    /// Of these streams, with sub-buffers of `packet_bytes`.
    pub(super) fn new(
        description: Description,
        tasks: Arc<TaskLog>,
        stack_notes: StackNotes,
        watch: Option<Watch>,
        commanders: Vec<Commander>,
        kind: SinkKind,
        packet_bytes: usize,
    ) -> Self {
        Self {
            description,
            tasks,
            stack_notes,
            watch,
            commanders,
            kind,
            packet_bytes,
            turn: Mutex::new(()),
        }
    }

    /// Writes what the streams hold to a new folder at `path`, or one that is empty.
    ///
    /// # Errors
    /// Where it cannot be written; nothing is left behind then.
    pub(super) async fn take(&self, path: &Path) -> Result<Snapshot> {
        if fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some()) {
            bail!("the folder `{}` is not empty; name another", path.display());
        }
        self.write(TraceFolder::create(Some(path), false)?).await
    }

    /// Writes it to a folder that is there.
    pub(super) async fn write(&self, mut folder: TraceFolder) -> Result<Snapshot> {
        let _turn = self.turn.lock().await;
        folder.write_metadata(&self.description)?;
        let sink = |cpu| -> Result<Box<dyn Sink>> {
            Ok(Box::new(folder.sink(cpu, self.kind, self.packet_bytes)?))
        };
        let mut snapshot = Snapshot::default();
        let mut span: Option<(u64, u64)> = None;
        for (cpu, part) in self.order(sink)? {
            let part = part
                .await
                .with_context(|| format!("nobody reads the stream of CPU {cpu}"))??;
            snapshot.add(&part);
            if let Some(begin_ns) = part.begin_ns {
                let (begin, end) = span.unwrap_or((begin_ns, part.end_ns));
                span = Some((begin.min(begin_ns), end.max(part.end_ns)));
            }
        }
        snapshot.span_ns = span.map_or(0, |(begin, end)| end - begin);
        let names = TaskLog::create(folder.path())?;
        names.append(&self.tasks.recent());
        names.snapshot(monotonic_ns());
        if let Some(watch) = &self.watch {
            // An error: what is noted stays as it is, which the end of the recording tells.
            let _ = watch.noted().await;
        }
        self.stack_notes.write_to(folder.path())?;
        snapshot.folder = folder.path().to_owned();
        folder.keep()?;
        Ok(snapshot)
    }

    /// Has every stream written as it is now, to the sinks that `sink` gives for its CPU.
    fn order(
        &self,
        sink: impl Fn(u32) -> Result<Box<dyn Sink>>,
    ) -> Result<Vec<(u32, oneshot::Receiver<io::Result<StreamCopy>>)>> {
        // All sinks before the first order, so that nothing is begun that cannot be ended.
        let commanders = self.commanders.iter();
        let sinks = commanders
            .map(|stream| sink(stream.cpu))
            .collect::<Result<Vec<_>>>()?;
        let orders = self.commanders.iter().zip(sinks).map(|(stream, sink)| {
            let (reply, part) = oneshot::channel();
            stream.order(Order::Snapshot(CopyJob { sink, reply }));
            (stream.cpu, part)
        });
        Ok(orders.collect())
    }
}

impl Snapshot {
    fn add(&mut self, part: &StreamCopy) {
        self.events += part.written.events;
        self.bytes += part.written.bytes;
        self.packets += part.written.packets;
        self.overtaken += part.overtaken;
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "snapshot of {} events over {:.2} s, {}B: {}",
            grouped(self.events),
            self.span_ns as f64 / 1e9,
            short(self.bytes as f64),
            self.folder.display()
        )?;
        if self.overtaken > 0 {
            write!(
                f,
                "\n{} packets were overwritten before they were written: events come faster than \
                 the disk takes them",
                grouped(self.overtaken)
            )?;
        }
        Ok(())
    }
}
