//! Where a recording goes: a folder, the next program, or another machine.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result};

use super::{
    options::Options,
    output::{TraceFolder, describe},
    plan::Plan,
    tasks::TaskLog,
};
use crate::{
    ctf::frames::Frame,
    sink::{FileSink, IndexedSink, PipeSink, SharedPipe, SharedSocket, Sink, SocketSink},
};

/// What stands for standard output.
const STDOUT: &str = "-";

/// A place for a trace.
#[derive(Debug)]
pub(super) enum Destination {
    /// A folder of its own.
    Folder(TraceFolder),
    /// A pipe, which takes everything as [frames](crate::ctf::frames).
    Pipe(Arc<SharedPipe>),
    /// A connection, which takes the same.
    Socket(Arc<SharedSocket>),
}

impl Destination {
    pub(super) fn open(options: &Options) -> Result<Self> {
        let output = options.output.as_deref();
        if let Some(address) = output.and_then(SharedSocket::address) {
            let socket = SharedSocket::connect(address)?;
            return Ok(Self::Socket(Arc::new(socket)));
        }
        match output {
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
            Self::Pipe(_) | Self::Socket(_) => None,
        }
    }

    /// Writes the metadata; returns the trace's identity.
    pub(super) fn write_metadata(&self, plan: &Plan) -> Result<[u8; 16]> {
        match self {
            Self::Folder(folder) => folder.write_metadata(plan),
            Self::Pipe(pipe) => {
                let (uuid, text) = describe(plan, pipe.name())?;
                pipe.send(Frame::Metadata, text.as_bytes())?;
                Ok(uuid)
            }
            Self::Socket(socket) => {
                let (uuid, text) = describe(plan, socket.name())?;
                socket.send(Frame::Metadata, text.as_bytes())?;
                Ok(uuid)
            }
        }
    }

    /// The place for names of threads. Among frames the metadata must come before.
    pub(super) fn task_log(&self) -> Result<TaskLog> {
        match self {
            Self::Folder(folder) => TaskLog::create(folder.path()),
            Self::Pipe(pipe) => Ok(TaskLog::on_pipe(pipe)),
            Self::Socket(socket) => Ok(TaskLog::on_socket(socket)),
        }
    }

    /// The place for the packets of a CPU.
    pub(super) fn sink(&self, cpu: u32, options: &Options, plan: &Plan) -> Result<Box<dyn Sink>> {
        Ok(match self {
            Self::Folder(folder) => {
                let path = folder.stream_path(cpu);
                let file = FileSink::create(&path, options.sink, plan.packet_bytes)?;
                Box::new(IndexedSink::new(file, &folder.index_path(cpu)?))
            }
            Self::Pipe(pipe) => Box::new(PipeSink::new(Arc::clone(pipe), u64::from(cpu))),
            Self::Socket(socket) => {
                // A stream lends its only buffer: there is no pool to take other pages from.
                let pool = None;
                Box::new(SocketSink::new(Arc::clone(socket), u64::from(cpu), pool))
            }
        })
    }

    /// Leaves the trace where it is: it is complete, as far as it could be written.
    pub(super) fn keep(self) -> Result<()> {
        match self {
            Self::Folder(folder) => folder.keep(),
            Self::Pipe(pipe) => {
                // After an error of the pipe this one says no more than that of its stream.
                if let Err(error) = pipe.send(Frame::End, &[]) {
                    log::debug!("{error}");
                }
                Ok(())
            }
            Self::Socket(socket) => {
                let ended = socket.send(Frame::End, &[]).and_then(|()| socket.end());
                if let Err(error) = ended {
                    log::debug!("{error}");
                }
                Ok(())
            }
        }
    }
}
