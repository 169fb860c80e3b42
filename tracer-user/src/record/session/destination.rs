//! Where a recording goes: a folder, the next program, or another machine.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use crate::record::pool::Pool;
use crate::record::session::chunks::{ChunkFolder, ClosedChunks, Rotation};
use crate::record::session::options::Options;
use crate::record::session::output::{Description, TraceFolder};
use crate::record::session::plan::Plan;
use crate::record::session::stack_notes::StackNotes;
use crate::record::session::tasks::TaskLog;
use crate::record::sink::{PipeSink, SharedPipe, SharedSocket, Sink, SocketSink};
use crate::record::subbuf::Mode;
use crate::trace::folder::frames::Frame;

/// What stands for standard output.
const STDOUT: &str = "-";

/// A place for a trace.
#[derive(Debug)]
pub(super) enum Destination {
    /// A folder of its own.
    Folder(TraceFolder),
    /// A folder of chunks.
    Chunks(ChunkFolder),
    /// A pipe, which takes everything as [frames](crate::trace::folder::frames).
    Pipe(Arc<SharedPipe>),
    /// Nowhere but to memory, in overwrite mode; the folder is for what is there at the end.
    Memory(Option<TraceFolder>),
    /// A connection, which takes the same.
    Socket(Arc<SharedSocket>),
}

impl Destination {
    pub(super) fn open(options: &Options, plan: &Plan) -> Result<Self> {
        let output = options.output.as_deref();
        let address = output.and_then(SharedSocket::address);
        let is_flight = options.mode == Mode::Overwrite;
        let is_folder = address.is_none()
            && output.is_none_or(|path| path != Path::new(STDOUT) && !SharedPipe::is_at(path));
        if let Some(rotation) = Rotation::of(options.rotate, plan.pool.run_bytes, plan.cpus.len())?
        {
            if is_flight || !is_folder {
                bail!(
                    "--rotate-size, --rotate-time and --max-size are for traces in folders: name \
                     one with -o, and record with --mode discard"
                );
            }
            let folder = TraceFolder::create(output, options.force)?;
            return ChunkFolder::new(folder, rotation, options.sink).map(Self::Chunks);
        }
        match output {
            None if is_flight => Ok(Self::Memory(None)),
            Some(path) if is_flight && !is_folder => bail!(
                "`{}` cannot take what is still overwritten: name a folder, or record with \
                 --mode discard",
                path.display()
            ),
            path if is_flight => {
                TraceFolder::create(path, options.force).map(|folder| Self::Memory(Some(folder)))
            }
            Some(_) if let Some(address) = address => {
                Ok(Self::Socket(Arc::new(SharedSocket::connect(address)?)))
            }
            Some(path) if path == Path::new(STDOUT) => SharedPipe::stdout()
                .context("cannot write to standard output")
                .map(|pipe| Self::Pipe(Arc::new(pipe))),
            Some(path) if SharedPipe::is_at(path) => SharedPipe::open(path)
                .with_context(|| format!("cannot write to `{}`", path.display()))
                .map(|pipe| Self::Pipe(Arc::new(pipe))),
            path => TraceFolder::create(path, options.force).map(Self::Folder),
        }
    }

    /// The folder, if it is one.
    pub(super) fn folder(&self) -> Option<PathBuf> {
        match self {
            Self::Folder(folder) => Some(folder.path().to_owned()),
            Self::Chunks(chunks) => Some(chunks.path().to_owned()),
            Self::Pipe(_) | Self::Socket(_) | Self::Memory(_) => None,
        }
    }

    /// The folder for what is in memory at the end, once.
    pub(super) fn take_last(&mut self) -> Option<TraceFolder> {
        match self {
            Self::Memory(folder) => folder.take(),
            Self::Folder(_) | Self::Chunks(_) | Self::Pipe(_) | Self::Socket(_) => None,
        }
    }

    /// Describes the trace, and writes that down.
    pub(super) fn describe(&mut self, plan: &Plan) -> Result<Description> {
        let name = match self {
            Self::Folder(folder) | Self::Memory(Some(folder)) => folder.name(),
            Self::Chunks(chunks) => chunks.name(),
            Self::Pipe(pipe) => pipe.name().to_owned(),
            Self::Socket(socket) => socket.name().to_owned(),
            Self::Memory(None) => "flight recorder".to_owned(),
        };
        let description = Description::new(plan, &name)?;
        let text = description.text.as_bytes();
        match self {
            Self::Folder(folder) => folder.write_metadata(&description)?,
            Self::Chunks(chunks) => chunks.begin(&description, plan)?,
            Self::Pipe(pipe) => pipe.send(Frame::Metadata, text)?,
            Self::Socket(socket) => socket.send(Frame::Metadata, text)?,
            Self::Memory(_) => {}
        }
        Ok(description)
    }

    /// The place for names of threads. Among frames and in chunks the metadata must come before.
    pub(super) fn task_log(&self) -> Result<TaskLog> {
        match self {
            Self::Folder(folder) => Ok(TaskLog::create(folder.path())?),
            Self::Chunks(chunks) => Ok(TaskLog::in_chunks(chunks.keeper()?.chunks())),
            Self::Pipe(pipe) => Ok(TaskLog::on_pipe(pipe)),
            Self::Memory(_) => Ok(TaskLog::in_memory()),
            Self::Socket(socket) => Ok(TaskLog::on_socket(socket)),
        }
    }

    /// The place for what the addresses of stacks mean.
    pub(super) fn stack_notes(&self) -> StackNotes {
        match self {
            Self::Folder(folder) => StackNotes::Folder(folder.path().to_owned()),
            Self::Chunks(chunks) => StackNotes::Folder(chunks.path().to_owned()),
            Self::Pipe(pipe) => StackNotes::Pipe(Arc::clone(pipe)),
            Self::Memory(_) => StackNotes::Memory(Arc::default()),
            Self::Socket(socket) => StackNotes::Socket(Arc::clone(socket)),
        }
    }

    /// The place for the packets of a CPU, whose pages are of this pool; none where they stay
    /// in memory.
    pub(super) fn sink(
        &self,
        cpu: u32,
        options: &Options,
        pool: &Arc<Pool>,
    ) -> Result<Option<Box<dyn Sink>>> {
        Ok(match self {
            Self::Folder(folder) => Some(Box::new(folder.sink(
                cpu,
                options.sink,
                pool.run_bytes(),
            )?)),
            Self::Chunks(chunks) => Some(Box::new(chunks.keeper()?.sink(cpu)?)),
            Self::Pipe(pipe) => Some(Box::new(PipeSink::new(Arc::clone(pipe), u64::from(cpu)))),
            Self::Socket(socket) => Some(Box::new(SocketSink::new(
                Arc::clone(socket),
                u64::from(cpu),
                Some(Arc::clone(pool)),
            ))),
            Self::Memory(_) => None,
        })
    }

    /// Leaves the trace where it is: it is complete, as far as it could be written. No sink
    /// is written any more. Says what rotation came to, if there was any.
    pub(super) fn keep(self) -> Result<Option<ClosedChunks>> {
        match self {
            Self::Memory(_) => Ok(None),
            Self::Folder(folder) => folder.keep().map(|()| None),
            Self::Chunks(chunks) => chunks.keep().map(Some),
            Self::Pipe(pipe) => {
                // After an error of the pipe this one says no more than that of its stream.
                if let Err(error) = pipe.send(Frame::End, &[]) {
                    log::debug!("{error}");
                }
                Ok(None)
            }
            Self::Socket(socket) => {
                let ended = socket.send(Frame::End, &[]).and_then(|()| socket.end());
                if let Err(error) = ended {
                    log::debug!("{error}");
                }
                Ok(None)
            }
        }
    }
}
