//! Where a trace goes: one [`Output`] per kind of destination, one file for each.
//!
//! | output | destination |
//! |---|---|
//! | [`Folder`] | a trace folder |
//! | [`ChunkFolder`] | a folder of chunks: traces that follow each other |
//! | [`PipeOutput`], [`SocketOutput`] | frames on a pipe or a TCP connection |
//! | [`Memory`] | nowhere: packets stay in the sub-buffers, for snapshots |
//!
//! # Writing a trace
//! 1. [`begin`](Output::begin) with the metadata;
//! 2. a [`sink`](Output::sink) per CPU, written by a thread each; [`sidecar`](Output::sidecar)
//!    from any thread, and [`extend_metadata`](Output::extend_metadata) before the first packet
//!    that needs what is added;
//! 3. [`finish`](Output::finish) when no sink is written any more. An output that is dropped
//!    without it removes what it created.
//!
//! A sink sees whole packets. What an index or a collector on the network needs about a packet (its
//! time span, its sizes, the loss before it) is in the header of the packet; see
//! [`packet_header`](crate::record::sink::packet_header).

mod chunks;
mod files;
mod folder;
mod frames;
mod memory;
mod sidecar;
mod threads;
mod trace_folder;

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::record::pool::Pool;
use crate::record::sink::Sink;
use crate::trace::folder::InUse;

pub use chunks::{
    ChunkFolder, ChunkLayout, ClosedChunks, Removed, RotateOptions, Rotation, RotationError,
};
pub use folder::Folder;
pub use frames::{FrameOutput, PipeOutput, SocketOutput};
pub use memory::Memory;
pub use sidecar::{Retention, Sidecar};
pub use trace_folder::TraceFolder;

pub(crate) use threads::running_threads;

/// A destination for a trace.
pub trait Output: Debug + Send + Sync {
    /// What the trace is called in its metadata.
    fn name(&self) -> String;

    /// The folder that readers find the trace in, if it is in one.
    fn folder(&self) -> Option<&Path> {
        None
    }

    /// Begins the trace with its id and its metadata. Called once, before everything else.
    ///
    /// # Errors
    /// If the metadata cannot be written.
    fn begin(&self, uuid: [u8; 16], metadata: &str) -> Result<(), OutputError>;

    /// Appends to the metadata: classes of events that were not known at the start.
    ///
    /// # Errors
    /// If it cannot be written. Packets that need it must not follow then.
    fn extend_metadata(&self, text: &str) -> Result<(), OutputError>;

    /// The sink for the packets of a CPU; none if they stay in memory. `pool` owns the pages
    /// that packets will be in; none: the sink only borrows them.
    ///
    /// # Errors
    /// If it cannot be created, or the trace was not begun.
    fn sink(
        &self,
        cpu: u32,
        pool: Option<&Arc<Pool>>,
    ) -> Result<Option<Box<dyn Sink>>, OutputError>;

    /// Whether there is a place for sidecars of this kind. If not, there is no point in gathering them.
    fn takes(&self, _kind: Sidecar) -> bool {
        true
    }

    /// Appends whole lines to a sidecar. Lines of one call stay together.
    ///
    /// # Errors
    /// If they cannot be written. The trace is readable without them.
    fn sidecar(&self, kind: Sidecar, lines: &str) -> io::Result<Retention>;

    /// Begins a new chunk now; false if the output has no chunks.
    ///
    /// # Errors
    /// If it cannot be created.
    fn rotate(&self) -> io::Result<bool> {
        Ok(false)
    }

    /// Completes the trace and keeps it. Gives the totals of rotation, if there was any.
    ///
    /// # Errors
    /// If the trace is gone.
    fn finish(&self) -> Result<Option<ClosedChunks>, OutputError>;
}

/// Why a trace cannot be written to a destination.
#[derive(Debug, Error)]
pub enum OutputError {
    /// The folder would be mixed up with something else.
    #[error(
        "the folder `{}` is not empty; name another, or replace its trace with --force",
        .0.display()
    )]
    NotEmpty(PathBuf),
    /// Another recorder writes to the folder.
    #[error("{0}; name another folder")]
    InUse(#[from] InUse),
    /// What is in the folder cannot be replaced.
    #[error(
        "the folder `{}` contains `{entry}`, which is not part of a trace; --force replaces \
         only traces",
        folder.display()
    )]
    NotATrace {
        /// The folder.
        folder: PathBuf,
        /// The name of what is in it.
        entry: String,
    },
    /// The folder was removed during the recording.
    #[error("the trace is lost: `{}` was removed while it was recorded", .0.display())]
    Removed(PathBuf),
    /// A sink or text before the trace was begun.
    #[error("the trace was not begun")]
    NotBegun,
    /// A CPU that no stream was planned for.
    #[error("the chunks have no stream for CPU {0}")]
    NoStream(u32),
    /// A system call failed. The message names what it was for.
    #[error(transparent)]
    Io(#[from] io::Error),
}
