//! The Common Trace Format: versions 1.8 and 2.
//!
//! A trace is a folder with a file `metadata` and one file for each stream (one CPU,
//! `channel0_N`); hidden files and folders in it are not part of the trace for other
//! readers. A stream is a row of packets.
//!
//! - writing: [`metadata()`] and [`PacketHeader`] ([`packet`] says what the events between
//!   two headers must keep to)
//! - reading one stream: [`Event`]s whose values borrow from the mapped file. `tsdl` and
//!   `json` parse metadata, `layout` compiles it, `scan` finds packets, `stream` decodes them.
//! - [`index`]: where the packets of a stream are, for readers that want to jump

mod error;
pub mod index;
mod json;
pub(crate) mod labels;
pub(crate) mod layout;
mod map;
pub mod metadata;
pub mod packet;
pub(crate) mod packets;
pub(crate) mod scan;
pub(crate) mod schema;
pub(crate) mod source;
pub(crate) mod stream;
mod tsdl;

pub use error::ReadError;
pub use json::JsonError;
pub use metadata::{Clock, EnvValue, TraceInfo, metadata};
pub use packet::{FIRST_EVENT_OFFSET, PACKET_HEADER_LEN, PacketError, PacketHeader};
pub use scan::Tail;
pub use stream::{Event, Loss, Piece};
pub use tsdl::TsdlError;
