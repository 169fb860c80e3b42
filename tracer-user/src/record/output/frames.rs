//! A trace as [frames](crate::trace::folder::frames): on a pipe, or on a TCP connection.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

use crate::record::output::{ClosedChunks, Output, OutputError, Retention, Sidecar};
use crate::record::pool::Pool;
use crate::record::sink::{PipeSink, SharedPipe, SharedSocket, Sink, SocketSink};
use crate::trace::folder::frames::Frame;

/// Writes everything to one pipe.
pub type PipeOutput = FrameOutput<SharedPipe>;

/// Writes everything to one connection.
pub type SocketOutput = FrameOutput<SharedSocket>;

/// Writes everything to one channel, a frame at a time.
#[derive(Debug)]
pub struct FrameOutput<C>(Arc<C>);

impl<C> FrameOutput<C> {
    /// Takes a channel that nothing was written to.
    #[must_use]
    pub fn new(channel: C) -> Self {
        Self(Arc::new(channel))
    }
}

/// What takes frames.
trait Channel: Debug + Send + Sync + 'static {
    fn name(&self) -> &str;
    fn send(&self, frame: Frame, body: &[u8]) -> io::Result<()>;
    fn sink(this: &Arc<Self>, stream: u64, pool: Option<&Arc<Pool>>) -> Box<dyn Sink>;
    /// After the last frame.
    fn end(&self) -> io::Result<()>;
}

impl Channel for SharedPipe {
    fn name(&self) -> &str {
        self.name()
    }

    fn send(&self, frame: Frame, body: &[u8]) -> io::Result<()> {
        self.send(frame, body)
    }

    fn sink(this: &Arc<Self>, stream: u64, _pool: Option<&Arc<Pool>>) -> Box<dyn Sink> {
        Box::new(PipeSink::new(Arc::clone(this), stream))
    }

    fn end(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Channel for SharedSocket {
    fn name(&self) -> &str {
        self.name()
    }

    fn send(&self, frame: Frame, body: &[u8]) -> io::Result<()> {
        self.send(frame, body)
    }

    fn sink(this: &Arc<Self>, stream: u64, pool: Option<&Arc<Pool>>) -> Box<dyn Sink> {
        Box::new(SocketSink::new(Arc::clone(this), stream, pool.cloned()))
    }

    fn end(&self) -> io::Result<()> {
        self.end()
    }
}

impl<C: Channel> Output for FrameOutput<C> {
    fn name(&self) -> String {
        self.0.name().to_owned()
    }

    fn begin(&self, _uuid: [u8; 16], metadata: &str) -> Result<(), OutputError> {
        Ok(self.0.send(Frame::Metadata, metadata.as_bytes())?)
    }

    fn extend_metadata(&self, text: &str) -> Result<(), OutputError> {
        Ok(self.0.send(Frame::Metadata, text.as_bytes())?)
    }

    fn sink(
        &self,
        cpu: u32,
        pool: Option<&Arc<Pool>>,
    ) -> Result<Option<Box<dyn Sink>>, OutputError> {
        Ok(Some(Channel::sink(&self.0, u64::from(cpu), pool)))
    }

    fn sidecar(&self, kind: Sidecar, lines: &str) -> io::Result<Retention> {
        self.0.send(kind.frame(), lines.as_bytes())?;
        Ok(Retention::Kept)
    }

    fn finish(&self) -> Result<Option<ClosedChunks>, OutputError> {
        // A stream has failed with the same error, and reports it.
        if let Err(error) = self.0.send(Frame::End, &[]).and_then(|()| self.0.end()) {
            log::debug!("{error}");
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;
    use crate::trace::folder::frames::unpack;

    #[test]
    fn metadata_and_sidecars_grow_by_frames() {
        let (read_end, write_end) = rustix::pipe::pipe().unwrap();
        let output = PipeOutput::new(SharedPipe::new(write_end, "a pipe"));
        output.begin([0; 16], "first").unwrap();
        output.sidecar(Sidecar::Tasks, "1 2 a\n").unwrap();
        output.extend_metadata(", later").unwrap();
        output.sidecar(Sidecar::Tasks, "3 4 b\n").unwrap();
        output.finish().unwrap();
        drop(output);
        let folder = tempfile::tempdir().unwrap();
        let unpacked = unpack(&mut File::from(read_end), folder.path()).unwrap();
        assert!(unpacked.complete);
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("metadata"), "first, later");
        assert_eq!(read(Sidecar::Tasks.file_name()), "1 2 a\n3 4 b\n");
    }
}
