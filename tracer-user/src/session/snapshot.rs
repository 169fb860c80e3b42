//! Snapshots: what the sub-buffers of a recording in overwrite mode hold, written as a trace
//! of its own while recording goes on.

use std::{fmt, path::Path, sync::Arc};

use anyhow::{Context, Result};

use super::{
    flight::Part,
    output::{Description, TraceFolder, monotonic_ns},
    progress::{grouped, short},
    streams::Streams,
    tasks::TaskLog,
};
use crate::sink::{FileSink, IndexedSink, Sink, SinkKind};

/// What is the same for all snapshots of a recording.
pub(super) struct Snapshots {
    pub(super) description: Description,
    pub(super) tasks: Arc<TaskLog>,
    pub(super) kind: SinkKind,
    /// Size of a sub-buffer.
    pub(super) packet_bytes: usize,
}

/// A snapshot that was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Snapshot {
    pub(super) folder: std::path::PathBuf,
    pub(super) events: u64,
    pub(super) bytes: u64,
    pub(super) packets: u64,
    /// Time from the first event to the end.
    pub(super) span_ns: u64,
    /// Packets that were overwritten while the others were being written.
    pub(super) overtaken: u64,
}

impl Snapshots {
    /// Writes what the streams hold to a new folder at `path`.
    ///
    /// # Errors
    /// Where it cannot be written; nothing is left behind then.
    pub(super) async fn take(&self, streams: &Streams, path: &Path) -> Result<Snapshot> {
        let folder = TraceFolder::create(Some(path), false)?;
        self.write(streams, folder).await
    }

    /// Writes it to a folder that is there.
    pub(super) async fn write(&self, streams: &Streams, folder: TraceFolder) -> Result<Snapshot> {
        folder.write_metadata(&self.description)?;
        let sink = |cpu| -> Result<Box<dyn Sink>> {
            let path = folder.stream_path(cpu);
            let file = FileSink::create(&path, self.kind, self.packet_bytes)?;
            Ok(Box::new(IndexedSink::new(file, &folder.index_path(cpu)?)))
        };
        let mut snapshot = Snapshot::default();
        let mut span: Option<(u64, u64)> = None;
        for (cpu, part) in streams.order_snapshot(sink)? {
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
        snapshot.folder = folder.path().to_owned();
        folder.keep()?;
        Ok(snapshot)
    }
}

impl Snapshot {
    fn add(&mut self, part: &Part) {
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
