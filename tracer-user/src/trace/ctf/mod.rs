//! The Common Trace Format, version 1.8.
//!
//! A trace is a folder with a file `metadata` and one file for each stream (one CPU,
//! `channel0_N`); hidden files and folders in it are not part of the trace for other
//! readers. A stream is a row of packets.
//!
//! - writing: [`metadata()`] and [`PacketHeader`] ([`packet`] says what the events between
//!   two headers must keep to)
//! - reading one stream: [`Event`]s whose values borrow from their packet. `tsdl` reads
//!   metadata, `layout` turns it into steps, `scan` finds packets, `stream` decodes them.
//! - [`index`]: where the packets of a stream are, for readers that want to jump
//!
//! Traces of LTTng can be read too, as long as they have one channel and neither
//! structures nor floating-point numbers in their payloads.

mod error;
pub mod index;
pub(crate) mod labels;
pub(crate) mod layout;
pub mod metadata;
pub mod packet;
pub(crate) mod scan;
pub(crate) mod stream;
pub(crate) mod tsdl;

pub use error::ReadError;
pub use metadata::{Clock, EnvValue, TraceInfo, metadata};
pub use packet::{FIRST_EVENT_OFFSET, PACKET_HEADER_LEN, PacketError, PacketHeader};
pub use scan::Tail;
pub use stream::{Event, Fields, Loss};
pub use tsdl::TsdlError;
