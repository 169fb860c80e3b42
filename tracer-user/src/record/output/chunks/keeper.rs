//! The thread that finishes chunks, and begins those whose time has come.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::record::session::chunks::open::OpenChunk;
use crate::record::session::chunks::sink::RotatingSink;
use crate::record::session::chunks::{ChunkPlan, Chunks, ClosedChunks, Rotation};
use crate::record::session::output::{monotonic_ns, write_new};
use crate::record::session::tasks::TaskLog;
use crate::trace::folder::chunk::{BEFORE, Before};

/// Somebody who begins a chunk needs no longer for it.
const RETRY: Duration = Duration::from_millis(10);

/// A chunk has taken the place of another.
#[derive(Debug)]
pub(super) struct Succession {
    pub(super) old: OpenChunk,
    /// Folder and names of threads of the one that was begun.
    pub(super) begun: (PathBuf, Arc<TaskLog>),
    /// What the streams had come to then.
    pub(super) before: Before,
}

enum Message {
    Succession(Box<Succession>),
    Stop,
}

/// Where the keeper gets its work from.
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
pub(in crate::record::session) struct Keeper {
    chunks: Arc<Chunks>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Keeper {
    /// Begins the first chunk.
    pub(in crate::record::session) fn start(plan: ChunkPlan, rotation: Rotation) -> Result<Self> {
        let (sender, inbox) = mpsc::sync_channel(0);
        let chunks = Arc::new(Chunks::begin(plan, rotation, Mailbox(sender))?);
        let thread = {
            let chunks = Arc::clone(&chunks);
            thread::Builder::new()
                .name("chunks".to_owned())
                .spawn(move || run(&chunks, &inbox))
                .context("cannot start the thread that finishes chunks")?
        };
        Ok(Self {
            chunks,
            thread: Mutex::new(Some(thread)),
        })
    }

    pub(in crate::record::session) fn chunks(&self) -> &Arc<Chunks> {
        &self.chunks
    }

    /// The place for the packets of a CPU.
    ///
    /// # Errors
    /// If it is not one of the plan.
    pub(in crate::record::session) fn sink(&self, cpu: u32) -> Result<RotatingSink> {
        RotatingSink::new(&self.chunks, cpu)
            .with_context(|| format!("the chunks have no stream for CPU {cpu}"))
    }

    /// Completes the last chunk. No sink may be written any more.
    pub(in crate::record::session) fn close(&self) -> ClosedChunks {
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
    let (folder, names) = &succession.begun;
    let written = write_new(&folder.join(BEFORE), &succession.before.to_text());
    names.snapshot(monotonic_ns());
    // Also when the new one has failed: the old one may be all that stays.
    chunks.complete(&succession.old)?;
    written.map(drop)
}
