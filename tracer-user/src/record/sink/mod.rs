//! Writing closed packets to a file, a pipe or a socket.
//!
//! # Whose pages
//! A sink **borrows** the pages of a packet. When [`Sink::write_packet`] returns, with or
//! without an error, nothing can read them through the sink any more, and their owner may
//! rewrite them:
//!
//! | way | the pages are free when | because |
//! |---|---|---|
//! | [`WriteMethod::Direct`] | `splice` has returned | the kernel waits for the device |
//! | [`WriteMethod::Splice`] | `splice` has returned | the kernel has copied into the page cache |
//! | [`WriteMethod::Copy`], [`WriteMethod::Pipe`] | `write` has returned | the kernel has copied |
//! | [`WriteMethod::SocketCopy`] | `sendmsg` has returned | the kernel has copied |
//!
//! If the kernel goes on reading, a sink takes the pages over instead, by [`Sink::take`], and
//! leaves others in their place:
//!
//! | way | the pages come back to their pool when |
//! |---|---|
//! | [`WriteMethod::Socket`] | a completion on the socket's error queue reports it |
//!
//! The pipe between `vmsplice` and `splice` is the sink's own; it is empty when a packet is
//! written, and thrown away with what it holds when one is not.
//!
//! # Parts
//! - [`FileSink`]: a file, by the best way that works; [`IndexedSink`] adds an index
//! - [`PipeSink`]: all streams to one pipe
//! - [`SocketSink`]: all streams to one TCP connection
//! - `transfer` goes from way to way, `conduit` is the pipe between, `growth` allocates
//!   ahead, `direct` finds out about `O_DIRECT`

mod conduit;
mod direct;
#[cfg(test)]
mod faults;
mod file;
mod growth;
mod index;
mod pipe;
mod report;
mod socket;
#[cfg(test)]
mod test_stream;
mod transfer;

use std::io::{self, IoSlice};

use crate::record::subbuf::Taken;
use crate::trace::ctf::{PacketError, PacketHeader};

pub use file::FileSink;
pub use index::IndexedSink;
pub use pipe::{PipeSink, SharedPipe};
pub use report::{SinkKind, SinkKindError, SinkReport, WriteMethod};
pub use socket::{SharedSocket, SocketSink};

/// Takes whole packets, in order.
///
/// What a sink has taken stays whole: when it fails in the middle of a packet, it leaves
/// the packets before it, and nothing of the one that failed where that can be taken back.
pub trait Sink: Send {
    /// Takes one packet, whose bytes are in these pieces of whole pages, in order; they may be rewritten as soon as this returns, in any way.
    fn write_packet(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<()>;

    /// Takes the packet that a reader holds. The reader goes on with its pages, or with
    /// those that the sink leaves for them ([`Taken::detach`]).
    fn take(&mut self, packet: Taken<'_>) -> io::Result<()> {
        self.write_packet(&packet.io_slices())
    }

    /// Called before a packet with the number of packets that wait after it, and how many can: a
    /// sink with a cheap method and a fast one chooses between them.
    fn note_backlog(&mut self, _waiting: u64, _capacity: u64) {}

    /// Writes back what was written. No packet follows.
    fn finish(&mut self) -> io::Result<()>;

    /// How packets are written, and why not in a better way.
    fn report(&self) -> SinkReport;
}

impl<S: Sink + ?Sized> Sink for Box<S> {
    fn write_packet(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        (**self).write_packet(pieces)
    }

    fn take(&mut self, packet: Taken<'_>) -> io::Result<()> {
        (**self).take(packet)
    }

    fn note_backlog(&mut self, waiting: u64, capacity: u64) {
        (**self).note_backlog(waiting, capacity);
    }

    fn finish(&mut self) -> io::Result<()> {
        (**self).finish()
    }

    fn report(&self) -> SinkReport {
        (**self).report()
    }
}

/// The header of a packet in pieces: its time span, its sizes, and the loss before it. Index
/// entries are made of it, in files and for a collector.
///
/// # Errors
/// If the bytes do not begin with a header.
pub fn packet_header(pieces: &[IoSlice<'_>]) -> Result<PacketHeader, PacketError> {
    let first_page = pieces.first().map_or(&[][..], |piece| piece);
    PacketHeader::parse(first_page)
}

/// Bytes of a packet in pieces.
pub(crate) fn total_len(pieces: &[IoSlice<'_>]) -> usize {
    pieces.iter().map(|piece| piece.len()).sum()
}
