//! Choosing where a recording goes: `--output`, `--mode` and the rotation options.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use crate::record::output::{
    ChunkFolder, ChunkLayout, Folder, Memory, Output, PipeOutput, Rotation, SocketOutput,
    TraceFolder,
};
use crate::record::session::options::Options;
use crate::record::session::plan::Plan;
use crate::record::sink::{SharedPipe, SharedSocket};
use crate::record::subbuf::Mode;

/// Standard output, as an argument of `--output`.
const STDOUT: &str = "-";

/// The output of a recording.
pub(super) struct Destination {
    pub(super) output: Arc<dyn Output>,
    /// The same in overwrite mode, for snapshots.
    pub(super) memory: Option<Arc<Memory>>,
    /// Takes what is in memory at the end.
    last: Option<Folder>,
}

/// Whether opening the output can wait for a reader, at a FIFO or an address.
pub(super) fn waits_for_reader(options: &Options) -> bool {
    options
        .output
        .as_deref()
        .is_some_and(|path| SharedSocket::address(path).is_some() || SharedPipe::is_at(path))
}

impl Destination {
    pub(super) fn open(options: &Options, plan: &Plan) -> Result<Self> {
        let asked = options.output.as_deref();
        let address = asked.and_then(SharedSocket::address);
        let is_folder = address.is_none()
            && asked.is_none_or(|path| path != Path::new(STDOUT) && !SharedPipe::is_at(path));
        let rotation = Rotation::of(options.rotate, plan.pool.run_bytes, plan.cpus.len())?;
        let is_flight = options.mode == Mode::Overwrite;
        if rotation.is_some() && (is_flight || !is_folder) {
            bail!(
                "--rotate-size, --rotate-time and --max-size need a trace folder: name one with \
                 --output, and record with --mode discard"
            );
        }
        let create = || TraceFolder::create(asked, options.force);
        if is_flight {
            if let Some(path) = asked.filter(|_| !is_folder) {
                bail!(
                    "cannot write to `{}` in overwrite mode: name a folder, or record with --mode \
                     discard",
                    path.display()
                );
            }
            let folder = asked.map(|_| create()).transpose()?;
            return Ok(Self::in_memory(folder, options, plan));
        }
        let output: Arc<dyn Output> = match (rotation, asked) {
            (Some(rotation), _) => {
                let layout = ChunkLayout {
                    cpus: plan.cpus.clone(),
                    kind: options.sink,
                    packet_bytes: plan.pool.run_bytes,
                    counted_below: plan.probe_classes(),
                };
                Arc::new(ChunkFolder::new(create()?, rotation, layout)?)
            }
            (None, Some(_)) if let Some(address) = address => {
                Arc::new(SocketOutput::new(SharedSocket::connect(address)?))
            }
            (None, Some(path)) if path == Path::new(STDOUT) => {
                let pipe = SharedPipe::stdout().context("cannot write to standard output")?;
                Arc::new(PipeOutput::new(pipe))
            }
            (None, Some(path)) if SharedPipe::is_at(path) => {
                let pipe = SharedPipe::open(path)
                    .with_context(|| format!("cannot write to `{}`", path.display()))?;
                Arc::new(PipeOutput::new(pipe))
            }
            (None, _) => Arc::new(folder_output(create()?, options, plan)),
        };
        Ok(Self {
            output,
            memory: None,
            last: None,
        })
    }

    fn in_memory(folder: Option<TraceFolder>, options: &Options, plan: &Plan) -> Self {
        let memory = Arc::new(Memory::new(folder.as_ref().map(TraceFolder::name)));
        Self {
            output: Arc::clone(&memory) as Arc<dyn Output>,
            memory: Some(memory),
            last: folder.map(|folder| folder_output(folder, options, plan)),
        }
    }

    /// The trace folder, if there is one while recording.
    pub(super) fn folder(&self) -> Option<PathBuf> {
        self.output.folder().map(Path::to_owned)
    }

    /// The folder for what is in memory at the end, once.
    pub(super) fn take_last(&mut self) -> Option<Folder> {
        self.last.take()
    }
}

fn folder_output(folder: TraceFolder, options: &Options, plan: &Plan) -> Folder {
    Folder::new(folder, options.sink, plan.pool.run_bytes)
}
