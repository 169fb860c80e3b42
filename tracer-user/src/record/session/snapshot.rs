//! Snapshots: what the sub-buffers of a recording in overwrite mode hold, written as a
//! separate trace while recording continues.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, fs, io};

use anyhow::{Context, Result, bail};
use tokio::sync::{Mutex, oneshot};

use crate::record::output::{Folder, Memory, Output, Sidecar, TraceFolder};
use crate::record::session::mappings::Watch;
use crate::record::session::progress::{grouped, short};
use crate::record::session::streams::Commander;
use crate::record::session::thread_names;
use crate::record::sink::SinkKind;
use crate::record::stream::shared::{CopyJob, Order, StreamCopy};

/// Takes the snapshots of a recording, one at a time.
pub(super) struct Snapshots {
    memory: Arc<Memory>,
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
        memory: Arc<Memory>,
        watch: Option<Watch>,
        commanders: Vec<Commander>,
        kind: SinkKind,
        packet_bytes: usize,
    ) -> Self {
        Self {
            memory,
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
    /// If it cannot be written; then nothing of it is left.
    pub(super) async fn take(&self, path: &Path) -> Result<Snapshot> {
        if fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some()) {
            bail!("the folder `{}` is not empty; name another", path.display());
        }
        let folder = TraceFolder::create(Some(path), false)?;
        let output = Folder::new(folder, self.kind, self.packet_bytes);
        self.write(&output).await
    }

    /// Writes what the streams hold to an output that was not begun.
    pub(super) async fn write(&self, output: &dyn Output) -> Result<Snapshot> {
        let _turn = self.turn.lock().await;
        self.memory.begin_copy(output)?;
        let mut snapshot = Snapshot::default();
        let mut span: Option<(u64, u64)> = None;
        for (cpu, copy) in self.order(output)? {
            let copy = copy
                .await
                .with_context(|| format!("the thread that reads CPU {cpu} has ended"))??;
            snapshot.add(&copy);
            if let Some(begin_ns) = copy.begin_ns {
                let (begin, end) = span.unwrap_or((begin_ns, copy.end_ns));
                span = Some((begin.min(begin_ns), end.max(copy.end_ns)));
            }
        }
        snapshot.span_ns = span.map_or(0, |(begin, end)| end - begin);
        self.memory.copy_sidecar(Sidecar::Tasks, output)?;
        thread_names::write_running(output);
        if let Some(watch) = &self.watch {
            // An error means that the thread is gone, which the summary reports.
            let _ = watch.noted().await;
        }
        self.memory.copy_sidecar(Sidecar::KernelSymbols, output)?;
        self.memory.copy_sidecar(Sidecar::Mappings, output)?;
        if let Some(folder) = output.folder() {
            folder.clone_into(&mut snapshot.folder);
        }
        output.finish()?;
        Ok(snapshot)
    }

    /// Orders every stream to be copied, as it is now, to its sink of `output`.
    fn order(&self, output: &dyn Output) -> Result<Vec<(u32, Copying)>> {
        // All sinks before the first order: no copy is started that cannot be completed.
        let commanders = self.commanders.iter();
        let sinks = commanders
            .map(|stream| Ok(output.sink(stream.cpu, None)?))
            .collect::<Result<Vec<_>>>()?;
        let mut copies = Vec::with_capacity(sinks.len());
        for (stream, sink) in self.commanders.iter().zip(sinks) {
            let Some(sink) = sink else { continue };
            let (reply, copy) = oneshot::channel();
            stream.order(Order::Snapshot(CopyJob { sink, reply }));
            copies.push((stream.cpu, copy));
        }
        Ok(copies)
    }
}

/// A copy of a stream that was ordered.
type Copying = oneshot::Receiver<io::Result<StreamCopy>>;

impl Snapshot {
    fn add(&mut self, copy: &StreamCopy) {
        self.events += copy.written.events;
        self.bytes += copy.written.bytes;
        self.packets += copy.written.packets;
        self.overtaken += copy.overtaken;
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
                "\n{} packets were overwritten before they were written: events arrive faster than \
                 the disk can write them",
                grouped(self.overtaken)
            )?;
        }
        Ok(())
    }
}
