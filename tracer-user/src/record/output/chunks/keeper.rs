//! The thread that finishes chunks, and begins those whose time has come.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::record::clock::monotonic_ns;
use crate::record::output::chunks::open::OpenChunk;
use crate::record::output::chunks::sink::RotatingSink;
use crate::record::output::chunks::{ChunkLayout, Chunks, ClosedChunks, Rotation};
use crate::record::output::files::write_new;
use crate::record::output::{OutputError, Sidecar, running_threads};
use crate::trace::folder::chunk::{BEFORE, Before};

/// How long to wait for another thread that is beginning a chunk.
const RETRY: Duration = Duration::from_millis(10);

/// A chunk has taken the place of another.
#[derive(Debug)]
pub(super) struct Succession {
    pub(super) old: OpenChunk,
    /// Folder of the one that was begun.
    pub(super) begun: PathBuf,
    /// The last packet of each stream before it.
    pub(super) before: Before,
}

enum Message {
    Succession(Box<Succession>),
    Stop,
}

/// Passes work to the keeper.
#[derive(Debug)]
pub(super) struct Mailbox(SyncSender<Message>);

impl Mailbox {
    /// Returns when the keeper has finished what it was given before.
    pub(super) fn hand_over(&self, succession: Succession) -> io::Result<()> {
        self.0
            .send(Message::Succession(Box::new(succession)))
            .map_err(|_| io::Error::other("the thread that finishes chunks has ended"))
    }
}

/// The owner of the thread, and of the chunks. When it is dropped the thread ends; unless
/// they were [closed](Self::close), the last chunk stays as it is.
#[derive(Debug)]
pub(super) struct Keeper {
    chunks: Arc<Chunks>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Keeper {
    /// Begins the first chunk in `folder`.
    pub(super) fn start(
        folder: &Path,
        layout: ChunkLayout,
        metadata: &str,
        rotation: Rotation,
    ) -> io::Result<Self> {
        let (sender, inbox) = mpsc::sync_channel(0);
        let chunks = Chunks::begin(folder, layout, metadata, rotation, Mailbox(sender))?;
        let chunks = Arc::new(chunks);
        let thread = {
            let chunks = Arc::clone(&chunks);
            thread::Builder::new()
                .name("chunks".to_owned())
                .spawn(move || run(&chunks, &inbox))?
        };
        Ok(Self {
            chunks,
            thread: Mutex::new(Some(thread)),
        })
    }

    pub(super) fn chunks(&self) -> &Arc<Chunks> {
        &self.chunks
    }

    /// The sink for the packets of a CPU.
    ///
    /// # Errors
    /// If it is not one of the layout.
    pub(super) fn sink(&self, cpu: u32) -> Result<RotatingSink, OutputError> {
        RotatingSink::new(&self.chunks, cpu).ok_or(OutputError::NoStream(cpu))
    }

    /// Completes the last chunk. No sink may be written any more.
    pub(super) fn close(&self) -> ClosedChunks {
        self.stop();
        self.chunks.close()
    }

    fn stop(&self) {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take() {
            // An error of either means that it has panicked, which was printed.
            let _ = self.chunks.keeper.0.send(Message::Stop);
            let _ = thread.join();
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(chunks: &Chunks, inbox: &Receiver<Message>) {
    loop {
        let message = match chunks.until_due() {
            Some(wait) => inbox.recv_timeout(wait.max(RETRY)),
            None => inbox.recv().map_err(RecvTimeoutError::from),
        };
        let done = match message {
            Ok(Message::Succession(succession)) => finish(chunks, &succession),
            Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => match chunks.replace_old() {
                Ok(Some(succession)) => {
                    finish(chunks, &succession).and_then(|()| chunks.make_room())
                }
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            },
        };
        if let Err(error) = done {
            chunks.fail(&error);
        }
    }
}

/// Adds to the new chunk what it needs to be read alone, and completes the old one.
fn finish(chunks: &Chunks, succession: &Succession) -> io::Result<()> {
    let folder = &succession.begun;
    let written = write_new(&folder.join(BEFORE), &succession.before.to_text());
    if let Err(error) = Sidecar::Tasks.append_in(folder, &running_threads(monotonic_ns())) {
        // Reports lack names, which is no reason to end a recording.
        log::warn!("cannot write names of threads: {error}");
    }
    // Also if the new one has failed: the old one may be all that is left.
    chunks.complete(&succession.old)?;
    written.map(drop)
}
