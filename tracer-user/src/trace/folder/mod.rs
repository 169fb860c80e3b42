//! A whole trace: one folder, a folder of chunks, or frames on a pipe.
//!
//! The layout of the folders is this project's own; what is in the files is
//! [CTF](super::ctf).
//!
//! - [`Trace`] reads a trace: [`Record`]s of all its streams, in the order of time
//! - [`chunk`]: a trace that continues from folder to folder
//! - [`frames`]: a whole trace on a pipe
//! - [`FolderLock`]: keeps others out of a folder that is being written
//! - [`repair()`]: cuts the trace of a killed recorder to whole packets

pub mod chunk;
mod find;
pub mod frames;
mod lock;
mod read;
mod repair;

pub use find::parse_metadata;
pub use lock::{FolderLock, InUse};
pub use read::{Events, Record, Trace};
pub use repair::{Cut, RepairSummary, repair};
