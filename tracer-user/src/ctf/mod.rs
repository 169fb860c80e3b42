//! The Common Trace Format, version 1.8: what a trace is on disk, and back.
//!
//! A trace is a folder with a file `metadata` and one file for each stream (one CPU,
//! `channel0_N`); hidden files and folders in it are not part of the trace for other
//! readers. A stream is a row of packets.
//!
//! - writing: [`metadata()`] and [`PacketHeader`] ([`packet`] says what the events between
//!   two headers must keep to), and [`tasks::format_line`]
//! - reading: [`Trace`], which gives [`Event`]s whose values borrow from their packet.
//!   `tsdl` reads metadata, `layout` turns it into steps, `scan` finds packets, `stream`
//!   decodes one stream and `read` merges them.
//! - [`FieldPlace`]: one field of an event that is not in a trace yet
//! - [`index`]: where the packets of a stream are, for readers that want to jump
//! - [`chunk`]: a trace that goes on from folder to folder
//! - [`kallsyms`], [`mappings`]: whose code it is that addresses of stacks are in
//! - [`frames`]: a whole trace on a pipe
//! - [`repair()`]: cuts the trace of a recorder that was killed to whole packets
//!
//! Traces of LTTng can be read too, as long as they have one channel and neither
//! structures nor floating-point numbers in their payloads.

pub mod chunk;
mod class;
mod error;
pub mod frames;
pub mod index;
pub mod kallsyms;
mod labels;
mod layout;
mod lines;
pub mod mappings;
pub mod metadata;
pub mod packet;
mod place;
mod read;
mod repair;
mod scan;
mod stream;
pub mod tasks;
mod tsdl;
mod value;

pub use class::{Class, ClassField};
pub use error::ReadError;
pub use metadata::{Clock, EnvValue, TraceInfo, metadata};
pub use packet::{FIRST_EVENT_OFFSET, PACKET_HEADER_LEN, PacketError, PacketHeader};
pub use place::FieldPlace;
pub use read::{Events, Record, Trace, parse_metadata};
pub use repair::{Cut, RepairSummary, repair};
pub use scan::Tail;
pub use stream::{Event, Fields, Loss};
pub use tsdl::TsdlError;
pub use value::{Named, Number, Numbers, SetBits, Value};
