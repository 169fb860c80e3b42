//! What can be wrong with a trace.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::trace::ctf::json::JsonError;
use crate::trace::ctf::packet::PacketError;
use crate::trace::ctf::tsdl::TsdlError;

/// Why a trace cannot be read, or not to its end.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The folder is not there, or not a folder.
    #[error("`{}` is not a trace: there is no such folder; give the folder that `tracer record` named at its end", .0.display())]
    NoFolder(PathBuf),
    /// The trace is being recorded.
    #[error("`{}` is in use: a recording writes to it; stop that first", .0.display())]
    InUse(PathBuf),
    /// The recorder was killed before it wrote the metadata.
    #[error("`{}` is not a trace: its recorder was killed before the recording began; there is nothing to repair, and the folder can be removed", .0.display())]
    NotBegun(PathBuf),
    /// The folder has no metadata.
    #[error("`{}` is not a trace: it has no file `metadata`; give the folder that `tracer record` named at its end", .0.display())]
    NoMetadata(PathBuf),
    /// The recorder ended before it wrote metadata.
    #[error("`{}` is empty, so the layout of the events is unknown; record again", .0.display())]
    EmptyMetadata(PathBuf),
    /// Neither CTF 1.8 nor CTF 2.
    #[error("`{}` is not the metadata of a CTF trace: {what}", path.display())]
    NotMetadata {
        /// The metadata file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The metadata is not TSDL.
    #[error("cannot parse `{}`: {cause}; the file is damaged or has something unsupported", path.display())]
    Metadata {
        /// The metadata file.
        path: PathBuf,
        /// Where and why.
        cause: TsdlError,
    },
    /// The metadata is not CTF 2.
    #[error("cannot parse `{}`: {cause}; the file is damaged or has something unsupported", path.display())]
    Json {
        /// The metadata file.
        path: PathBuf,
        /// Where and why.
        cause: JsonError,
    },
    /// A layout that this reader does not know.
    #[error("cannot read the trace of `{}`: {what}; other readers such as `babeltrace2` may be able to", path.display())]
    Unsupported {
        /// The metadata file.
        path: PathBuf,
        /// What is not known.
        what: String,
    },
    /// The operating system could not do it.
    #[error("cannot read `{}`: {cause}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// There is no valid packet header at the start of a packet.
    #[error("`{}` is corrupt at byte {offset}: {cause}; `tracer repair` keeps the packets before it", path.display())]
    Packet {
        /// The stream file.
        path: PathBuf,
        /// Bytes from its start.
        offset: u64,
        /// Why.
        cause: PacketError,
    },
    /// A packet of another trace.
    #[error("`{}` has a packet of another trace at byte {offset}: its uuid differs from that of the metadata; move the file out of the folder", path.display())]
    ForeignPacket {
        /// The stream file.
        path: PathBuf,
        /// Bytes from its start.
        offset: u64,
    },
    /// A folder of chunks with one that is of another trace.
    #[error("`{}` is not of the same trace as `{}`: its metadata differs; move one of them out of the folder, or read each alone", path.display(), first.display())]
    OtherTrace {
        /// The chunk.
        path: PathBuf,
        /// The first chunk.
        first: PathBuf,
    },
    /// An event whose id has no class.
    #[error("`{}` is corrupt at byte {offset}: no event class has id {id}", path.display())]
    UnknownClass {
        /// The stream file.
        path: PathBuf,
        /// Bytes from its start.
        offset: u64,
        /// The id.
        id: u64,
    },
    /// An event that does not fit into its packet.
    #[error("`{}` is corrupt at byte {offset}: {what} goes past the end of its packet's content", path.display())]
    PastContent {
        /// The stream file.
        path: PathBuf,
        /// Bytes from its start.
        offset: u64,
        /// The header of an event, or an event by name.
        what: String,
    },
}
